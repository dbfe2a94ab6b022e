"""A model and its files as the hub names them, and whether a file on this host is one of them."""

from __future__ import annotations

import hashlib
import os
from typing import Callable, NamedTuple

from runner.contract.files import read_bytes, sha256_of_file
from runner.contract.request import Model


class HubModel(NamedTuple):
    """A model at the hub: its repository at a pinned revision.

    ``files`` maps names of weight files to their locked sha256.
    """

    name: str
    repository: str
    revision: str
    files: dict[str, str]

    @classmethod
    def of(cls, model: Model) -> HubModel:
        """Return the hub's part of a request's model whose weights come from the hub."""
        # A request for the hub's weights names both; its reader refuses any other.
        assert model.repository is not None and model.revision is not None
        return cls(model.name, model.repository, model.revision, model.files)


class HubFile(NamedTuple):
    """A file as the hub describes it: the sha256 of a large file, or the git blob id of a small one."""

    name: str
    size_bytes: int
    sha256: str | None
    git_blob: str | None


def is_whole(path: str, file: HubFile, count: Callable[[int], None]) -> bool:
    """Return whether the bytes at ``path`` are those of ``file``; ``count`` is told how many bytes each read gave.

    Raises ``OSError`` where the file cannot be read.
    """
    if os.path.getsize(path) != file.size_bytes:
        return False
    if file.sha256 is not None:
        return sha256_of_file(path, count) == file.sha256
    content = read_bytes(path, file.size_bytes)
    # git names a blob by the sha1 of its length and content.
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.git_blob  # noqa: S324
