"""The rows that a dataset's first launch completes: a file that rank 0 appends to, and that this process holds open.

Whoever removes or replaces the file, or its folder, while ranks write takes only the name away: this process still has the file.
"""

from __future__ import annotations

import contextlib
import os

from runner.contract import publish, unfinished
from runner.contract.errors import PublishFailed


class Rows:
    """The rows of one attempt; ``part`` is the path that rank 0 appends to, ``path`` the one that they are published under."""

    def __init__(self, result_path: str) -> None:
        """Make the file and its folder. Raises ``PublishFailed``."""
        self.path, self.part = unfinished.rows_path(result_path), unfinished.part_path(result_path)
        self._kept: bytes | None = None
        try:
            os.makedirs(os.path.dirname(self.part), exist_ok=True)
            self._file = open(self.part, "xb+")
        except OSError as problem:
            raise PublishFailed(
                f"{self.part} could not be written: {problem.strerror}. Name another --results folder."
            ) from None

    def keep(self, completed: int) -> None:
        """Take the rows of a launch that has ended, so that nothing can lose them any more.

        Raises ``PublishFailed`` if the file has not as many rows as the ranks completed.
        """
        self._kept = self.read()
        found = self._kept.count(b"\n")
        if found != completed:
            raise PublishFailed(
                f"The ranks completed {completed} row(s), and {self.part} has {found}: another process changed or replaced the"
                " file while they were written. Leave the results folder alone while bench runs, and run the command again."
            )

    def read(self) -> bytes:
        """Return all whole lines."""
        if self._kept is not None:
            return self._kept
        self._file.seek(0)
        return unfinished.whole_lines(self._file.read())

    def publish(self) -> str | None:
        """Publish the rows; return the name of the file that holds them, None where there are none.

        On a disk without room for a second copy, the file that the ranks wrote gets the published name. In a folder that takes no
        new name, that file stays under its own name.
        """
        rows = self.read()
        if not rows:
            self.discard()
            return None
        try:
            publish.publish(self.path, rows)
        except PublishFailed:
            if not self._is_in_place():
                raise
            with contextlib.suppress(OSError):
                os.truncate(self.part, len(rows))
            try:
                publish.move(self.part, self.path)
            except PublishFailed:
                return os.path.basename(self.part)
        self.discard()
        return os.path.basename(self.path)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.part))
        except OSError:
            return False

    def discard(self) -> None:
        """Remove the file that ranks wrote, if it is there."""
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self.part)

    def close(self) -> None:
        """Let go of the file, and leave it."""
        self._kept = self.read() if self._kept is None and not self._file.closed else self._kept
        self._file.close()
