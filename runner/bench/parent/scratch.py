"""The folder for temporary files of one launch."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import Iterator

from runner.contract import signals
from runner.contract.errors import PublishFailed


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Yield a folder for one launch's raw data and temporary files, and remove the folder however the block ends.

    Raises ``PublishFailed`` where no folder for temporary files can be made.
    """
    try:
        path = tempfile.mkdtemp(prefix="bloomz-bench-")
    except OSError as problem:
        raise PublishFailed(
            f"A launch needs a folder for temporary files, and none can be made: {problem.strerror}. Set TMPDIR to one with room."
        ) from None
    try:
        yield path
    finally:
        with signals.held_back():
            # A rank that is being ended may write a file while the folder is being removed.
            for _ in range(3):
                shutil.rmtree(path, ignore_errors=True)


def check_room(path: str, size_bytes: int) -> None:
    """Raise ``PublishFailed`` unless a folder for temporary files takes the bytes that a launch leaves there."""
    try:
        with open(os.path.join(path, "room"), "wb") as file:
            file.write(os.urandom(size_bytes))
    except OSError as problem:
        raise PublishFailed(
            f"A launch leaves a file of up to {size_bytes:,} bytes in a folder for temporary files, and {os.path.dirname(path)} does"
            f" not take it: {problem.strerror}. Set TMPDIR to one with room."
        ) from None
