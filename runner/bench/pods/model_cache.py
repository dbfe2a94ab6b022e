"""A hub cache that models are fetched into: the client's own layout, with a marker for each whole model."""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Sequence

from runner.bench.pods.hub_files import HubFile, HubModel
from runner.contract import hub_cache, patterns, publish, strictjson
from runner.contract.errors import DoesNotFit, InputError, KitError, PublishFailed
from runner.contract.fields import Fields

# The ending of the file that a large file is fetched into. It stays after an interruption: the next attempt goes on.
PARTIAL = ".partial"
# The name of a file that the client writes: each attempt to download has a name of its own, and no later attempt goes
# on with the file.
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{8}\.incomplete$")
# A younger file may still be written by another pod.
_ABANDONED_AFTER_S = 3600


def below(folder: str) -> str:
    """Return the hub cache of a folder of models, as ``HF_HOME`` names such a folder."""
    return os.path.join(folder, "hub")


def _repository_folder(cache: str, model: HubModel) -> str:
    return hub_cache.repository(cache, model.repository)


def snapshot(cache: str, model: HubModel) -> str:
    """Return the folder of a model's files at its revision."""
    return os.path.join(_repository_folder(cache, model), "snapshots", model.revision)


def blob(cache: str, model: HubModel, sha256: str) -> str:
    """Return the path of a large file's bytes; the model's snapshot links to the path."""
    return os.path.join(_repository_folder(cache, model), "blobs", sha256)


def marker(cache: str, model: HubModel) -> str:
    """Return the path of the file that exists once a model is whole in a cache. The file lists what was compared."""
    return os.path.join(_repository_folder(cache, model), f".complete-{model.revision}")


def is_marked(cache: str, model: HubModel) -> bool:
    """Return whether a model is whole in a cache.

    Raises ``InputError`` for a marker that is of another model, or damaged.
    """
    return marked_files(cache, model) is not None


def marked_files(cache: str, model: HubModel) -> list[HubFile] | None:
    """Return the files of a model that were compared when its marker was written; None without a marker.

    Raises ``InputError`` for a marker that is of another model, or damaged.
    """
    path = marker(cache, model)
    if not os.path.lexists(path):
        return None
    content = strictjson.read(path)
    if isinstance(content, dict) and content.get("revision") == model.revision:
        with contextlib.suppress(KitError):
            return [_compared(entry, path) for entry in Fields(content, path).take("files", list)]
    raise InputError(
        f"{path} does not say that {model.repository} is whole. Remove it, and run the same command again."
    )


def _compared(entry: object, where: str) -> HubFile:
    fields = Fields(entry, where)
    return HubFile(
        fields.form("name", patterns.FILE_PATH),
        fields.count("bytes"),
        fields.optional(lambda part, key: part.form(key, patterns.SHA256), "sha256"),
        fields.optional(lambda part, key: part.form(key, patterns.COMMIT), "git_blob"),
    )


def mark(cache: str, model: HubModel, files: Sequence[HubFile]) -> None:
    """Write the marker of a model whose ``files`` were compared. Raises ``PublishFailed``."""
    compared = [
        {"name": file.name, "bytes": file.size_bytes, "sha256": file.sha256, "git_blob": file.git_blob}
        for file in files
    ]
    content = {"repository": model.repository, "revision": model.revision, "files": compared}
    try:
        publish.publish(marker(cache, model), strictjson.pretty(content).encode())
    except PublishFailed:
        # A pod may be started twice, and the other one may have marked the model.
        if not is_marked(cache, model):
            raise


def unmark(cache: str, model: HubModel) -> None:
    """Remove the marker of a model that turned out not to be whole. Raises ``PublishFailed``."""
    try:
        os.unlink(marker(cache, model))
    except OSError as problem:
        raise PublishFailed(
            f"{problem.filename} cannot be removed: {problem.strerror}. Have its owner remove it."
        ) from None


def remove_abandoned(cache: str, model: HubModel) -> None:
    """Remove the files that killed attempts left half written, and with which no attempt goes on. Raises ``OSError``."""
    for path in _blobs(cache, model):
        if _HALF_WRITTEN.search(path) and time.time() - os.path.getmtime(path) > _ABANDONED_AFTER_S:
            os.unlink(path)


def refuse_too_small(cache: str, models: Sequence[tuple[HubModel, Sequence[HubFile]]]) -> None:
    """Make ``cache``, and raise ``DoesNotFit`` if the files of all models together do not fit there. Raises ``OSError``."""
    os.makedirs(cache, exist_ok=True)
    needed_bytes = sum(file.size_bytes - present_bytes(cache, model, file) for model, files in models for file in files)
    status = os.statvfs(cache)
    free_bytes = status.f_bavail * status.f_frsize
    if needed_bytes > free_bytes:
        names = " and ".join(model.repository for model, _ in models)
        raise DoesNotFit(
            f"{names} need{'s' if len(models) == 1 else ''} {needed_bytes:,} bytes more in {cache}, where {free_bytes:,} are free."
            " Make the volume larger, or name another place: HF_HOME here, --models in a pod."
        )


def present_bytes(cache: str, model: HubModel, file: HubFile) -> int:
    """Return how many bytes of one file are in a cache, whether the file is whole or still being fetched."""
    hashed = file.sha256 or file.git_blob or ""
    sizes_bytes = [0]
    # A file gets another name when it is whole: a file may be gone that was listed.
    with contextlib.suppress(OSError):
        sizes_bytes += [
            os.path.getsize(path) for path in _blobs(cache, model) if os.path.basename(path).startswith(hashed)
        ]
    return min(file.size_bytes, max(sizes_bytes))


def _blobs(cache: str, model: HubModel) -> list[str]:
    """Return the paths of all files of a model, whole or half written; the hub cache names each by its hash."""
    blobs = os.path.join(_repository_folder(cache, model), "blobs")
    return [os.path.join(blobs, name) for name in os.listdir(blobs)] if os.path.isdir(blobs) else []
