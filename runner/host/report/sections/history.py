"""The same case over stacks and time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import cast

from runner.host.figures import history as history_figure
from runner.host.figures import words
from runner.host.figures.history import HistoryFigure, HistoryMark, HistoryPoint
from runner.host.figures.svg import Figure
from runner.host.judging import history
from runner.host.judging.history import History, Step
from runner.host.judging.verdict import CHANGED, INCONCLUSIVE, UNCHANGED
from runner.host.report.material import Material

HEADING: str | None = "Over time"
# Cases whose histories are drawn, the newest.
MOST_CASES = 20
# What moved that is named in words; the data hold all.
_MOST_MOVED = 6


@dataclass(frozen=True)
class NamedChange:
    """A change between two neighbours: its number in the figure, the two days, its size, and the bump that it came with, in words."""

    number: int
    before: str
    after: str
    size: str
    moved: str
    reasons: list[str]


@dataclass(frozen=True)
class NamedHistory:
    """A history, the name of its figure, its changes in words, and a sentence that counts all neighbours by their word.

    ``unsure`` are the neighbours of which nothing could be said, with the reasons. ``note`` is what the figure must say.
    """

    figure: str
    history: History
    changes: list[NamedChange]
    unsure: list[str]
    counted: str
    note: str | None


@dataclass(frozen=True)
class Histories:
    """What was measured here over time, how many older cases are not drawn, and what others published over releases."""

    measured: list[NamedHistory]
    left_out: int
    published: list[NamedHistory]


def content(material: Material) -> Histories | None:
    """Return the histories; None where neither a case nor a publisher's series has two points."""
    by_request = {measured.group.request.id: measured for measured in material.measured}
    cases, measured = history.by_case(material.measured), []
    for number, each in enumerate(map(history.of_case, cases[:MOST_CASES])):
        newest = by_request[each.points[-1].name]
        name = f"history-{number + 1}-{newest.group.request.case}"
        measured.append(_named(name, each, material.note(newest)))
    published = [
        _named(f"history-published-{number + 1}", each, None)
        for number, each in enumerate(history.published(material.catalog, material.cells()))
    ]
    return Histories(measured, len(cases) - len(measured), published) if measured or published else None


def figures(content: object) -> list[Figure]:
    """Return one figure for each history."""
    histories = cast(Histories, content)
    return [history_figure.draw(_figure(each)) for each in (*histories.measured, *histories.published)]


def _named(figure: str, each: History, note: str | None) -> NamedHistory:
    words_of_steps = Counter(step.word for step in each.steps)
    by_word = [
        f"{words_of_steps[word]} {word}" for word in (CHANGED, UNCHANGED, INCONCLUSIVE) if word in words_of_steps
    ]
    return NamedHistory(
        figure=figure,
        history=each,
        changes=[_change(each, number + 1, step) for number, step in enumerate(each.changes)],
        unsure=[f"{_days(each, step)}: {'; '.join(step.reasons)}" for step in each.steps if step.word == INCONCLUSIVE],
        counted=f"{words.counted(len(each.steps), 'step')}: {', '.join(by_word)}" if each.steps else "",
        note=note,
    )


def _days(each: History, step: Step) -> str:
    return f"{_label(each, step.before)} to {_label(each, step.before + 1)}"


def _label(each: History, number: int) -> str:
    """Return the day of a point, and which one of that day; a publication's name."""
    point = each.points[number]
    if each.published or point.day is None:
        return point.name
    same = [index for index, other in enumerate(each.points) if other.day == point.day]
    return point.day if len(same) == 1 else f"{point.day} ({same.index(number) + 1})"


def _change(each: History, number: int, step: Step) -> NamedChange:
    return NamedChange(
        number=number,
        before=_label(each, step.before),
        after=_label(each, step.before + 1),
        size=_size(step),
        moved=_moved(step),
        reasons=step.reasons,
    )


def _size(step: Step) -> str:
    if step.ratio is None:
        return "counts differ"
    told = f"{step.ratio - 1:+.1%}"
    return told if step.p is None else f"{told}, p {step.p:.2g}" if step.p >= 0.0001 else f"{told}, p < 0.0001"


def _moved(step: Step) -> str:
    """Return what moved in words."""
    told = [f"{name} {old or 'none'} to {new or 'none'}" for name, (old, new) in step.moved.items()]
    more = len(told) - _MOST_MOVED
    if more > 0:
        told = [*told[:_MOST_MOVED], f"{more} more"]
    return ", ".join(told) or "nothing that is pinned or told"


def _figure(named: NamedHistory) -> HistoryFigure:
    each = named.history
    numbers = {step.before: number + 1 for number, step in enumerate(each.changes)}
    marks = []
    for step in each.steps:
        if step.word == CHANGED:
            marks.append(HistoryMark(step.before, numbers[step.before], f"{_size(step)}: {_moved(step)}"))
        elif step.word == INCONCLUSIVE:
            marks.append(
                HistoryMark(step.before, None, f"{_days(each, step)}: INCONCLUSIVE, {'; '.join(step.reasons)}")
            )
    told = ["single numbers: their variation is assumed"] if each.published else []
    told += [f"{each.older} older not drawn"] if each.older else []
    told += [f"{words.counted(each.untimed, 'request')} without a time"] if each.untimed else []
    return HistoryFigure(
        name=named.figure,
        title=each.what,
        points=tuple(_point(each, number) for number in range(len(each.points))),
        marks=tuple(marks),
        order="seconds; release after release" if each.published else "seconds; each set of pins, by its first day",
        lines=tuple(filter(None, (named.counted, ", ".join(told)))),
        published=each.published,
        note=named.note,
    )


def _point(each: History, number: int) -> HistoryPoint:
    point = each.points[number]
    shown = f"{words.digits(point.latency_s)} s"
    if point.interval_s is not None:
        shown += f" ({words.digits(point.interval_s[0])} to {words.digits(point.interval_s[1])})"
    basis = "its variation is assumed" if each.published else words.counted(point.launches, "launch", "launches")
    return HistoryPoint(_label(each, number), f"{shown}, {point.stack}, {basis}", point.latency_s, point.interval_s)
