"""Draw a forest: measurements below each other, each with its interval, and a diamond for what a group of them says together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, scales, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _RIGHT = 12.0, WIDTH - 12
# A line of text, and the strip below the text in which a row is drawn.
_LINE, _STRIP = 15.0, 14.0
# Rows of one figure; a group of more shows those of the greatest weight, and the range of the others.
MOST_ROWS = 30
# Half the side of a square without a weight, and of squares of no and of all weight.
_PLAIN, _LEAST, _MOST = 3.5, 2.5, 5.5
# A diamond may lie this many spans of the rows beyond them; what goes on farther is cut, with an arrow.
_BEYOND = 1.0


@dataclass(frozen=True)
class ForestRow:
    """One measurement. ``label`` names it, ``basis`` says what it rests on, and ``shown`` is its number in words.

    ``interval`` is None where nothing is known of it. ``assumed`` says that the interval rests on an assumption, ``published`` that the
    number is one in print. ``weight`` is the share in what the group says together, None where nothing was merged.
    """

    label: str
    basis: str
    shown: str
    value: float
    interval: tuple[float, float] | None
    assumed: bool = False
    published: bool = False
    weight: float | None = None


@dataclass(frozen=True)
class Diamond:
    """What the rows of a group say together: the estimate, its interval, and that of one more measurement, None where nothing tells it.

    ``spread`` says in words how unlike the rows are.
    """

    label: str
    shown: str
    value: float
    interval: tuple[float, float]
    prediction: tuple[float, float] | None
    spread: str


@dataclass(frozen=True)
class ForestGroup:
    """Rows under one heading, None where the figure has one group; ``remark`` says why rows were not merged."""

    heading: str | None
    rows: tuple[ForestRow, ...]
    together: Diamond | None = None
    remark: str | None = None


@dataclass(frozen=True)
class ForestFigure:
    """What a forest shows: groups, which are never merged with each other. ``unit`` is that of all numbers, ``note`` what must be said."""

    name: str
    title: str
    groups: tuple[ForestGroup, ...]
    unit: str = "seconds"
    note: str | None = None


@dataclass(frozen=True)
class _Shown:
    """The rows of a group that are drawn, and the others."""

    group: ForestGroup
    rows: tuple[ForestRow, ...]
    others: tuple[ForestRow, ...]


def draw(forest: ForestFigure) -> Figure:
    """Return the figure of a forest. Raises ``ValueError`` where no group has a row."""
    shown, hidden = _chosen(forest.groups)
    scale = _scale(forest.groups)
    parts, y = (
        [svg.text(_LEFT, 16, words.fitted(forest.title, _RIGHT - _LEFT, words.SIZE, strong=True), "strong")],
        20.0,
    )
    if forest.note is not None:
        made, y = _paragraph(forest.note, y, "note")
        parts += made
    for each in shown:
        made, y = _group(each, scale, y)
        parts += made
    if hidden:
        rows = sum(len(group.rows) for group in hidden)
        told = f"{words.counted(len(hidden), 'more group')}, {words.counted(rows, 'measurement')}, not drawn"
        made, y = _paragraph(told, y, "quiet")
        parts += made
    y += 8
    parts += axes.below(scale, y, forest.unit)
    return Figure(forest.name, WIDTH, y + 40, forest.title, _description(forest), tuple(parts))


def _chosen(groups: tuple[ForestGroup, ...]) -> tuple[list[_Shown], list[ForestGroup]]:
    """Return what is drawn of the first groups, and the groups that have no room."""
    total = sum(len(group.rows) for group in groups)
    shown: list[_Shown] = []
    for number, group in enumerate(groups):
        if number == MOST_ROWS:
            return shown, list(groups[number:])
        share = len(group.rows) if total <= MOST_ROWS else max(1, MOST_ROWS * len(group.rows) // total)
        heaviest = sorted(range(len(group.rows)), key=lambda row: (-(group.rows[row].weight or 0.0), row))[:share]
        rows = tuple(row for index, row in enumerate(group.rows) if index in heaviest)
        others = tuple(row for index, row in enumerate(group.rows) if index not in heaviest)
        shown.append(_Shown(group, rows, others))
    return shown, []


def _scale(groups: tuple[ForestGroup, ...]) -> Scale:
    ends = [end for group in groups for row in group.rows for end in (row.value, *(row.interval or ()))]
    low, high = min(ends), max(ends)
    far = _BEYOND * (high - low)
    for group in groups:
        if group.together is not None:
            ends += [max(low - far, group.together.interval[0]), min(high + far, group.together.interval[1])]
    return scales.wide(ends, _LEFT, _RIGHT, edge=0.03)


def _group(shown: _Shown, scale: Scale, y: float) -> tuple[list[str], float]:
    """Return the elements of a group that begins at ``y``, and where it ends."""
    group, parts = shown.group, []
    if group.heading is not None:
        parts.append(svg.line(_LEFT, y + 6, _RIGHT, y + 6, "grid"))
        made, y = _paragraph(group.heading, y + 6, "quiet")
        parts += made
    for row in shown.rows:
        parts += [
            *_texts(row.label, row.basis, row.shown, y),
            *_strip(scale, y + _LINE),
            *_row(row, scale, y + _LINE + _STRIP / 2),
        ]
        y += _LINE + _STRIP
    if shown.others:
        values = [row.value for row in shown.others]
        label = f"{len(shown.others)} more, from least to most"
        parts += [
            *_texts(label, None, f"{words.digits(min(values))} to {words.digits(max(values))}", y),
            *_strip(scale, y + _LINE),
        ]
        middle = y + _LINE + _STRIP / 2
        parts.append(
            svg.line(scale.place(min(values)), middle, scale.place(max(values)), middle, "range", svg.hint(label))
        )
        y += _LINE + _STRIP
    if group.together is not None:
        diamond = group.together
        parts += [*_texts(diamond.label, None, diamond.shown, y, "small strong"), *_strip(scale, y + _LINE)]
        parts += _diamond(diamond, scale, y + _LINE + _STRIP / 2)
        y += _LINE + _STRIP
    for told in (None if group.together is None else group.together.spread, group.remark):
        if told is not None:
            made, y = _paragraph(told, y, "quiet")
            parts += made
    return parts, y + 2


def _texts(label: str, basis: str | None, shown: str, y: float, class_: str = "small") -> list[str]:
    """Return the words of a row. A label that has no room is cut, and is whole in its hint."""
    after = "" if basis is None else f", {basis}"
    room = _RIGHT - _LEFT - words.width(shown) - words.width(after) - 10
    fitted = words.fitted(label, room, strong="strong" in class_)
    hint = (svg.hint(label),) if fitted != label else ()
    return [
        svg.element("text", svg.escaped(fitted + after), *hint, class_=class_, x=_LEFT, y=y + 12),
        svg.text(_RIGHT, y + 12, shown, "quiet", "end"),
    ]


def _strip(scale: Scale, y: float) -> list[str]:
    """Return the ground of a row: grid lines where the axis has its ticks."""
    return [svg.line(x, y, x, y + _STRIP, "grid") for x in axes.tick_places(scale)]


def _row(row: ForestRow, scale: Scale, y: float) -> list[str]:
    hint = svg.hint(f"{row.label}: {row.shown}")
    x, parts = scale.place(row.value), []
    if row.interval is not None:
        low, high = map(scale.place, row.interval)
        kind = "theirs-line" if row.published else "ours-line"
        dashes = "3 3" if row.assumed else None
        parts.append(svg.element("line", class_=kind, x1=low, y1=y, x2=high, y2=y, stroke_dasharray=dashes))
        parts += [svg.line(end, y - 3, end, y + 3, kind.replace("line", "end")) for end in (low, high)]
    half = _PLAIN if row.weight is None else _LEAST + (_MOST - _LEAST) * row.weight**0.5
    class_ = "theirs-square" if row.published else "ours"
    parts.append(svg.rectangle(x - half, y - half, 2 * half, 2 * half, class_, hint))
    return parts


def _diamond(diamond: Diamond, scale: Scale, y: float) -> list[str]:
    parts = []
    if diamond.prediction is not None:
        low, high = (_within(end, scale) for end in diamond.prediction)
        parts.append(svg.line(low, y, high, y, "prediction"))
    (low, cut_low), (high, cut_high) = ((_within(end, scale), not scale.holds(end)) for end in diamond.interval)
    x = scale.place(diamond.value)
    corners = [(low, y - 4 * cut_low), (x, y - 5), (high, y - 4 * cut_high), (high, y + 4 * cut_high), (x, y + 5)]
    parts.append(svg.polygon([*corners, (low, y + 4 * cut_low)], "ours", svg.hint(f"{diamond.label}: {diamond.shown}")))
    # what is cut goes on beyond the figure
    for cut, end, way in ((cut_low, low, -1), (cut_high, high, 1)):
        if cut:
            parts.append(svg.polygon([(end + way, y - 5), (end + way, y + 5), (end + 7 * way, y)], "ours"))
    return parts


def _within(value: float, scale: Scale) -> float:
    return scale.place(max(scale.low, min(value, scale.high)))


def _paragraph(told: str, y: float, class_: str) -> tuple[list[str], float]:
    """Return text below ``y`` over the whole width, and where the text ends."""
    lines = words.wrapped(told, _RIGHT - _LEFT, lines=4)
    made = [svg.text(_LEFT, y + 12 + _LINE * number, line, class_) for number, line in enumerate(lines)]
    return made, y + _LINE * len(lines)


def _description(forest: ForestFigure) -> str:
    told = [] if forest.note is None else [f"{forest.note}."]
    for group in forest.groups:
        rows = [
            f"{row.label}, {row.basis}: {row.shown}"
            + (", weight " + f"{row.weight:.0%}" if row.weight is not None else "")
            for row in group.rows
        ]
        if group.together is not None:
            rows.append(f"{group.together.label}: {group.together.shown}, {group.together.spread}")
        rows += [group.remark] if group.remark is not None else []
        told.append((f"{group.heading}: " if group.heading is not None else "") + "; ".join(rows) + ".")
    return " ".join(told)
