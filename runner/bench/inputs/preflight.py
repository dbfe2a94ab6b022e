"""Refuse on a host, before anything is loaded, packages, weight files and datasets that are not those of the request."""

from __future__ import annotations

from typing import Callable, NamedTuple

from runner.bench.facts import inventory
from runner.bench.inputs import checkpoint, column, model_folder, tokenizer
from runner.contract.errors import InputError
from runner.contract.records import Inventory
from runner.contract.request import Dataset, Request


class Found(NamedTuple):
    """The installed packages held against the lock, and the weight files that were compared (none for dummy weights)."""

    inventory: Inventory
    weights: checkpoint.Verified


def check_host(request: Request, model_dir: str | None, dataset_file: str | None, show: Callable[[str], None]) -> Found:
    """Return what was ``Found``; ``show`` prints a line before each comparison that takes time.

    Raises ``Unsupported`` for another stack, ``InputError`` for other files than the request was made with.
    """
    show("comparing the installed packages with the lock")
    installed = inventory.describe(request.stack)
    inventory.refuse_drift(installed, request.stack)
    compared = checkpoint.verified([])
    if request.weights.kind == "hub":
        folder = model_folder.locate(request.model, model_dir)
        checkpoint.settings(folder, request.model.architecture)
        tokenizer.read(folder, request.model.architecture.vocab_size, request.model.files)
        if request.model.files:
            show("comparing the weight files with their pinned sha256")
        compared = checkpoint.verify(folder, request.model.files)
    elif model_dir is not None:
        show(
            f"--model-dir {model_dir} is not read: the request asks for dummy weights (`request --weights hub` asks for real ones)"
        )
    dataset = request.workload.dataset
    if dataset is not None and dataset.source == "file":
        _check_dataset(dataset, dataset_file)
    return Found(installed, compared)


def _check_dataset(dataset: Dataset, path: str | None) -> None:
    """Raise ``InputError`` for another dataset file than the request was made for, and for rows that cannot be completed."""
    if path is None:
        raise InputError(f"The request completes the local file {dataset.name}. Say where it lies with --dataset-file.")
    column.read(path, dataset)
