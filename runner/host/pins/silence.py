"""Remember which origins did not answer, and ask none of them again: a silent index costs one time limit, not one for each pin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runner.contract.errors import Unreachable

# Origin to the message of its silence.
_silent: dict[str, str] = {}


class NoAnswer(Unreachable):
    """No origin answered: no connection, or nothing in time. An origin that answers with a refusal raises another error."""


@contextmanager
def asking(origin: str) -> Iterator[None]:
    """Ask an origin, such as ``https://pypi.org``; raise ``NoAnswer`` at once where the same origin was silent before."""
    if origin in _silent:
        raise NoAnswer(f"{origin} did not answer before, and is not asked again in this run: {_silent[origin]}")
    try:
        yield
    except NoAnswer as problem:
        _silent[origin] = str(problem)
        raise


def forget() -> None:
    """Forget the silent origins: a new run of a verb begins."""
    _silent.clear()
