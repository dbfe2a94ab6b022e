"""Draw a history: points in the order of time with their intervals, a line through them, and numbered marks where something changed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, scales, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _RIGHT = 12.0, WIDTH - 12
_LINE = 15.0
# The height in which points are drawn, and the row of the numbers of marks above them.
_HEIGHT, _MARKS = 120.0, 22.0
# The room of the number of a mark.
_NUMBER = 18.0
# Changes that are named below the axis.
_MOST_LISTED = 8
# Points nearer to each other than this are drawn small, and without the ends of their intervals.
_NEAR = 12.0


@dataclass(frozen=True)
class HistoryPoint:
    """One point: its label on the axis, its number in words, its value, and the interval, None where nothing is known of it."""

    label: str
    shown: str
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class HistoryMark:
    """A mark between the point numbered ``after`` and the next one: ``number`` is drawn, ``told`` says what changed.

    A ``number`` of None marks neighbours of which nothing could be said.
    """

    after: int
    number: int | None
    told: str


@dataclass(frozen=True)
class HistoryFigure:
    """What a history shows: points in order, of which there is one at least. ``lines`` stand below the title, ``note`` must be said.

    ``published`` says that the points are numbers in print, whose intervals are assumed.
    """

    name: str
    title: str
    points: tuple[HistoryPoint, ...]
    marks: tuple[HistoryMark, ...]
    order: str
    lines: tuple[str, ...] = ()
    published: bool = False
    note: str | None = None


def draw(history: HistoryFigure) -> Figure:
    """Return the figure of a history. Raises ``ValueError`` for one without points."""
    parts, y = _header(history)
    top = y + _MARKS
    bottom = top + _HEIGHT
    ends = [end for point in history.points for end in (point.value, *(point.interval or ()))]
    upwards = scales.around(ends, bottom - 6, top + 6)
    made, left = axes.left(upwards, _LEFT, _RIGHT)
    parts += made
    places = _places(len(history.points), left + 12, _RIGHT - 12)
    drawn = -_NUMBER
    for mark in sorted(history.marks, key=lambda mark: mark.after):
        x = (places[mark.after] + places[mark.after + 1]) / 2
        has_room = x - drawn >= _NUMBER
        parts += _mark(mark, x, y, bottom, has_room)
        drawn = x if has_room else drawn
    parts += _line(history, places, upwards)
    for point, x in zip(history.points, places, strict=True):
        parts += _point(point, history.published, x, upwards, _gap(places))
    parts += _days(history, places, bottom)
    listed = _list(history.marks, bottom + 38)
    height = bottom + 42 + _LINE * len(listed)
    return Figure(history.name, WIDTH, height, history.title, _description(history), (*parts, *listed))


def _header(history: HistoryFigure) -> tuple[list[str], float]:
    parts: list[str] = []
    y = 4.0
    for line in words.wrapped(history.title, _RIGHT - _LEFT, size=words.SIZE, strong=True):
        parts.append(svg.text(_LEFT, y + 12, line, "strong"))
        y += 16
    for told, class_ in (*((line, "quiet") for line in history.lines), (history.note, "note")):
        for line in words.wrapped(told or "", _RIGHT - _LEFT):
            parts.append(svg.text(_LEFT, y + 12, line, class_))
            y += _LINE
    return parts, y


def _places(count: int, start: float, end: float) -> list[float]:
    """Return equally distant places; the middle for one point."""
    return [
        start + (end - start) * (index + 0.5 if count == 1 else index) / max(1, count - 1) for index in range(count)
    ]


def _gap(places: list[float]) -> float:
    return places[1] - places[0] if len(places) > 1 else _NEAR


def _line(history: HistoryFigure, places: list[float], upwards: Scale) -> list[str]:
    corners = [(x, upwards.place(point.value)) for point, x in zip(history.points, places, strict=True)]
    class_ = "theirs-thin" if history.published else "ours-thin"
    return [svg.line(*start, *end, class_) for start, end in itertools.pairwise(corners)]


def _point(point: HistoryPoint, published: bool, x: float, upwards: Scale, gap: float) -> list[str]:
    kind, parts = "theirs" if published else "ours", []
    if point.interval is not None:
        low, high = map(upwards.place, point.interval)
        parts.append(svg.line(x, low, x, high, f"{kind}-line"))
        if gap >= _NEAR:
            parts += [svg.line(x - 3, end, x + 3, end, f"{kind}-end") for end in (low, high)]
    half, y = 3.5 if gap >= _NEAR else 2.0, upwards.place(point.value)
    hint = svg.hint(f"{point.label}: {point.shown}")
    if published:
        return [*parts, svg.rectangle(x - half, y - half, 2 * half, 2 * half, "theirs-square", hint)]
    return [*parts, svg.circle(x, y, half, "ours", hint)]


def _mark(mark: HistoryMark, x: float, y: float, bottom: float, has_room: bool) -> list[str]:
    """Return a vertical line where something changed, a short one where nothing could be said; its number or "?" stands above."""
    if mark.number is None:
        parts = [svg.line(x, bottom - 6, x, bottom, "change", svg.hint(mark.told))]
        return [*parts, svg.text(x, y + 15, "?", "quiet", "middle")] if has_room else parts
    parts = [svg.line(x, y + _MARKS - 1, x, bottom, "change", svg.hint(mark.told))]
    if has_room:
        parts.append(svg.circle(x, y + 11, 8, "change-number", svg.hint(mark.told)))
        parts.append(svg.text(x, y + 15, str(mark.number), "small", "middle"))
    return parts


def _days(history: HistoryFigure, places: list[float], bottom: float) -> list[str]:
    """Return the labels of as many points as have room, the first and the last before all others, and what their order is."""
    parts = [svg.line(x, bottom, x, bottom + 3, "axis") for x in places]
    taken: list[tuple[float, float]] = []
    last = len(places) - 1
    for index in dict.fromkeys((0, last, *range(last))):
        label = words.fitted(history.points[index].label, 90)
        half = words.width(label) / 2
        x = max(_LEFT + half, min(places[index], _RIGHT - half))
        if all(abs(x - other) >= half + wide + 6 for other, wide in taken):
            taken.append((x, half))
            parts.append(svg.text(x, bottom + 16, label, "quiet", "middle"))
    return [*parts, svg.text((_LEFT + _RIGHT) / 2, bottom + 32, history.order, "quiet", "middle")]


def _list(marks: tuple[HistoryMark, ...], y: float) -> list[str]:
    """Return what changed, one line for each of the first numbered marks below ``y``."""
    numbered = [mark for mark in marks if mark.number is not None]
    lines = [f"{mark.number}: {mark.told}" for mark in numbered[:_MOST_LISTED]]
    more = len(numbered) - len(lines)
    lines += [f"{words.counted(more, 'more change')}"] * bool(more)
    return [
        svg.text(_LEFT, y + _LINE * (index + 1), words.fitted(line, _RIGHT - _LEFT), "small")
        for index, line in enumerate(lines)
    ]


def _description(history: HistoryFigure) -> str:
    told = [f"{line}." for line in (*history.lines, history.note) if line]
    told.append("; ".join(f"{point.label}: {point.shown}" for point in history.points) + ".")
    told += [f"{'?' if mark.number is None else mark.number}: {mark.told}." for mark in history.marks]
    return " ".join(told)
