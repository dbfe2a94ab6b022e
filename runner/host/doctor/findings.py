"""The answers of looks: a state, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

Area = Literal["host", "container", "registry", "cluster", "pins", "weights"]
# "cannot be told": the look was made, and nothing here says the answer. "not looked at": the look was not made.
State = Literal["ready", "warning", "not ready", "cannot be told", "not looked at"]


class Answer(NamedTuple):
    """The answer of one look: sentences without an area. ``remedy`` is None where nothing needs to be done."""

    state: State
    finding: str
    remedy: str | None


@dataclass(frozen=True)
class Look:
    """One look: its area, what it looks at, and the function that looks. The function changes nothing."""

    area: Area
    what: str
    ask: Callable[[], Answer]

    def unneeded(self) -> Look:
        """Return the same look at a thing that no run here needs: what is not ready there is a warning."""
        return replace(self, ask=partial(_warned, self.ask))


@dataclass(frozen=True)
class Finding:
    """The answer of a look, with what was looked at."""

    area: Area
    what: str
    state: State
    finding: str
    remedy: str | None

    @classmethod
    def of(cls, look: Look, answer: Answer) -> Finding:
        """Return the finding of a look that gave this answer."""
        return cls(look.area, look.what, answer.state, answer.finding, answer.remedy)


class LastLook(Exception):
    """Ends a group of looks: what the later looks need is not there. ``answer`` is the answer of the look that raises this."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.finding)
        self.answer = answer


def ready(finding: str) -> Answer:
    """Return the answer that something is as it must be."""
    return Answer("ready", finding, None)


def warning(finding: str, remedy: str) -> Answer:
    """Return the answer that a run can be made, and may be flagged, slow or unusual."""
    return Answer("warning", finding, remedy)


def not_ready(finding: str, remedy: str) -> Answer:
    """Return the answer that a run would be refused or would fail."""
    return Answer("not ready", finding, remedy)


def untold(finding: str, remedy: str) -> Answer:
    """Return the answer that nothing here tells; ``remedy`` says who tells it."""
    return Answer("cannot be told", finding, remedy)


def not_looked_at(finding: str, remedy: str) -> Answer:
    """Return the answer of a look that was not made; ``remedy`` says how the look is made."""
    return Answer("not looked at", finding, remedy)


def _warned(ask: Callable[[], Answer]) -> Answer:
    try:
        return _at_most_a_warning(ask())
    except LastLook as last:
        raise LastLook(_at_most_a_warning(last.answer)) from None


def _at_most_a_warning(answer: Answer) -> Answer:
    return answer._replace(state="warning") if answer.state == "not ready" else answer
