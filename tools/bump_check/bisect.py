"""Attribute a change to the pins that made it: measure trees between base and head, and say which pins are named and how sure that is.

Where head and base differ in counts, counts decide, of the cases in which they differ. They are exact: one launch of each tree between is
enough, against the launches of the base that are there already. Else times decide: the head is measured once more, in turn with the base,
and each tree between is too, with as many launches as before. Fresh launches of the head must show the change again, since the search was
begun because of the first. A pin is named only if the p-value of "base + pin", corrected by Holm for all comparisons of the search and all
their cases, is below ``MOST_ADJUSTED_P``.
docs/bumps.md describes what the words mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from runner.contract import files
from runner.contract.errors import InputError, KitError, Unreachable
from runner.contract.progress import Show
from runner.host.judging import verdict
from tools.bump_check import environments, launches, search, verdicts
from tools.bump_check.intermediate import Between
from tools.bump_check.launches import Measured
from tools.bump_check.search import CHANGED, INCONCLUSIVE, UNBUILDABLE, UNCHANGED, Cause, Found, Word
from tools.bump_check.sides import Side
from tools.bump_check.verdicts import Compared

By = Literal["counts", "times"]

# A name after as many comparisons as a search makes: wrong once in twenty searches at most.
MOST_ADJUSTED_P = 0.05

# Counts do not vary: a second launch would tell the same.
_LAUNCHES_BY_COUNTS = 1

# The name of the side that a tree between is; its results lie in a folder of the tree's hash, where the next run finds them.
_BETWEEN = "between"

_MAX_RESULT_BYTES = 1 << 28


@dataclass(frozen=True)
class Asked:
    """How the head was measured, and so how trees between are: the flags of ``request``, ``bench`` and ``compare``, and the launches.

    ``most`` is the largest number of trees that are measured; everything goes below ``folder``. ``in_images`` and
    ``keep_open`` are those of ``launches.measure``.
    """

    request_flags: tuple[str, ...]
    bench_flags: tuple[str, ...]
    compare_flags: tuple[str, ...]
    fail_on: str
    launches: int
    most: int
    folder: Path
    in_images: bool = False
    keep_open: tuple[int, ...] = ()


@dataclass(frozen=True)
class Compare:
    """One tree against the base: the pins that it has from the head, its word, and the reasons in sentences.

    ``p`` is the p-value of the case that changed most clearly, ``adjusted_p`` the same after Holm's correction for all comparisons of the
    search and all their cases; both are None where counts decide. ``interval`` is the 90% interval of that case's ratio of times.
    """

    moved: tuple[str, ...]
    word: Word
    reasons: tuple[str, ...]
    p: float | None = None
    adjusted_p: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Attribution:
    """Which pins changed a measurement. ``sentence`` says it whole.

    ``parts`` is everything that could be taken from the head separately. ``causes`` are the named pins; ``complete``, ``unresolved``,
    ``never_alone`` and ``ended`` are those of ``search.Found``. ``by_times_alone`` are cases whose times alone changed, which a search by
    counts leaves out. ``compared`` holds every comparison: first the head with the base, then the
    trees between in the order of the search.
    """

    by: By
    parts: tuple[str, ...]
    causes: tuple[Cause, ...]
    complete: bool
    unresolved: tuple[str, ...]
    never_alone: tuple[str, ...]
    ended: str
    compared: tuple[Compare, ...]
    most: int
    by_times_alone: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Which pins changed it, how sure that is, and what is not known."""
        return ". ".join([*self._named(), *self._open(), self._how_sure()]) + "."

    def _named(self) -> list[str]:
        told = [_said(cause) for cause in self.causes] or ["No pin is named"]
        if self.complete:
            is_one = len(self.causes) == 1 and len(self.causes[0].pins) == 1
            what = "has the counts of" if self.by == "counts" else "is UNCHANGED in time against"
            told.append(f"Without {'it' if is_one else 'them'} the head {what} the base")
        return told

    def _open(self) -> list[str]:
        told = []
        among = ", ".join(self.unresolved)
        if not self.complete:
            told.append(f"The search ended: {self.ended}")
        if among:
            others = f"Whether {among} changed something too is not known"
            told.append(others if self.causes else f"A cause is among {among}")
        if self.never_alone:
            dependents = ", ".join(self.never_alone)
            told.append(f"{dependents} cannot be without what is named, so no tree tells what else that changed")
        if self.by_times_alone:
            told.append(f"Which pin changed the time of {', '.join(self.by_times_alone)} was not looked for")
        return told

    def _how_sure(self) -> str:
        sure = (
            "Counts are exact" if self.by == "counts" else "Times decide, with p-values corrected for all comparisons"
        )
        measured = len(self.compared) - 1
        trees = "1 tree was" if measured == 1 else f"{measured} trees were"
        return f"{sure}; {trees} measured between base and head, of {self.most} at most"


def _said(cause: Cause) -> str:
    """Return a cause in a sentence, without its end."""
    pins = " and ".join(cause.pins)
    needed = ", ".join(pin for pin in cause.with_needed if pin not in cause.pins)
    beside = f" (beside {needed}, which must come with it)" if needed else ""
    if not cause.separated:
        return f"One or several of {', '.join(cause.pins)} changed it{beside}: no tree that could be measured tells them apart"
    if len(cause.pins) == 1:
        return f"{pins} changed it{beside}: the base with nothing else of the head is CHANGED"
    fewer = "no measured tree with fewer of them alone is"
    return f"{pins} changed it together{beside}: the base with these of the head is CHANGED, and {fewer}"


def attribute(
    base: Side, head: Side, measured: Measured, compared: Compared, asked: Asked, show: Show
) -> Attribution | None:
    """Return which pins changed what ``compared`` says is CHANGED; None where nothing changed.

    Raises ``InputError`` where no trees between the two can be made, and ``Interrupted`` for a signal.
    """
    changed = [change for change in compared.changes if change.get("word") == CHANGED]
    if not changed:
        return None
    counted = [change for change in changed if "counts" in (change.get("found") or [])]
    by: By = "counts" if counted else "times"
    by_times_alone = tuple(str(change["case"]) for change in changed if counted and change not in counted)
    changed = counted or changed
    cases = tuple(str(change["case"]) for change in changed)
    between = Between(base.tree, head.tree, _stacks(measured, cases), show, asked.in_images)
    order = between.space.order
    if not order:
        raise InputError(
            "Base and head differ in no pin and no code that acts on this measurement: nothing can be attributed."
        )
    show(f"{len(order)} parts moved ({', '.join(order)}); at most {asked.most} trees between are measured, by {by}")
    trees = _Trees(base, head, between, measured, cases, by, asked, show)
    trees.compared.append(_compare(order, changed, by) if by == "counts" else trees.fresh(order))
    fresh = trees.compared[0]
    if fresh.word != CHANGED:
        ended = f"fresh launches of the head are {fresh.word} against the base ({'; '.join(fresh.reasons)})"
        return Attribution(by, order, (), False, order, (), ended, (fresh,), asked.most)
    found = search.find(between.space, trees.word, asked.most)
    told = _attribution(found, by, order, trees.compared, asked.most, len(cases))
    return replace(told, by_times_alone=by_times_alone)


class _Trees:
    """Makes and measures trees between two sides, and keeps what each comparison said."""

    def __init__(
        self,
        base: Side,
        head: Side,
        between: Between,
        measured: Measured,
        cases: Sequence[str],
        by: By,
        asked: Asked,
        show: Show,
    ) -> None:
        self._base, self._head, self._between, self._measured = base, head, between, measured
        self._cases, self._by, self._asked, self._show = cases, by, asked, show
        self.compared: list[Compare] = []

    def word(self, moved: tuple[str, ...]) -> Word:
        """Measure the tree that has the ``moved`` parts from the head, and return its word against the base."""
        number = len(self.compared)
        self._show(f"tree {number} of at most {self._asked.most}: the base with {', '.join(moved)} of the head")
        compare = self._compare(moved)
        self._show(f"tree {number}: {compare.word}" + (f" ({compare.reasons[0]})" if compare.reasons else ""))
        self.compared.append(compare)
        return compare.word

    def fresh(self, order: tuple[str, ...]) -> Compare:
        """Measure the head once more, in turn with the base, and return what is said of these launches alone."""
        self._show("the head once more, since the launches that began the search cannot confirm themselves")
        return self._compared(order, self._head, self._asked.folder / "head")

    def _compare(self, moved: tuple[str, ...]) -> Compare:
        try:
            tree = self._between.make(moved, self._asked.folder / "trees")
            side = Side(_BETWEEN, tree, environments.make(tree, self._show))
        # an index that does not answer says nothing about the tree
        except Unreachable as problem:
            return Compare(moved, INCONCLUSIVE, (str(problem),))
        except KitError as problem:
            return Compare(moved, UNBUILDABLE, (str(problem),))
        return self._compared(moved, side, self._asked.folder / tree.name[:12])

    def _compared(self, moved: tuple[str, ...], side: Side, folder: Path) -> Compare:
        """Measure a side, and return its comparison with the base."""
        if self._by == "counts":
            done = self._measure((side,), _LAUNCHES_BY_COUNTS, folder)
            done = replace(done, results={**done.results, self._base.name: self._measured.results[self._base.name]})
        else:
            done = self._measure((self._base, side), self._asked.launches, folder)
        failed = tuple(launches.said(each) for each in done.failed(side.name))
        # a launch that failed a check has a result with its counts
        if not any(each.result for each in done.outcomes if each.side == side.name):
            return Compare(moved, UNBUILDABLE, failed[:1])
        judge = replace(self._head, name=side.name)
        compared = verdicts.compare(
            judge, done, self._base.name, folder, self._asked.fail_on, self._asked.compare_flags
        )
        rows = [change for change in compared.changes if change.get("case") in self._cases]
        if compared.error is not None or len(rows) < len(self._cases):
            return Compare(moved, INCONCLUSIVE, (str(compared.error or "a case was not compared"),))
        told = _compare(moved, rows, self._by)
        return replace(told, word=UNBUILDABLE, reasons=failed[:1]) if failed and told.word == INCONCLUSIVE else told

    def _measure(self, sides: Sequence[Side], number: int, folder: Path) -> Measured:
        asked = self._asked
        return launches.measure(
            sides,
            self._cases,
            number,
            folder,
            self._show,
            asked.request_flags,
            asked.bench_flags,
            in_images=asked.in_images,
            keep_open=asked.keep_open,
        )


def _compare(moved: tuple[str, ...], rows: Sequence[Mapping[str, Any]], by: By) -> Compare:
    """Return what the rows of ``compare``, one for each case, say of a tree."""
    words = [_word_by_counts(row) if by == "counts" else _word_by_times(row) for row in rows]
    word: Word = CHANGED if CHANGED in words else INCONCLUSIVE if INCONCLUSIVE in words else UNCHANGED
    telling = [row for row, each in zip(rows, words, strict=True) if each == word]
    reasons = tuple(f"{row['case']}: {reason}" for row in telling for reason in _reasons(row, by, word))
    if by == "counts":
        return Compare(moved, word, reasons)
    times = [(row["times"]["p"], row["times"]["interval"]) for row in telling if row["times"].get("p") is not None]
    p, interval = min(times, key=lambda told: float(told[0]), default=(None, None))
    return Compare(moved, word, reasons, p, None, None if interval is None else (interval[0], interval[1]))


def _word_by_counts(row: Mapping[str, Any]) -> Word:
    told = {str(count["name"]): str(count["word"]) for count in row.get("counts") or []}
    if row.get("differences"):
        return INCONCLUSIVE
    if "differs" in told.values():
        return CHANGED
    return UNCHANGED if told.get("output ids") == "equal" and "unsteady" not in told.values() else INCONCLUSIVE


def _word_by_times(row: Mapping[str, Any]) -> Word:
    word = row["times"].get("word")
    if row.get("differences") or word not in (CHANGED, UNCHANGED):
        return INCONCLUSIVE
    return CHANGED if word == CHANGED else UNCHANGED


def _reasons(row: Mapping[str, Any], by: By, word: Word) -> list[str]:
    """Return why a row has its word; of counts, those that differ."""
    if by == "times":
        return [str(row["times"].get("reason"))]
    if word == CHANGED:
        return [str(count["reason"]) for count in row["counts"] if count["word"] == "differs"]
    if word == UNCHANGED:
        return ["all counts that both sides tell are equal"]
    return [str(reason) for reason in row.get("reasons") or []]


def _attribution(
    found: Found, by: By, order: tuple[str, ...], compared: Sequence[Compare], most: int, cases: int = 1
) -> Attribution:
    """Return the outcome with corrected p-values; a cause whose corrected p-value is too large is not named."""
    corrected = _corrected(compared, cases)
    p_of = {each.moved: each.adjusted_p for each in corrected}

    def is_sure(cause: Cause) -> bool:
        p = p_of[cause.with_needed]
        return by == "counts" or (p is not None and p < MOST_ADJUSTED_P)

    sure = tuple(filter(is_sure, found.causes))
    unsure = [cause for cause in found.causes if cause not in sure]
    unresolved, ended = found.unresolved, found.ended
    if unsure:
        doubtful = [pin for cause in unsure for pin in cause.pins]
        unresolved = tuple(pin for pin in order if pin in {*unresolved, *doubtful})
        ended = "; ".join(
            [
                f"the corrected p-value of {', '.join(doubtful)} is {MOST_ADJUSTED_P} or more, which is too large for a name",
                *filter(None, [ended]),
            ]
        )
    return Attribution(
        by, order, sure, found.complete and not unsure, unresolved, found.never_alone, ended, tuple(corrected), most
    )


def _corrected(compared: Sequence[Compare], cases: int) -> list[Compare]:
    """Return comparisons with Holm's corrected p-values; those without a p-value stay as they are.

    The p-value of a comparison is the smallest of so many ``cases``, and counts as often.
    """
    adjusted = iter(verdict.holm([min(1.0, each.p * cases) for each in compared if each.p is not None]))
    return [each if each.p is None else replace(each, adjusted_p=next(adjusted)) for each in compared]


def _stacks(measured: Measured, cases: Sequence[str]) -> list[str]:
    """Return the stacks that measured cases, as results say."""
    stacks: dict[str, None] = {}
    for outcome in measured.outcomes:
        if outcome.case in cases and outcome.result is not None:
            result = json.loads(files.read_bytes(outcome.result, _MAX_RESULT_BYTES))
            stacks[str(result["request"]["stack"]["name"])] = None
    return list(stacks)
