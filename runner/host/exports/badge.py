"""A badge: an SVG of one line with a published cell, the verdict on it, and the day of the newest launch. It needs no network."""

from __future__ import annotations

from collections.abc import Sequence

from runner.host.exports.conditions import foreign
from runner.host.figures import svg
from runner.host.figures.words import width
from runner.host.judging import measured as measurements
from runner.host.judging.measured import Measured
from runner.host.judging.verdict import FASTER, REPRODUCED, SLOWER

_HEIGHT, _FONT, _BASE_LINE, _PADDING = 20, 11, 14, 7
_FONTS = "Verdana, DejaVu Sans, Geneva, sans-serif"
# White text on each of them has a contrast of at least 4.5 (WCAG 2.2 AA); the word says what the colour says.
_CELL, _DAY, _OPEN = "#24292f", "#57606a", "#4b5563"
_COLOURS = {REPRODUCED: "#0b6b3a", FASTER: "#0b4f8a", SLOWER: "#a33b00"}


def text(measured: Sequence[Measured]) -> str:
    """Return the badge of what was measured beside one published cell: of comparable results first, then of the newest.

    Raises ``ValueError`` where the rows are not those of one cell.
    """
    (claim,) = {row.claim for of_request in measured for row in of_request.rows}
    of_request, cell = measurements.beside(measured, claim)[0]
    colour = _COLOURS.get(cell.word, _OPEN)
    day = max(of_request.group.attempts)
    parts = [
        (f"{foreign(cell.published)}: {foreign(cell.published_s)} s", _CELL),
        (cell.word, colour),
        (f"{day[:4]}-{day[4:6]}-{day[6:8]}", _DAY),
    ]
    return _drawn(parts)


def _drawn(parts: Sequence[tuple[str, str]]) -> str:
    elements, x = [], 0.0
    for words, colour in parts:
        inside = width(words, _FONT)
        elements += [
            svg.element("rect", x=x, y=0, width=inside + 2 * _PADDING, height=_HEIGHT, fill=colour),
            # the text fills its box in whatever font the reader has
            svg.element(
                "text",
                svg.escaped(words),
                x=x + _PADDING,
                y=_BASE_LINE,
                textLength=inside,
                lengthAdjust="spacingAndGlyphs",
            ),
        ]
        x += inside + 2 * _PADDING
    title = ", ".join(words for words, _ in parts)
    return (
        svg.element(
            "svg",
            svg.element("title", svg.escaped(title)),
            svg.element("g", *elements, fill="#ffffff", font_family=_FONTS, font_size=_FONT),
            xmlns="http://www.w3.org/2000/svg",
            width=x,
            height=_HEIGHT,
            viewBox=f"0 0 {svg.number(x)} {_HEIGHT}",
            role="img",
            aria_label=title,
        )
        + "\n"
    )
