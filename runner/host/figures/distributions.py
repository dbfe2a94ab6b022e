"""Draw several distributions below each other over one axis: a row each, its values as dots or bars, with its median marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, scales, strip, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _RIGHT = 12.0, WIDTH - 12
# A line of text, and the greatest height of the values of a row.
_LINE, _VALUES = 15.0, 20.0


@dataclass(frozen=True)
class DistributionRow:
    """One distribution: its label, what its values are, ``dots`` or ``bars``, and their median; ``note`` is what must be said of them."""

    label: str
    what: str
    dots: tuple[Dot, ...]
    bars: tuple[Bar, ...]
    median: float
    note: str | None = None

    def ends(self) -> tuple[float, float]:
        """Return the least and the greatest value."""
        ends = [dot.value for dot in self.dots] + [end for bar in self.bars for end in (bar.low, bar.high)]
        return min(ends), max(ends)


@dataclass(frozen=True)
class DistributionsFigure:
    """What the figure shows: rows, of which there is one at least, in ``unit``, each with its median in words.

    ``line`` stands below the title; ``what`` says what the numbers of the axis are.
    """

    name: str
    title: str
    line: str
    what: str
    unit: str
    rows: tuple[DistributionRow, ...]


def draw(shown: DistributionsFigure) -> Figure:
    """Return the figure of several distributions, for at least one value in each."""
    scale = scales.wide([end for row in shown.rows for end in row.ends()], _LEFT, _RIGHT)
    parts = [
        svg.text(_LEFT, 16, words.fitted(shown.title, _RIGHT - _LEFT, words.SIZE, strong=True), "strong"),
    ]
    made, y = _paragraph(shown.line, 20, "quiet")
    parts += made
    notes = {row.note for row in shown.rows}
    # what must be said of all is said once
    if len(notes) == 1:
        made, y = _paragraph(shown.rows[0].note, y, "note")
        parts += made
    for row in shown.rows:
        made, y = _row(row, shown.unit, len(notes) > 1, scale, y)
        parts += made
    y += 6
    parts += axes.below(scale, y, shown.what + scale.kind)
    return Figure(shown.name, WIDTH, y + 40, shown.title, _description(shown), tuple(parts))


def _paragraph(told: str | None, y: float, class_: str) -> tuple[list[str], float]:
    lines = words.wrapped(told or "", _RIGHT - _LEFT)
    made = [svg.text(_LEFT, y + 12 + _LINE * number, line, class_) for number, line in enumerate(lines)]
    return made, y + _LINE * len(lines)


def _row(row: DistributionRow, unit: str, noted: bool, scale: Scale, y: float) -> tuple[list[str], float]:
    """Return the words and the values of a row that begins at ``y``, and where the row ends."""
    y += 6
    median = f"{words.digits(row.median)} {unit}"
    label = words.fitted(row.label, _RIGHT - _LEFT - words.width(median) - 10)
    hint = (svg.hint(row.label),) if label != row.label else ()
    parts = [
        svg.element("text", svg.escaped(label), *hint, class_="small", x=_LEFT, y=y + 12),
        svg.text(_RIGHT, y + 12, median, "quiet", "end"),
    ]
    y += _LINE
    if noted:
        made, y = _paragraph(row.note, y, "note")
        parts += made
    if row.dots:
        drawn, height = strip.dots(scale, row.dots, 0, _VALUES)
    else:
        drawn, height = strip.bars(scale, row.bars, 0, _VALUES), _VALUES
    top, bottom = y + 2, y + height + 6
    parts += [svg.line(x, top, x, bottom, "grid") for x in axes.tick_places(scale)]
    values = svg.element("g", *drawn, transform=f"translate(0 {svg.number(bottom - 2)})")
    x = scale.place(row.median)
    mark = [svg.line(x, top, x, bottom, class_) for class_ in ("mark-ground", "mark")]
    # a bar would hide a mark, and a mark would hide a dot
    return [*parts, *([*mark, values] if row.dots else [values, *mark])], bottom


def _description(shown: DistributionsFigure) -> str:
    told = [f"{shown.line}."]
    for row in shown.rows:
        low, high = map(words.digits, row.ends())
        note = "" if row.note is None else f" ({row.note})"
        median = words.digits(row.median)
        told.append(f"{row.label}{note}: {row.what}, {low} to {high} {shown.unit}, median {median} {shown.unit}.")
    return " ".join(told)
