"""Remember which origins answered and which did not.

An origin that has not answered yet gets a few seconds, one that has gets the long limits, and one that did not answer is not asked again:
a silent index costs a few seconds, not a time limit for each pin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runner.contract import first_answer
from runner.contract.errors import KitError, Unreachable

# Origin to the message of its silence.
_silent: dict[str, str] = {}
_answered: set[str] = set()


class NoAnswer(Unreachable):
    """No origin answered: no connection, or nothing in time. An origin that answers with a refusal raises another error."""


@contextmanager
def asking(origin: str) -> Iterator[float | None]:
    """Ask an origin, such as ``https://pypi.org``; yield how many seconds to wait for a first answer, None after an answer before.

    Raises ``NoAnswer`` at once where the same origin was silent before.
    """
    if origin in _silent:
        raise NoAnswer(f"{origin} did not answer before, and is not asked again in this run: {_silent[origin]}")
    try:
        yield None if origin in _answered else first_answer.limit_s()
    except NoAnswer as problem:
        _silent[origin] = str(problem)
        raise
    except KitError:
        _answered.add(origin)
        raise
    _answered.add(origin)


def forget() -> None:
    """Forget which origins answered: a new run of a verb begins."""
    _silent.clear()
    _answered.clear()
