"""Compare run with run: what changed between two groups of results of the same cell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.contract.errors import InputError
from runner.host.judging import verdict
from runner.host.judging.groups import Group
from runner.host.judging.verdict import Change


@dataclass(frozen=True)
class RunChange:
    """The change between two groups, ``before`` and ``after`` by the ids of their requests.

    ``launches`` holds the number of launches of each side. ``moved`` maps a package, an image by tag, or ``engine``, to what it was and
    is; None where a side has no such package. ``ratio`` is after over before, ``interval`` its 95% interval, and ``flagged`` says that the
    change is significant and large: None where nothing can be said, and ``reason`` says why. ``confirmed`` says that fresh launches show
    the change too, and ``confirmation`` gives the reason; both are None without fresh launches.
    """

    before: str
    after: str
    launches: list[int]
    moved: dict[str, list[str | None]]
    ratio: float | None
    interval: tuple[float, float] | None
    flagged: bool | None
    reason: str
    confirmed: bool | None
    confirmation: str | None


@dataclass(frozen=True)
class Pair:
    """Two groups of the same cell."""

    before: Group
    after: Group


def cell(group: Group) -> str:
    """Return what two groups must share to be compared, as one text; a moved pin makes another request, not another cell."""
    request = group.request
    shared = (request.case, request.devices, request.model.name, request.weights.kind, request.workload)
    return repr((*shared, request.protocol.name))


def pairs(before: Iterable[Group], after: Iterable[Group]) -> list[Pair]:
    """Return the groups of the cells that both sides have. Raises ``InputError`` where the sides share no cell."""
    earlier = {cell(group): group for group in before}
    shared = [Pair(earlier[cell(group)], group) for group in after if cell(group) in earlier]
    if not shared:
        raise InputError("The two sides share no case. Name results of the same case, model, workload and protocol.")
    return shared


def changes(
    before: list[Group], after: list[Group], fresh: tuple[list[Group], list[Group]] | None = None
) -> list[RunChange]:
    """Return the change of every cell that both sides have.

    ``fresh`` holds groups before and after that were measured once more, to confirm the changes. Raises ``InputError`` where two
    sides share no cell, and for a fresh attempt that is part of the comparison already.
    """
    fresh_pairs: dict[str, Pair] = {}
    if fresh is not None:
        fresh_before, fresh_after = fresh
        refuse_counted(before + after, fresh_before + fresh_after)
        fresh_pairs = {cell(pair.after): pair for pair in pairs(fresh_before, fresh_after)}
    return [between(pair, fresh_pairs.get(cell(pair.after))) for pair in pairs(before, after)]


def shared_attempts(before: Iterable[Group], after: Iterable[Group]) -> str | None:
    """Return in words that attempts are counted on both sides, since a change then looks smaller than it is; None where none is."""
    sides = [{attempt for group in groups for attempt in group.attempts} for groups in (before, after)]
    shared = sorted(sides[0] & sides[1])
    if not shared:
        return None
    return (
        f"{len(shared):,} attempt(s) stand on both sides, {shared[0]} first: a change looks smaller than it is. Name the results of"
        " each side alone."
    )


def between(pair: Pair, fresh: Pair | None = None) -> RunChange:
    """Return the change between two groups.

    ``fresh`` holds groups of the same cell that were measured once more: a flagged change is confirmed only if they show it too.
    """
    before, after = pair.before, pair.after
    change, reason = _change(pair)
    confirmed, confirmation = None, None
    if change is not None and fresh is not None:
        second, confirmation = _change(fresh)
        confirmed = second is not None and verdict.confirmed(change, second)
    return RunChange(
        before=before.request.id,
        after=after.request.id,
        launches=[len(before.latencies_s), len(after.latencies_s)],
        moved=_moved(pair),
        ratio=None if change is None else change.ratio,
        interval=None if change is None else change.interval,
        flagged=None if change is None else change.flagged,
        reason=reason,
        confirmed=confirmed,
        confirmation=confirmation,
    )


def _moved(pair: Pair) -> dict[str, list[str | None]]:
    """Return the packages of the stack, the images by tag and the engine that differ, each with its two values."""
    before, after = pair.before.request, pair.after.request
    old, new = before.stack.packages, after.stack.packages
    moved = {name: [old.get(name), new.get(name)] for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
    digests = pair.before.digests, pair.after.digests
    for tag in sorted({*digests[0], *digests[1]}):
        old_image, new_image = (" and ".join(sorted(side.get(tag, ()))) or None for side in digests)
        if old_image != new_image:
            moved[tag] = [old_image, new_image]
    if before.engine != after.engine:
        moved["engine"] = [before.engine, after.engine]
    return moved


def _change(pair: Pair) -> tuple[Change | None, str]:
    """Return the ``Change`` between two groups and its reason; None and why not, where nothing can be said."""
    if pair.before.emulated or pair.after.emulated:
        return None, "something stood in for the device: its times say nothing"
    mixed = pair.before.moved_image or pair.after.moved_image
    if mixed is not None:
        return None, f"one side is not of one software: {mixed}"
    if min(len(pair.before.latencies_s), len(pair.after.latencies_s)) < 2:
        return None, "at least two launches are needed on each side"
    change = verdict.between_runs(pair.before.latencies_s, pair.after.latencies_s)
    return change, change.reason


def refuse_counted(groups: Iterable[Group], fresh: Iterable[Group]) -> None:
    """Raise ``InputError`` if a fresh attempt is one of those that were compared: no attempt can confirm itself."""
    counted = {attempt for group in groups for attempt in group.attempts}
    again = sorted({attempt for group in fresh for attempt in group.attempts} & counted)
    if again:
        raise InputError(
            f"Attempt {again[0]} is part of the comparison already; it cannot confirm it. Measure both sides once more."
        )
