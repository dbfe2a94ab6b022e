"""Refuse on a host, before anything is loaded, packages, weight files and datasets that are not those of the request."""

from __future__ import annotations

from typing import NamedTuple

from runner.bench.facts import inventory
from runner.bench.inputs import checkpoint, column, model_folder, tokenizer
from runner.contract.errors import InputError
from runner.contract.progress import Task
from runner.contract.records import Inventory
from runner.contract.request import Dataset, Model, Request


class Found(NamedTuple):
    """The installed packages held against the lock, and the weight files that were compared (none for dummy weights)."""

    inventory: Inventory
    weights: checkpoint.Verified


def check_host(request: Request, model_dir: str | None, dataset_file: str | None, task: Task) -> Found:
    """Return what was ``Found``; ``task`` shows what is compared, and how far that is.

    Raises ``Unsupported`` for another stack, ``InputError`` for other files than the request was made with.
    """
    # where the weights are missing, this is known at once; comparing the packages takes seconds
    folder = model_folder.locate(request.model, model_dir) if request.weights.kind == "hub" else None
    task.line("comparing the installed packages with the lock")
    installed = inventory.describe(request.stack)
    inventory.refuse_drift(installed, request.stack)
    compared = checkpoint.verified([])
    if folder is not None:
        compared = check_model(request.model, folder, task)
    elif model_dir is not None:
        task.line(
            f"--model-dir {model_dir} is not read: the request asks for dummy weights (`request --weights hub` asks for real ones)"
        )
    dataset = request.workload.dataset
    if dataset is not None and dataset.source == "file":
        _check_dataset(dataset, dataset_file)
    return Found(installed, compared)


def check_model(model: Model, folder: str, task: Task) -> checkpoint.Verified:
    """Return the weight files of a model's folder, compared with their pins; ``task`` shows how far the comparison is.

    Raises ``InputError`` for files that a launch would refuse: of another model, not the pinned ones, or missing.
    """
    checkpoint.settings(folder, model.architecture)
    tokenizer.read(folder, model.architecture.vocab_size, model.files)
    if model.files:
        task.line("comparing the weight files with their pinned sha256")
    compared = checkpoint.verify(folder, model.files, task)
    task.end()
    return compared


def _check_dataset(dataset: Dataset, path: str | None) -> None:
    """Raise ``InputError`` for another dataset file than the request was made for, and for rows that cannot be completed."""
    if path is None:
        raise InputError(f"The request completes the local file {dataset.name}. Say where it lies with --dataset-file.")
    column.read(path, dataset)
