"""The folder that models are fetched into: the hub cache below ``hub/``, with a marker for each whole model."""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Sequence

from runner.bench.pods.hub_client import HubFile, HubModel
from runner.contract import hub_cache, publish, strictjson
from runner.contract.errors import DoesNotFit, InputError, PublishFailed

# The name of a file that the client writes: each attempt to download has a name of its own, and no later attempt goes
# on with the file.
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{8}\.incomplete$")
# A younger file may still be written by another pod.
_ABANDONED_AFTER_S = 3600


def hub_folder(folder: str) -> str:
    """Return the hub cache in ``folder``."""
    return os.path.join(folder, "hub")


def _repository_folder(folder: str, model: HubModel) -> str:
    return hub_cache.repository(hub_folder(folder), model.repository)


def marker(folder: str, model: HubModel) -> str:
    """Return the path of the file that exists once a model is whole in ``folder``. The file lists what was compared."""
    return os.path.join(_repository_folder(folder, model), f".complete-{model.revision}")


def is_marked(folder: str, model: HubModel) -> bool:
    """Return whether a model is whole in ``folder``.

    Raises ``InputError`` for a marker that is of another model, or damaged.
    """
    path = marker(folder, model)
    if not os.path.lexists(path):
        return False
    content = strictjson.read(path)
    if not isinstance(content, dict) or content.get("revision") != model.revision:
        raise InputError(
            f"{path} does not say that {model.repository} is whole. Remove it, and run the same command again."
        )
    return True


def mark(folder: str, model: HubModel, files: Sequence[HubFile]) -> None:
    """Write the marker of a model whose ``files`` were compared. Raises ``PublishFailed``."""
    compared = [
        {"name": file.name, "bytes": file.size_bytes, "sha256": file.sha256, "git_blob": file.git_blob}
        for file in files
    ]
    content = {"repository": model.repository, "revision": model.revision, "files": compared}
    try:
        publish.publish(marker(folder, model), strictjson.pretty(content).encode())
    except PublishFailed:
        # A pod may be started twice, and the other one may have marked the model.
        if not is_marked(folder, model):
            raise


def remove_abandoned(folder: str, model: HubModel) -> None:
    """Remove the files that killed attempts left half written. Raises ``OSError``."""
    for path in _blobs(folder, model):
        if _HALF_WRITTEN.search(path) and time.time() - os.path.getmtime(path) > _ABANDONED_AFTER_S:
            os.unlink(path)


def refuse_too_small(folder: str, model: HubModel, files: Sequence[HubFile]) -> None:
    """Make ``folder``, and raise ``DoesNotFit`` if the files of a model do not fit there. Raises ``OSError``."""
    os.makedirs(folder, exist_ok=True)
    present_bytes = sum(os.path.getsize(path) for path in _blobs(folder, model))
    needed_bytes = sum(file.size_bytes for file in files) - present_bytes
    status = os.statvfs(folder)
    free_bytes = status.f_bavail * status.f_frsize
    if needed_bytes > free_bytes:
        raise DoesNotFit(
            f"{model.repository} needs {needed_bytes:,} bytes more in {folder}, where {free_bytes:,} are free. Make the volume larger."
        )


def present_bytes(folder: str, model: HubModel, file: HubFile) -> int:
    """Return how many bytes of one file are in ``folder``, whether the file is whole or still being fetched."""
    hashed = file.sha256 or file.git_blob or ""
    sizes_bytes = [0]
    # The client adds to the file's name while it fetches, and renames the file at the end: a file may be gone that was listed.
    with contextlib.suppress(OSError):
        sizes_bytes += [
            os.path.getsize(path) for path in _blobs(folder, model) if os.path.basename(path).startswith(hashed)
        ]
    return min(file.size_bytes, max(sizes_bytes))


def _blobs(folder: str, model: HubModel) -> list[str]:
    """Return the paths of all files of a model, whole or half written; the hub cache names each by its hash."""
    blobs = os.path.join(_repository_folder(folder, model), "blobs")
    return [os.path.join(blobs, name) for name in os.listdir(blobs)] if os.path.isdir(blobs) else []
