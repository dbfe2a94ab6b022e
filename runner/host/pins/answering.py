"""Ask a question to an origin, write the answer into the lock at once, and announce what became of the pin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from runner.contract.announce import Announcer
from runner.contract.errors import InputError, Unreachable
from runner.host import paths
from runner.host.pins.events import OriginSilent, PinNotThere, PinResolved
from runner.host.pins.resolve import Question
from runner.host.readers import lock_editor

# What became of a question: written into the lock, no such thing at the origin, a refusal of the origin, or no answer.
Outcome = Literal["resolved", "none", "refused", "silent"]


def answer(question: Question, announcer: Announcer) -> Outcome:
    """Ask one question, write its answer into the lock, and return what became of it. Raises ``InputError`` where the lock refuses it."""
    where = ".".join(question.where)
    try:
        value = question.ask()
    except Unreachable as problem:
        announcer.announce(OriginSilent(where, str(problem)))
        return "silent"
    except InputError as problem:
        announcer.announce(PinNotThere(where, str(problem)))
        return "refused"
    if value is None:
        announcer.announce(PinNotThere(where, "its origin has none"))
        return "none"
    if lock_editor.edit(paths.LOCK, {question.where: value}):
        announcer.announce(PinResolved(where, value))
    return "resolved"


def refuse_failures(outcomes: Mapping[Outcome, int], refusals: Sequence[Outcome]) -> None:
    """Raise ``InputError`` where a question ended with one of ``refusals``, ``Unreachable`` where an origin was silent.

    ``outcomes`` counts what became of the questions, which stands above the error.
    """
    refused = sum(outcomes.get(outcome, 0) for outcome in refusals)
    if refused:
        raise InputError(
            f"{refused} of the pins cannot be resolved as they stand (above); what was resolved stays. Mend them in"
            " versions.lock."
        )
    if outcomes.get("silent"):
        raise Unreachable(
            f"{outcomes['silent']} of the origins asked did not answer (above); what was resolved stays. Run it again where they"
            " can be reached."
        )
