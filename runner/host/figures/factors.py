"""Draw factors beside the one that is claimed in words: as the published numbers give them, and as measured, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, scales, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _RIGHT = 12.0, WIDTH - 12
# The column of the numbers in words, right of the marks: "published 2.887" is the widest that is common.
_NUMBERS = 112.0
# A line of text, and a line of marks.
_LINE, _MARKS, _GAP = 15.0, 16.0, 7.0


@dataclass(frozen=True)
class Measured:
    """A factor as measured, and its 90% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Factor:
    """One factor: ``words`` say what is set against what, ``measured`` is None where no launches tell it."""

    words: str
    published: float
    measured: Measured | None


@dataclass(frozen=True)
class FactorsFigure:
    """What a figure of factors shows.

    ``reference`` is the number that the factors are read against, ``reference_words`` what it is. ``rounding`` is what a published one may
    have been before it was rounded, ``band`` the margin around it; both are None where there is none. ``what`` says what the factors are,
    ``axis`` what is shaded.
    """

    name: str
    title: str
    what: str
    word: str
    note: str | None
    reference: float
    reference_words: str
    rounding: tuple[float, float] | None
    band: tuple[float, float] | None
    factors: tuple[Factor, ...]
    axis: str


def draw(figure: FactorsFigure) -> Figure:
    """Return the figure of at least one factor."""
    ends = [end for pair in (figure.rounding, figure.band) if pair is not None for end in pair]
    values = [figure.reference, *ends]
    for factor in figure.factors:
        values.append(factor.published)
        if factor.measured is not None:
            values += [factor.measured.low, factor.measured.value, factor.measured.high]
    scale = scales.wide(values, _LEFT, _RIGHT - _NUMBERS)
    parts, y = _header(figure)
    y += _LINE
    text = words.fitted(figure.reference_words, scale.end - scale.start, words.SIZE)
    middle = axes.within(scale.place(figure.reference), words.width(text, words.SIZE), scale)
    # a number that was published has the colour of what was published
    parts.append(svg.text(middle, y, text, "label" if figure.rounding is None else "theirs", "middle"))
    rows, bottom = _rows(figure, scale, y + 5)
    parts += rows
    parts += axes.below(scale, bottom, figure.axis)
    return Figure(figure.name, WIDTH, bottom + 40, figure.title, _description(figure), tuple(parts))


def _header(figure: FactorsFigure) -> tuple[list[str], float]:
    """Return the lines above the drawing, and the base line of the last of them."""
    y = 16.0
    room = _RIGHT - _LEFT - words.width(figure.word) - 8
    parts = [
        svg.text(_LEFT, y, words.fitted(figure.title, room, words.SIZE, strong=True), "strong"),
        svg.text(_RIGHT, y, figure.word, "small", "end"),
    ]
    lines = [("quiet", words.fitted(figure.what, _RIGHT - _LEFT))]
    if figure.note is not None:
        lines += [("note", line) for line in words.wrapped(figure.note, _RIGHT - _LEFT)]
    for class_, line in lines:
        y += _LINE
        parts.append(svg.text(_LEFT, y, line, class_))
    return parts, y + 4


def _rows(figure: FactorsFigure, scale: Scale, top: float) -> tuple[list[str], float]:
    """Return the marks of all factors below ``top``, each with its words above and its numbers beside, and where they end.

    Reference, rounding and band lie behind the marks, and not behind the words.
    """
    parts: list[str] = []
    y = top
    for factor in figure.factors:
        y += _LINE
        parts.append(svg.text(_LEFT, y, words.fitted(factor.words, _RIGHT - _LEFT), "small"))
        lines = 1 if factor.measured is None else 2
        parts += _behind(figure, scale, y + 4, lines * _MARKS)
        y += 4 + _MARKS / 2
        x = scale.place(factor.published)
        diamond = [(x - 5, y), (x, y - 5), (x + 5, y), (x, y + 5)]
        parts.append(svg.polygon(diamond, "theirs-mark", svg.hint(f"published {words.digits(factor.published)}")))
        parts.append(_number(y, "published", factor.published, "theirs"))
        if factor.measured is not None:
            y += _MARKS
            told = "90% interval {} to {}".format(*map(words.digits, (factor.measured.low, factor.measured.high)))
            low, high = scale.place(factor.measured.low), scale.place(factor.measured.high)
            parts.append(svg.line(low, y, high, y, "interval", svg.hint(told)))
            here = f"here {words.digits(factor.measured.value)}"
            parts.append(svg.circle(scale.place(factor.measured.value), y, 4.5, "launch", svg.hint(here)))
            parts.append(_number(y, "here", factor.measured.value, "ours"))
        y += _MARKS / 2 + _GAP
    return parts, y


def _behind(figure: FactorsFigure, scale: Scale, top: float, height: float) -> list[str]:
    """Return the margin's band, what the reference may have been before rounding, and the reference's line, behind one factor."""
    parts = []
    for pair, class_ in ((figure.band, "band"), (figure.rounding, "rounding")):
        if pair is not None:
            low, high = map(scale.place, pair)
            parts.append(svg.rectangle(low, top, high - low, height, class_))
    x = scale.place(figure.reference)
    # a number that was published is drawn as such
    return [*parts, svg.line(x, top, x, top + height, "limit" if figure.rounding is None else "theirs-line")]


def _number(y: float, whose: str, value: float, class_: str) -> str:
    return svg.text(_RIGHT, y + 4, f"{whose} {words.digits(value)}", class_, "end")


def _description(figure: FactorsFigure) -> str:
    told = [f"{figure.what}; {figure.reference_words}."]
    if figure.rounding is not None:
        told.append("Before rounding {} to {}.".format(*map(words.digits, figure.rounding)))
    if figure.band is not None:
        told.append("The margin reaches from {} to {}.".format(*map(words.digits, figure.band)))
    for factor in figure.factors:
        here = "not measured here"
        if factor.measured is not None:
            here = f"here {words.digits(factor.measured.value)}"
            here += ", 90% interval {} to {}".format(*map(words.digits, (factor.measured.low, factor.measured.high)))
        told.append(f"{factor.words}: published {words.digits(factor.published)}, {here}.")
    told.append(f"{figure.word}.")
    told += [f"Note: {figure.note}."] * bool(figure.note)
    return " ".join(told)
