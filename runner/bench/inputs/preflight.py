"""What can be refused on a host before anything is loaded: packages, weight files and the dataset are those of the request."""

from typing import Any, Dict, NamedTuple

from runner.bench.facts import inventory
from runner.bench.inputs import checkpoint, column, tokenizer, weights
from runner.contract.errors import InputError


class Found(NamedTuple):
    """What ``inventory.describe`` tells of the installed packages, and the weight files that were compared, none for dummy weights."""

    inventory: Dict[str, Any]
    weights: checkpoint.Verified


def check(request, model_dir, dataset_file, show):
    """Return what was ``Found``; ``show`` prints a line before what takes time.

    Raises ``Unsupported`` for another stack, ``InputError`` for other files than the request was made with.
    """
    show("comparing the installed packages with the lock")
    found = inventory.describe(request.stack)
    inventory.refuse_drift(found, request.stack)
    compared = checkpoint.verified([])
    if request.weights.kind == "hub":
        folder = weights.locate(request.model, model_dir)
        checkpoint.settings(folder, request.model.architecture)
        tokenizer.read(folder, request.model.architecture.vocab_size, request.model.files)
        if request.model.files:
            show("comparing the weight files with their pinned sha256")
        compared = weights.verify(folder, request.model.files)
    elif model_dir is not None:
        show(
            f"--model-dir {model_dir} is not read: the request asks for dummy weights (`request --weights hub` asks for real ones)"
        )
    dataset = request.workload.dataset
    if dataset is not None and dataset.source == "file":
        _check_dataset(dataset, dataset_file)
    return Found(found, compared)


def _check_dataset(dataset, path):
    """Refuse a dataset file that is not the one that the request was made for, and rows that cannot be completed."""
    if path is None:
        raise InputError(f"The request completes the local file {dataset.name}. Say where it lies with --dataset-file.")
    column.read(path, dataset)
