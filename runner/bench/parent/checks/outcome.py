"""Make the outcome of a check."""

from __future__ import annotations

from typing import Final

from runner.contract.records import Act, Check

REFUSE: Final[Act] = "refuse"
FLAG: Final[Act] = "flag"


def equal(name: str, wanted: object, found: object, act: Act = REFUSE) -> Check:
    """Return the outcome of a check that passes if ``found`` equals ``wanted``."""
    return made(name, act, wanted == found, wanted, found)


def within(name: str, least: float, most: float, found: float | None, act: Act) -> Check:
    """Return the outcome of a check that passes if ``found`` is a limit or lies between the limits; None fails."""
    return made(name, act, found is not None and least <= found <= most, [least, most], found)


def made(name: str, act: Act, passed: bool, wanted: object, found: object) -> Check:
    """Return the outcome of a check that was made."""
    return {"name": name, "act": act, "passed": passed, "wanted": wanted, "found": found, "reason": None}


def not_made(name: str, act: Act, reason: str) -> Check:
    """Return the outcome of a check that could not be made."""
    return {"name": name, "act": act, "passed": None, "wanted": None, "found": None, "reason": reason}
