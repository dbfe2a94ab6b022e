"""The rows that ranks complete of a dataset: a file that rank 0 appends to, and that the parent holds open.

A process that removes or replaces the file, or its folder, takes only the file's name away: the parent still has the
open file.
"""

from __future__ import annotations

import contextlib
import os

from runner.contract import publish, unfinished
from runner.contract.errors import PublishFailed


class Rows:
    """The rows of one attempt. Rank 0 appends to the file ``part``; the rows are published under the name ``path``."""

    def __init__(self, result_path: str) -> None:
        """Make the file and its folder. Raises ``PublishFailed``."""
        self.path, self.part = unfinished.rows_path(result_path), unfinished.part_path(result_path)
        # The rows of a launch that has ended.
        self._kept: bytes | None = None
        try:
            os.makedirs(os.path.dirname(self.part), exist_ok=True)
            self._file = open(self.part, "xb+")
        except OSError as problem:
            raise PublishFailed(
                f"{self.part} could not be written: {problem.strerror}. Name another --results folder."
            ) from None

    def keep(self, completed: int) -> None:
        """Read the rows of the launch that has ended into memory, where no other process can change them.

        Raises ``PublishFailed`` if the file does not have as many rows as the ranks ``completed``.
        """
        self._kept = self.read()
        rows = self._kept.count(b"\n")
        if rows != completed:
            raise PublishFailed(
                f"The ranks completed {completed} row(s), and {self.part} has {rows}: another process changed or replaced the"
                " file while they were written. Leave the results folder alone while bench runs, and run the command again."
            )

    def read(self) -> bytes:
        """Return all whole lines."""
        if self._kept is not None:
            return self._kept
        self._file.seek(0)
        return unfinished.whole_lines(self._file.read())

    def publish(self) -> str | None:
        """Publish the rows; return the name of the file that holds them, None where there are no rows.

        On a disk without room for a second copy, the file that the ranks wrote gets the published name. In a folder
        that takes no new name, the file keeps its own name. Raises ``PublishFailed`` where neither file can hold the
        rows.
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
        """Return whether the path ``part`` still names the file that this process holds open."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.part))
        except OSError:
            return False

    def discard(self) -> None:
        """Close the file and remove it."""
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self.part)

    def close(self) -> None:
        """Close the file and leave it in place. The rows stay readable."""
        if self._kept is None and not self._file.closed:
            self._kept = self.read()
        self._file.close()
