"""Draw the axis of a figure: a line with ticks, and what the numbers are."""

from __future__ import annotations

import itertools

from runner.host.figures import svg, words
from runner.host.figures.scales import Scale

# The least room between the texts of two ticks.
_GAP = 8.0
# How far a text may reach beyond the axis, on both sides.
_BEYOND = 10.0


def below(scale: Scale, y: float, what: str, top: float | None = None, most: int = 5) -> tuple[str, ...]:
    """Return a horizontal axis at ``y`` with ticks, and ``what`` below the ticks; with ``top`` grid lines from ``top`` to the axis.

    There are at most ``most`` ticks, and no more than have room for their texts. The axis reaches 36 units below ``y``.
    """
    parts = [svg.line(scale.start, y, scale.end, y, "axis")]
    for tick, text, middle in _ticks(scale, most):
        x = scale.place(tick)
        if top is not None:
            parts.append(svg.line(x, top, x, y, "grid"))
        parts += [svg.line(x, y, x, y + 4, "axis tick-mark"), svg.text(middle, y + 16, text, "tick", "middle")]
    parts.append(svg.text((scale.start + scale.end) / 2, y + 32, what, "quiet", "middle"))
    return tuple(parts)


def left(scale: Scale, start: float, end: float, most: int = 5) -> tuple[tuple[str, ...], float]:
    """Return a vertical axis without a line: the texts of ticks from ``start`` on, grid lines to ``end``, and where the lines begin."""
    ticks = scale.ticks(most)
    texts = scale.texts(ticks)
    edge = start + max(map(words.width, texts), default=0.0) + 6
    parts = []
    for tick, text in zip(ticks, texts, strict=True):
        y = scale.place(tick)
        parts += [svg.line(edge, y, end, y, "grid tick-mark"), svg.text(edge - 6, y + 4, text, "tick", "end")]
    return tuple(parts), edge


def tick_places(scale: Scale, most: int = 5) -> list[float]:
    """Return the places of the ticks that ``below`` draws."""
    return [scale.place(tick) for tick, _, _ in _ticks(scale, most)]


def _ticks(scale: Scale, most: int) -> list[tuple[float, str, float]]:
    """Return the ticks that have room, each with its text and the middle of the text."""
    for count in range(most, 0, -1):
        ticks = scale.ticks(count)
        texts = scale.texts(ticks)
        widths = [words.width(text) for text in texts]
        middles = [within(scale.place(tick), width, scale) for tick, width in zip(ticks, widths, strict=True)]
        ends = itertools.pairwise(zip(middles, widths, strict=True))
        if all(right - left >= (one + other) / 2 + _GAP for (left, one), (right, other) in ends):
            return list(zip(ticks, texts, middles, strict=True))
    return []


def within(x: float, width: float, scale: Scale) -> float:
    """Return the middle of a text of ``width`` that is as near to ``x`` as the ends of the axis allow."""
    return max(scale.start - _BEYOND + width / 2, min(x, scale.end + _BEYOND - width / 2))
