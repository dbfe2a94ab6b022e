"""Choose the cases that both sides measure: those that fit this host, as ``make bench`` chooses them, or those that a person names."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.contract.errors import KitError, UsageError
from runner.contract.text import printable
from runner.host import writing
from tools.bump_check.sides import Side, SideFailed

_LIST = "`python -m runner request --list`"


@dataclass(frozen=True)
class ChosenCases:
    """The cases of both sides, the flags by which each side's ``request`` makes them for this host, and sentences for what is left out.

    ``in_images`` says that the cases are measured in the images of their stacks: nothing that fits this host runs without one.
    """

    cases: tuple[str, ...]
    flags: tuple[str, ...]
    left_out: tuple[str, ...]
    in_images: bool


def choose(
    both: Sequence[Side], named: Sequence[str], host_flags: Sequence[str], request_flags: Sequence[str], folder: Path
) -> ChosenCases:
    """Return the cases that both sides know and that fit this host. ``host_flags`` say which devices and which weights to look for.

    Raises ``UsageError`` for a named case that no side knows and where no case is left, what the first side's ``request`` ends with, and
    ``SideFailed`` for another side's.
    """
    devices = folder / "devices"
    base, *others = both
    # the first side's errors are those of the command line or of this host, and end everything
    writing.write_text(devices, base.run("runner", "devices", "--json"))
    flags = ("--here", str(devices), *host_flags)
    unknown = _unknown(both, named)
    if unknown:
        raise UsageError(_of_unknown(both, unknown))
    by_side = {base.name: _of_side(base, named, flags, request_flags, folder)}
    for side in others:
        try:
            by_side[side.name] = _of_side(side, named, flags, request_flags, folder)
        except KitError as problem:
            raise SideFailed(side.name, problem) from None
    in_images = not any(cases.fitting for cases in by_side.values())
    if in_images:
        by_side = {name: _Fitting(cases.in_images, ()) for name, cases in by_side.items()}
    everything = dict.fromkeys([*named, *(case for cases in by_side.values() for case in cases.fitting)])
    shared = tuple(case for case in everything if all(case in cases.fitting for cases in by_side.values()))
    left_out = []
    for case in everything:
        without = [name for name, cases in by_side.items() if case not in cases.fitting]
        if without:
            verbs = "do" if len(without) > 1 else "does"
            left_out.append(f"{case}: {' and '.join(without)} {verbs} not know it, or it does not fit there")
    others_in_images = dict.fromkeys(case for cases in by_side.values() for case in cases.in_images)
    if others_in_images:
        left_out.append(
            f"{', '.join(others_in_images)}: run in an image alone, beside cases that do not; name them to measure them"
        )
    if not shared:
        raise UsageError(
            f"No case is left that both sides measure here. {'; '.join(left_out) or 'None fits this host'}."
            f" {_LIST} names the cases."
        )
    return ChosenCases(shared, flags, tuple(left_out), in_images)


@dataclass(frozen=True)
class _Fitting:
    fitting: tuple[str, ...]
    in_images: tuple[str, ...]


def _of_side(
    side: Side, named: Sequence[str], flags: Sequence[str], request_flags: Sequence[str], folder: Path
) -> _Fitting:
    if named:
        known = _known(side)
        named = [case for case in dict.fromkeys(named) if case in known]
        if not named:
            return _Fitting((), ())
    out = str(folder / "requests" / side.name)
    done = side.ran("runner", "request", *named, *flags, "--no-image", "--out", out, "--json", *request_flags)
    chosen = next(_events(done.stderr, "chosen"), {})
    return _Fitting(tuple(chosen.get("cases", ())), tuple(chosen.get("in_images", ())))


def _known(side: Side) -> set[Any]:
    """Return the names of all cases that a side's own code knows."""
    return {event.get("case") for event in _events(side.run("runner", "request", "--list", "--json"), "case")}


def _unknown(both: Sequence[Side], named: Sequence[str]) -> list[str]:
    """Return the named cases that no side knows; none where a side cannot say what it knows, which is told at its requests."""
    left = dict.fromkeys(named)
    for side in both if named else ():
        try:
            known = _known(side)
        except KitError:
            return []
        left = {case: None for case in left if case not in known}
    return list(left)


def _of_unknown(both: Sequence[Side], unknown: Sequence[str]) -> str:
    """Return the sentence on cases that no side knows, with the nearest known case of the first."""
    known = sorted({str(case) for side in both for case in _known(side)})
    near = difflib.get_close_matches(unknown[0], known, 1)
    advice = f" Did you mean {printable(near[0], 100)}?" if near else ""
    return f"{printable(', '.join(unknown), 300)}: no side knows such a case.{advice} {_LIST} names the cases."


def _events(told: str, word: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a word among the lines that a verb printed with --json."""
    for line in told.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == word:
            yield event
