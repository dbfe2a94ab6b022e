"""Draw how much of each time the memory needs at least: a bar of the time's share for each number, beside the whole time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _BARS_END, _RIGHT = 12.0, 216.0, WIDTH - 12
_LINE, _BAR, _GAP = 15.0, 12.0, 12.0
# Bars end here: a share above 1 is impossible, and how far above says nothing.
_MOST_SHARE = 1.5


@dataclass(frozen=True)
class Share:
    """The share of one time that reading the weights needs at least: ``words`` say whose, ``theirs`` whether it was published."""

    words: str
    share: float
    theirs: bool


@dataclass(frozen=True)
class FloorRow:
    """One cell: its name, what bounds it in words, and its shares."""

    title: str
    bound: str
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class FloorFigure:
    """All cells, in the order of the figure, and ``note``, what the figure must say of its numbers."""

    name: str
    title: str
    note: str | None
    rows: tuple[FloorRow, ...]


def draw(floor: FloorFigure) -> Figure:
    """Return the figure of all cells, for at least one cell."""
    most = min(_MOST_SHARE, max(1.0, *(share.share for row in floor.rows for share in row.shares)))
    scale = Scale(0, 100 * most, _LEFT, _BARS_END)
    parts, y = [svg.text(_LEFT, 16, words.fitted(floor.title, _RIGHT - _LEFT, words.SIZE, strong=True), "strong")], 20.0
    for line in words.wrapped(floor.note or "", _RIGHT - _LEFT):
        y += _LINE
        parts.append(svg.text(_LEFT, y - 4, line, "note"))
    for row in floor.rows:
        drawn, y = _row(row, scale, y + _GAP)
        parts += drawn
    what = "share of the time that memory alone needs, %"
    axis = axes.below(scale, y + 6, "", most=6)[:-1]
    parts += [*axis, svg.text(_LEFT, y + 38, what, "quiet")]
    return Figure(floor.name, WIDTH, y + 46, floor.title, _description(floor), tuple(parts))


def _row(row: FloorRow, scale: Scale, y: float) -> tuple[list[str], float]:
    """Return the name and the bars of one cell, and where they end."""
    y += _LINE - 4
    bound = words.fitted(row.bound, (_RIGHT - _LEFT) / 2)
    room = _RIGHT - _LEFT - words.width(bound) - 8
    parts = [
        svg.text(_LEFT, y, words.fitted(row.title, room, words.SIZE)),
        svg.text(_RIGHT, y, bound, "quiet", "end"),
    ]
    y += 6
    for share in row.shares:
        end = min(scale.place(100 * share.share), scale.end)
        hint = svg.hint(f"{share.words}: {share.share:.1%}")
        # what was published is a thinner bar: the two differ without colour too
        height = _BAR * (0.5 if share.theirs else 0.75)
        parts += [
            svg.rectangle(scale.start, y + (_BAR - height) / 2, scale.place(100) - scale.start, height, "bar-rest"),
            svg.rectangle(
                scale.start,
                y + (_BAR - height) / 2,
                end - scale.start,
                height,
                "bar-theirs" if share.theirs else "bar",
                hint,
            ),
            svg.text(
                _BARS_END + 12,
                y + _BAR - 2.5,
                words.fitted(f"{_percent(share.share)} {share.words}", _RIGHT - _BARS_END - 12),
                "small",
            ),
        ]
        y += _BAR + 2
    limit = scale.place(100)
    hint = svg.hint("the limit: memory alone needs all of the time")
    parts.append(svg.line(limit, y - len(row.shares) * (_BAR + 2) - 1, limit, y, "limit", hint))
    return parts, y


def _percent(share: float) -> str:
    return f"{share * 100:.0f}%" if share >= 0.1 else f"{share * 100:.1f}%"


def _description(floor: FloorFigure) -> str:
    told = [
        f"{row.title}: {', '.join(f'{share.words} {_percent(share.share)}' for share in row.shares)}; {row.bound}."
        for row in floor.rows
    ]
    return " ".join([*told, f"Note: {floor.note}." if floor.note else ""]).strip()
