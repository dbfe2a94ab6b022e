"""Draw many times along one axis, as dots or as bars, with some of them marked: a median, a percentile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, scales, strip, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _RIGHT = 12.0, WIDTH - 12
_LINE, _HEIGHT = 15.0, 56.0


@dataclass(frozen=True)
class Mark:
    """A number of the distribution with its name, such as ``median``."""

    name: str
    value: float


@dataclass(frozen=True)
class DistributionFigure:
    """What the figure of a distribution shows: ``dots`` or ``bars`` in ``unit``, and ``marks``, at most two, the lower one first.

    ``lines``, at least one, stand below the title; the first says what was measured. ``what`` says what the numbers of the
    axis are, ``note`` what the figure must say of its launches.
    """

    name: str
    title: str
    lines: tuple[str, ...]
    note: str | None
    what: str
    unit: str
    dots: tuple[Dot, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]


def draw(shown: DistributionFigure) -> Figure:
    """Return the figure of a distribution, for at least one value."""
    ends = [dot.value for dot in shown.dots] + [end for bar in shown.bars for end in (bar.low, bar.high)]
    scale = scales.wide([*ends, *(mark.value for mark in shown.marks)], _LEFT, _RIGHT)
    y = 16.0
    parts = [svg.text(_LEFT, y, words.fitted(shown.title, _RIGHT - _LEFT, words.SIZE, strong=True), "strong")]
    lines = [("quiet", words.fitted(line, _RIGHT - _LEFT)) for line in shown.lines]
    lines += [("note", line) for line in words.wrapped(shown.note or "", _RIGHT - _LEFT)]
    for class_, line in lines:
        y += _LINE
        parts.append(svg.text(_LEFT, y, line, class_))
    y += 4
    if shown.dots:
        drawn, height = strip.dots(scale, shown.dots, 0, _HEIGHT)
    else:
        drawn, height = strip.bars(scale, shown.bars, 0, _HEIGHT), _HEIGHT
    top = y + _LINE * len(shown.marks) + 4
    bottom = top + 8 + height
    values = svg.element("g", *drawn, transform=f"translate(0 {svg.number(bottom - 2)})")
    marks = _marks(shown, scale, y, bottom)
    # a bar would hide a mark, and a mark would hide a dot
    parts += [*marks, values] if shown.dots else [values, *marks]
    parts += axes.below(scale, bottom, shown.what + scale.kind)
    told = f"{'. '.join(shown.lines)}. From {words.digits(min(ends))} to {words.digits(max(ends))} {shown.unit}"
    told += "".join(f", {mark.name} {words.digits(mark.value)} {shown.unit}" for mark in shown.marks)
    told += f". Note: {shown.note}." if shown.note else "."
    return Figure(shown.name, WIDTH, bottom + 40, f"{shown.title}, {shown.lines[0]}", told, tuple(parts))


def _marks(shown: DistributionFigure, scale: Scale, y: float, bottom: float) -> list[str]:
    """Return a line for each mark with its words above it, those of the lower mark below those of the higher one."""
    parts: list[str] = []
    top = y + _LINE * len(shown.marks) + 2
    below: tuple[float, float] | None = None
    for row, mark in enumerate(shown.marks):
        x, base = scale.place(mark.value), top - 2 - _LINE * row
        text = f"{mark.name} {words.digits(mark.value)} {shown.unit}"
        wide = words.width(text)
        # the lowest words stand before their line, the others behind it, where there is room: so no line goes through words
        before = x - _LEFT > wide + 4 if row == 0 else x + wide + 4 > _RIGHT
        start = x - 4 - wide if before else x + 4
        parts.append(svg.text(start + wide if before else start, base, text, "small", "end" if before else "start"))
        crosses = below is not None and below[0] - 2 < x < below[1] + 2
        ends = (x, top if crosses else base - 9, x, bottom)
        parts += [svg.line(*ends, "mark-ground"), svg.line(*ends, "mark")]
        below = start, start + wide
    return parts
