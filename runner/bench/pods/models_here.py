"""Find out without the hub whether a model's files on this host are whole: by the marker of a fetch, or by the lock's pins."""

from __future__ import annotations

import os

from runner.bench.inputs import checkpoint, preflight
from runner.bench.pods import hub_files, model_cache
from runner.bench.pods.hub_client import BESIDE_WEIGHTS
from runner.bench.pods.hub_files import HubFile, HubModel
from runner.contract.errors import InputError
from runner.contract.files import reason, sha256_of_file
from runner.contract.progress import ByteCount, Task
from runner.contract.request import Model


def unpinned(name: str) -> str:
    """Return the line that says what is not compared of a model whose files the lock does not pin."""
    return (
        f"the lock has no sha256 of the files of {name}: they are compared with what the hub says, and a copy by names alone."
        " `python -m runner lock --only hub` resolves them where the hub answers"
    )


def still_whole(cache: str, model: HubModel, marked: list[HubFile], task: Task) -> bool:
    """Return whether every file is what it was when the marker was written, and what the pins say; ``task`` tells which is not."""
    folder = model_cache.snapshot(cache, model)
    count = ByteCount(task, "comparing", sum(file.size_bytes for file in marked))
    # a run reads the first form of weights that is pinned
    pinned = [checkpoint.weight_files(model.files, form) for form in checkpoint.FORMS]
    missing = set(next(filter(None, pinned), [])) - {file.name for file in marked}
    damaged = [f"{os.path.join(folder, name)} was not fetched, and is pinned" for name in sorted(missing)]
    for file in marked:
        path = os.path.join(folder, file.name)
        try:
            if model.files.get(file.name, file.sha256) != file.sha256:
                damaged.append(f"{path} is not the file that is pinned")
            elif not hub_files.is_whole(path, file, count.add):
                damaged.append(f"{path} is not what it was when it was fetched")
        except OSError as problem:
            damaged.append(f"{path} cannot be read: {reason(problem)}")
    for words in damaged:
        task.line(words)
    task.end()
    return not damaged


def whole_by_pins(cache: str, model: Model, task: Task) -> list[HubFile] | None:
    """Return the files of a model that lie in a cache and are those of the pins; None where the hub must be asked."""
    folder = model_cache.snapshot(cache, HubModel.of(model))
    names = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    if not model.files or not names & set(model.files):
        return None
    try:
        compared = preflight.check_model(model, folder, task)
        weights = {os.path.basename(path) for path in compared.states}
        beside = {*BESIDE_WEIGHTS, *map(checkpoint.index_of, checkpoint.FORMS)} & names
        return [_file(folder, name, model.files.get(name)) for name in sorted(weights | beside)]
    except InputError as problem:
        task.line(f"not whole yet: {problem}")
        return None


def _file(folder: str, name: str, pinned: str | None) -> HubFile:
    path = os.path.join(folder, name)
    try:
        return HubFile(name, os.path.getsize(path), pinned or sha256_of_file(path), None)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {reason(problem)}.") from None
