"""Compare run with run: what changed between two groups of results of the same cell. Pure.

A pair of groups gets one word. Counts that differ make the word CHANGED on any device. Otherwise the word is that of the times, where times
are judged: not on a CPU unless the caller asks for it, and never where something stood in for the device.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from runner.contract.errors import InputError
from runner.contract.text import printable
from runner.host.judging import counts as counting
from runner.host.judging import flags as flagging
from runner.host.judging import verdict
from runner.host.judging.counts import CountChange
from runner.host.judging.flags import Flag
from runner.host.judging.groups import Group
from runner.host.judging.verdict import CHANGE_MARGIN, CHANGED, INCONCLUSIVE, UNCHANGED, Change, ChangeWord

# What a pair can be found to be; a caller may want to fail on each.
Found = Literal["counts", "slower", "faster", "inconclusive"]
COUNTS: Final = "counts"
SLOWER: Final = "slower"
FASTER: Final = "faster"
UNSURE: Final = "inconclusive"

# The words of --fail-on, each with what a pair must be found to be.
FAIL_ON: dict[str, tuple[Found, ...]] = {
    COUNTS: (COUNTS,),
    SLOWER: (SLOWER,),
    FASTER: (FASTER,),
    "changed": (COUNTS, SLOWER, FASTER),
    UNSURE: (UNSURE,),
}


def fail_on_words(text: str) -> list[str]:
    """Return the words of ``--fail-on``, a comma between them. Raises ``ValueError`` for an unknown one, and for an empty one."""
    words = [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word not in FAIL_ON]
    if unknown:
        raise ValueError(f"{printable(unknown[0], 60)!r} is none of: {', '.join(FAIL_ON)}")
    return words


def margin(text: str, named: Mapping[str, float]) -> float:
    """Return a margin as a fraction above 0 and below 1, from a fraction, a percentage, or a name of ``named``. Raises ``ValueError``."""
    if text in named:
        return named[text]
    number, percent = (text[:-1], 100.0) if text.endswith("%") else (text, 1.0)
    try:
        value = float(number) / percent
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise ValueError(
            f"{printable(text, 60)!r} is no margin: give a fraction such as 0.02, a percentage such as 2%, or {', '.join(named)}"
        )
    return value


@dataclass(frozen=True)
class ConditionChange:
    """A condition under which launches of the two sides were not observed alike, with each side's values."""

    condition: str
    before: str
    after: str


@dataclass(frozen=True)
class Times:
    """The times of two sides. ``word`` is None where times are not judged; ``reason`` says why the word is what it is.

    ``before_s`` and ``after_s`` are the geometric means of a side's launches in seconds, ``ratio`` is after over before. ``interval`` is
    the 90% interval of the ratio, ``p`` the p-value of Welch's test. ``smallest_change`` is the smallest fraction by which the runs would
    have had to differ to be called CHANGED nine times in ten, where launches vary as these did. Numbers are None where there are too few
    launches for them, and where something stood in for the device.
    """

    word: ChangeWord | None
    reason: str
    before_s: float | None = None
    after_s: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    margin: float | None = None
    smallest_change: float | None = None

    @property
    def smallest_in_words(self) -> str | None:
        """The smallest change in words; None where there is none."""
        return None if self.smallest_change is None else size(self.smallest_change)


def size(change: float) -> str:
    """Return a change, given as a fraction, as a percentage, or as a factor where it is large."""
    return f"{change:.1%}" if change < 1 else f"a factor of {1 + change:.3g}"


@dataclass(frozen=True)
class RunChange:
    """The change between two groups, ``before`` and ``after`` by the ids of their requests: one word, and the reasons for the word.

    ``found`` lists what a caller may want to fail on. ``launches`` holds the number of complete launches of each side, ``failed`` that of
    launches without a measurement. ``times`` and ``counts`` hold what was compared, ``differences`` the conditions that make the pair
    incomparable. ``flags`` lists the checks that flagged launches. ``moved`` maps a package, an image by tag, or a name such as ``engine``
    or ``driver``, to what it was and is; None where a side has no such package. ``confirmed`` says that fresh launches show the change too,
    and ``confirmation`` what they show; both are None without fresh launches, and where nothing changed.
    """

    case: str
    before: str
    after: str
    word: ChangeWord
    reasons: list[str]
    found: list[Found]
    launches: list[int]
    failed: list[int]
    times: Times
    counts: list[CountChange]
    differences: list[ConditionChange]
    flags: list[Flag]
    moved: dict[str, list[str | None]]
    confirmed: bool | None
    confirmation: str | None


@dataclass(frozen=True)
class Rule:
    """How pairs are judged: the margin as a fraction, and whether the times of a CPU are judged too.

    Without ``power`` nothing is said of the smallest change that would have been seen, which takes most of the time.
    """

    margin: float = CHANGE_MARGIN
    judge_cpu: bool = False
    power: bool = True


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
    """Return the groups of the cells that both sides have, the newest of a cell before. Raises ``InputError`` where they share no cell."""
    earlier: dict[str, Group] = {}
    for group in before:
        earlier.setdefault(cell(group), group)
    shared = [Pair(earlier[cell(group)], group) for group in after if cell(group) in earlier]
    if not shared:
        raise InputError("The two sides share no case. Name results of the same case, model, workload and protocol.")
    return shared


def changes(
    before: list[Group],
    after: list[Group],
    fresh: tuple[list[Group], list[Group]] | None = None,
    rule: Rule | None = None,
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
    return [
        _without_shared(pair, between(pair, fresh_pairs.get(cell(pair.after)), rule)) for pair in pairs(before, after)
    ]


def _without_shared(pair: Pair, change: RunChange) -> RunChange:
    """Return a change as it is; INCONCLUSIVE for an UNCHANGED one whose sides share attempts, which are equal to themselves."""
    shared = {*pair.before.attempts} & {*pair.after.attempts}
    if change.word != UNCHANGED or not shared:
        return change
    reason = f"{len(shared):,} attempt(s) stand on both sides, and are equal to themselves: {min(shared)}"
    return dataclasses.replace(
        change, word=INCONCLUSIVE, reasons=[reason, *change.reasons], found=[*change.found, UNSURE]
    )


def alone(groups: Iterable[Group], others: Iterable[Group]) -> list[str]:
    """Return the ids of the requests whose cell the other side does not have: nothing is said of them."""
    known = {cell(group) for group in others}
    return [group.request.id for group in groups if cell(group) not in known]


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


def between(pair: Pair, fresh: Pair | None = None, rule: Rule | None = None) -> RunChange:
    """Return the change between two groups.

    ``fresh`` holds groups of the same cell that were measured once more: a change that they do not show too is INCONCLUSIVE.
    """
    change = _judged(pair, rule or Rule())
    if fresh is None or change.word != CHANGED:
        return change
    return _confirmed(change, _judged(fresh, rule or Rule()))


def _judged(pair: Pair, rule: Rule) -> RunChange:
    before, after = pair.before, pair.after
    flags = flagging.of_sides(before.flagged, after.flagged)
    differences = _differences(pair)
    compared = counting.between(before.counts, after.counts)
    times = _times(pair, rule, differences, flagging.contended(flags))
    word, reasons = _decide(pair, times, compared, differences)
    return RunChange(
        case=after.request.case,
        before=before.request.id,
        after=after.request.id,
        word=word,
        reasons=reasons,
        found=_found(word, times, [] if differences else compared),
        launches=[len(before.latencies_s), len(after.latencies_s)],
        failed=[before.failed, after.failed],
        times=times,
        counts=compared,
        differences=differences,
        flags=flags,
        moved=_moved(pair),
        confirmed=None,
        confirmation=None,
    )


def _decide(
    pair: Pair, times: Times, compared: list[CountChange], differences: list[ConditionChange]
) -> tuple[ChangeWord, list[str]]:
    """Return the word of a pair and the reasons for the word: that of the times too, where the times decided."""
    if differences:
        told = (f"{each.condition} {each.before} before, {each.after} after" for each in differences)
        return INCONCLUSIVE, [f"the two sides are not comparable: {', '.join(told)}"]
    differing = [count.reason for count in compared if count.word == counting.DIFFERS and count.reason]
    if differing:
        return CHANGED, differing
    if times.word == CHANGED:
        return CHANGED, [times.reason]
    unsteady = [count.reason for count in compared if count.word == counting.UNSTEADY and count.reason]
    sides = {"before": pair.before.failed, "after": pair.after.failed}
    failed = [f"{number} launch(es) {side} gave no measurement" for side, number in sides.items() if number]
    mixed = _mixed(pair)
    if mixed is not None or unsteady or times.word == INCONCLUSIVE:
        of_times = times.reason if times.word == INCONCLUSIVE and times.reason != mixed else None
        return INCONCLUSIVE, [*filter(None, [mixed, *unsteady, of_times]), *failed]
    if pair.before.failed != pair.after.failed:
        return INCONCLUSIVE, [*failed, "as many of the other side did not fail"]
    if times.word == UNCHANGED:
        return UNCHANGED, [times.reason, *failed]
    if not any(count.word == counting.EQUAL and count.name == counting.OUTPUT_IDS for count in compared):
        return INCONCLUSIVE, ["no side tells tokens that the other side tells too", *failed]
    return UNCHANGED, ["all counts that both sides tell are equal; times are not judged", *failed]


def _mixed(pair: Pair) -> str | None:
    """Return in words that the launches of one side ran in unlike images of one tag; None where what is known agrees."""
    mixed = pair.before.moved_image or pair.after.moved_image
    return None if mixed is None else f"one side is not of one software: {mixed}"


def _found(word: ChangeWord, times: Times, compared: list[CountChange]) -> list[Found]:
    found: list[Found] = []
    if any(count.word == counting.DIFFERS for count in compared):
        found.append(COUNTS)
    direction = verdict.direction(times.word, times.ratio)
    if direction is not None:
        found.append(direction)
    if INCONCLUSIVE in (word, times.word):
        found.append(UNSURE)
    return found


def _confirmed(change: RunChange, second: RunChange) -> RunChange:
    """Return a CHANGED pair with what fresh launches of both sides say of it."""
    shown = {*change.found} & {*second.found} - {UNSURE}
    if COUNTS in shown and not _differing(change) & _differing(second):
        shown.discard(COUNTS)
    told = f"fresh launches: {second.word}"
    confirmation = "; ".join([told, *second.reasons, second.times.reason])
    times = change.times
    if times.word == CHANGED and not shown & {SLOWER, FASTER}:
        times = dataclasses.replace(
            times, word=INCONCLUSIVE, reason=f"fresh launches do not show it too; {times.reason}"
        )
    word: ChangeWord = CHANGED if shown else INCONCLUSIVE
    reasons = change.reasons if shown else ["fresh launches do not show the change too", *change.reasons]
    found: list[Found] = [kind for kind in change.found if kind in shown]
    if INCONCLUSIVE in (word, times.word):
        found.append(UNSURE)
    return dataclasses.replace(
        change, word=word, reasons=reasons, found=found, times=times, confirmed=bool(shown), confirmation=confirmation
    )


def _differing(change: RunChange) -> set[str]:
    return {count.name for count in change.counts if count.word == counting.DIFFERS}


def _differences(pair: Pair) -> list[ConditionChange]:
    """Return the conditions that launches of the two sides were not observed under alike; none where a side tells no condition."""
    old, new = pair.before.seen, pair.after.seen
    return [
        ConditionChange(name, " and ".join(sorted(old[name])), " and ".join(sorted(new[name])))
        for name in old
        if name in new and old[name] != new[name]
    ]


def _moved(pair: Pair) -> dict[str, list[str | None]]:
    """Return the packages of the stack, the images and all else that is pinned or told and differs, each with its two values."""
    before, after = pair.before.request, pair.after.request
    old, new = before.stack.packages, after.stack.packages
    moved = {name: [old.get(name), new.get(name)] for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
    digests = pair.before.digests, pair.after.digests
    for tag in sorted({*digests[0], *digests[1]}):
        old_image, new_image = (" and ".join(sorted(side.get(tag, ()))) or None for side in digests)
        if old_image != new_image:
            moved[tag] = [old_image, new_image]
    pinned: dict[str, list[str | None]] = {
        "engine": [before.engine, after.engine],
        "stack": [before.stack.name, after.stack.name],
        "image": [before.stack.image, after.stack.image],
        "model revision": [before.model.revision, after.model.revision],
        "protocol version": [before.protocol.version, after.protocol.version],
    }
    told: dict[str, list[str | None]] = {}
    for name, values in pair.before.told.items():
        others = pair.after.told.get(name, set())
        # what a side does not tell has not moved
        if values and others and values != others:
            told[name] = [" and ".join(sorted(values)), " and ".join(sorted(others))]
    return {**moved, **{name: values for name, values in pinned.items() if values[0] != values[1]}, **told}


def _times(pair: Pair, rule: Rule, differences: list[ConditionChange], contended: str | None) -> Times:
    """Return the times of two groups with their word: no word where times are not judged."""
    before_s, after_s = pair.before.latencies_s, pair.after.latencies_s
    if pair.before.emulated or pair.after.emulated:
        return Times(None, "something stood in for the device: its times say nothing")
    if pair.after.request.workload.dataset is not None:
        return Times(None, "a dataset is completed once, in no timed window: there is no latency")
    enough = min(len(before_s), len(after_s)) > 1
    change = verdict.between_runs(before_s, after_s, rule.margin, rule.power) if enough else None
    word, reason = _word_of_times(pair, rule, differences, contended, change)
    old_s, new_s = _mean_s(before_s), _mean_s(after_s)
    return Times(
        word=word,
        reason=reason,
        before_s=old_s,
        after_s=new_s,
        ratio=None if old_s is None or new_s is None else new_s / old_s,
        interval=None if change is None else change.interval,
        p=None if change is None else change.p,
        margin=rule.margin,
        smallest_change=None if change is None else change.smallest_change,
    )


def _mean_s(latencies_s: Sequence[float]) -> float | None:
    """Return the geometric mean, None of no launch."""
    return math.exp(statistics.fmean(map(math.log, latencies_s))) if latencies_s else None


def _word_of_times(
    pair: Pair, rule: Rule, differences: list[ConditionChange], contended: str | None, change: Change | None
) -> tuple[ChangeWord | None, str]:
    if pair.after.request.accelerator.is_the_host and not rule.judge_cpu:
        return None, "times of a CPU are shown and not judged"
    if differences:
        return INCONCLUSIVE, "the two sides were not measured alike"
    mixed = _mixed(pair)
    if mixed is not None:
        return INCONCLUSIVE, mixed
    if contended is not None:
        return INCONCLUSIVE, contended
    if change is None:
        return INCONCLUSIVE, "at least two launches are needed on each side"
    return change.word, change.reason


def refuse_counted(groups: Iterable[Group], fresh: Iterable[Group]) -> None:
    """Raise ``InputError`` if a fresh attempt is one of those that were compared: no attempt can confirm itself."""
    counted = {attempt for group in groups for attempt in group.attempts}
    again = sorted({attempt for group in fresh for attempt in group.attempts} & counted)
    if again:
        raise InputError(
            f"Attempt {again[0]} is part of the comparison already; it cannot confirm it. Measure both sides once more."
        )
