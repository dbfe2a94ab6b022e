"""The report on a run that does not go on: a sentence and a next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runner.contract.text import printable

# The things that a run may wait for. The longest times stand in ``stages.WAITS_S``.
Wait = Literal["queue", "unschedulable", "volume", "image", "creating", "refused", "init", "node", "overrun"]


@dataclass(frozen=True)
class Problem:
    """A problem of a run and the step that mends it.

    ``row`` names the problem. ``wait`` names the row of ``stages.WAITS_S`` within which the problem may go away by itself; None
    where waiting cannot help.
    """

    row: str
    sentence: str
    step: str
    wait: Wait | None = None

    def __str__(self) -> str:
        return f"{self.sentence} {self.step}"


@dataclass(frozen=True)
class MessageRow:
    """A message of a cluster that a pattern recognises, and the ``Problem`` that it means. ``sentence`` and ``step`` are formats."""

    row: str
    pattern: str
    sentence: str
    step: str

    def problem(self, words: Mapping[str, str], wait: Wait | None = None) -> Problem:
        """Return the problem, with ``words`` put into its sentence and step."""
        return Problem(self.row, self.sentence.format(**words), self.step.format(**words), wait)


def quoted(text: object, limit: int = 300) -> str:
    """Return the words of another program on one line, without the full stop: the sentence around them has its own."""
    return printable(" ".join(str(text).split()), limit).rstrip(". ")
