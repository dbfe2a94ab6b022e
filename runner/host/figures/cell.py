"""Draw one published number with the launches beside it: each launch, their mean with its intervals, and the margin's band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runner.host.figures import axes, scales, strip, svg, words
from runner.host.figures.scales import Scale
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure

WIDTH: Final = 360.0
_LEFT, _RIGHT = 12.0, WIDTH - 12
# A line of text, the greatest height of the launches, and the rows of the mean and of its words.
_LINE, _LAUNCHES, _MEAN, _MEAN_WORDS = 15.0, 56.0, 20.0, 14.0


@dataclass(frozen=True)
class OtherNumber:
    """Another published number of the same cell: when or where it was published, and the number as printed."""

    name: str
    published_s: str


@dataclass(frozen=True)
class CellFigure:
    """What a cell's figure shows; all numbers are in seconds.

    ``published_s`` is the number as printed, ``rounding_s`` and ``band_s`` what it may have been before rounding and the margin around
    it; ``dates`` are the publications that print it, where there are several. Launches are ``dots`` or, where they are too many, ``bars``;
    ``measured`` says what was launched, None where that is the title's.
    ``mean_s``, ``interval_s`` (90%, of the mean) and ``prediction_s`` (95%, of one more launch) are None where nothing was compared.
    ``word`` is the verdict, ``note`` what the figure must say of its launches. ``failed`` counts launches that gave no time.
    """

    name: str
    title: str
    word: str | None
    note: str | None
    published_s: str
    rounding_s: tuple[float, float]
    band_s: tuple[float, float]
    margin: float
    dots: tuple[Dot, ...]
    bars: tuple[Bar, ...]
    mean_s: float | None = None
    interval_s: tuple[float, float] | None = None
    prediction_s: tuple[float, float] | None = None
    ratio: str | None = None
    failed: int = 0
    measured: str | None = None
    others: tuple[OtherNumber, ...] = ()
    dates: tuple[str, ...] = ()

    @property
    def launches(self) -> int:
        """Return the number of launches that gave a time."""
        return len(self.dots) + sum(bar.count for bar in self.bars)

    @property
    def flagged(self) -> int:
        """Return how many of the launches are flagged."""
        return sum(dot.flagged for dot in self.dots) + sum(bar.flagged for bar in self.bars)

    def range_s(self) -> tuple[float, float]:
        """Return the least and the greatest time of the launches."""
        ends = [dot.value for dot in self.dots] + [end for bar in self.bars for end in (bar.low, bar.high)]
        return min(ends), max(ends)


def draw(cell: CellFigure) -> Figure:
    """Return the figure of a cell, for at least one launch."""
    published = float(cell.published_s)
    spread = [*cell.range_s(), published, *cell.band_s, *(cell.interval_s or ()), *(cell.prediction_s or ())]
    scale = scales.wide(spread, _LEFT, _RIGHT)
    parts, y = _header(cell)
    marks, y = _others(cell, scale, y)
    y += _LINE
    parts += [*marks, _beside(scale, published, y, _published_words(cell), "theirs")]
    top = y + 4
    if cell.dots:
        launches, height = strip.dots(scale, cell.dots, 0, _LAUNCHES)
    else:
        launches, height = strip.bars(scale, cell.bars, 0, _LAUNCHES), _LAUNCHES
    ground = top + 8 + height
    bottom = ground + (_MEAN + _MEAN_WORDS if cell.mean_s is not None else 0) + 8
    parts += _published(cell, scale, top, bottom)
    parts.append(svg.element("g", *launches, transform=f"translate(0 {svg.number(ground)})"))
    parts += _mean(cell, scale, ground + _MEAN / 2 + 2)
    parts += axes.below(scale, bottom, f"seconds{scale.kind}; shaded: within {cell.margin * 100:.3g}% of published")
    return Figure(cell.name, WIDTH, bottom + 40, cell.title, _description(cell), tuple(parts))


def _header(cell: CellFigure) -> tuple[list[str], float]:
    """Return the lines above the drawing, and the base line of the last of them."""
    y = 16.0
    word = cell.word or ""
    room = _RIGHT - _LEFT - (words.width(word) + 8 if word else 0)
    parts = [svg.text(_LEFT, y, words.fitted(cell.title, room, words.SIZE, strong=True), "strong")]
    if word:
        parts.append(svg.text(_RIGHT, y, word, "small", "end"))
    lines = [("quiet", line) for line in _lines(cell)]
    if cell.note is not None:
        lines += [("note", line) for line in words.wrapped(cell.note, _RIGHT - _LEFT)]
    for class_, line in lines:
        y += _LINE
        parts.append(svg.text(_LEFT, y, line, class_))
    return parts, y + 4


def _lines(cell: CellFigure) -> list[str]:
    launches = words.counted(cell.launches, "launch", "launches") + (f" of {cell.measured}" if cell.measured else "")
    told = [f"{launches} in {words.counted(len(cell.bars), 'bin')}" if cell.bars else launches]
    told += [f"{cell.flagged} flagged (hollow)"] * bool(cell.flagged) + [f"{cell.failed} failed"] * bool(cell.failed)
    lines = [", ".join(told)]
    if cell.ratio is not None:
        lines.insert(0, f"ratio {cell.ratio}")
    return [words.fitted(line, _RIGHT - _LEFT) for line in lines]


def _others(cell: CellFigure, scale: Scale, y: float) -> tuple[list[str], float]:
    """Return a row for each other number: a triangle at its place, or at the edge towards it, with its words beside it."""
    parts = []
    for other in cell.others:
        y += _LINE
        number = float(other.published_s)
        text = words.fitted(f"published {other.name}: {other.published_s} s", (_RIGHT - _LEFT) * 0.8)
        if scale.holds(number):
            x = scale.place(number)
            shape = [(x - 4, y - 8), (x + 4, y - 8), (x, y - 1)]
        else:
            x, tip = (_RIGHT - 7, _RIGHT) if number > scale.high else (_LEFT + 7, _LEFT)
            shape = [(x, y - 8), (x, y), (tip, y - 4)]
        parts.append(svg.polygon(shape, "theirs-mark", svg.hint(text)))
        before = x > (_LEFT + _RIGHT) / 2
        parts.append(svg.text(x + (-8 if before else 8), y, text, "quiet", "end" if before else "start"))
    return parts, y


def _published_words(cell: CellFigure) -> str:
    text = f"published {cell.published_s} s" + (f" ({' and '.join(cell.dates)})" if cell.dates else "")
    return words.fitted(text, _RIGHT - _LEFT, words.SIZE)


def _published(cell: CellFigure, scale: Scale, top: float, bottom: float) -> list[str]:
    """Return the margin's band, what the published number may have been before rounding, and its line."""
    low, high = (scale.place(end) for end in cell.band_s)
    least, most = (scale.place(end) for end in cell.rounding_s)
    x = scale.place(float(cell.published_s))
    parts = [svg.rectangle(low, top, high - low, bottom - top, "band")]
    for edge in (low, high):
        stretches = _beside_words(cell, scale, (edge, edge), top, bottom)
        parts += [svg.line(edge, start, edge, end, "band-edge") for start, end in stretches]
    for start, end in _beside_words(cell, scale, (least, most), top, bottom):
        parts.append(svg.rectangle(least, start, most - least, end - start, "rounding"))
    stretches = _beside_words(cell, scale, (x, x), top, bottom)
    return parts + [svg.line(x, start, x, end, "theirs-line") for start, end in stretches]


def _beside_words(
    cell: CellFigure, scale: Scale, sides: tuple[float, float], top: float, bottom: float
) -> list[tuple[float, float]]:
    """Return from where to where something between two places is drawn: not over the words of the mean, where they stand in its way."""
    if cell.mean_s is not None:
        text = _mean_words(cell.mean_s)
        half = words.width(text, words.SIZE) / 2 + 2
        middle = _middle(scale, cell.mean_s, text)
        if sides[0] < middle + half and middle - half < sides[1]:
            return [(top, bottom - 8 - _MEAN_WORDS), (bottom - 4, bottom)]
    return [(top, bottom)]


def _mean(cell: CellFigure, scale: Scale, y: float) -> list[str]:
    """Return the mean as a diamond, its interval as a bar, the interval of one more launch as a thin line with ends, and words."""
    if cell.mean_s is None:
        return []
    parts = []
    if cell.prediction_s is not None:
        low, high = (scale.place(end) for end in cell.prediction_s)
        parts.append(svg.line(low, y, high, y, "prediction", svg.hint("95% interval of one more launch")))
        parts += [svg.line(end, y - 4, end, y + 4, "prediction") for end in (low, high)]
    if cell.interval_s is not None:
        low, high = (scale.place(end) for end in cell.interval_s)
        parts.append(svg.line(low, y, high, y, "interval", svg.hint("90% interval of the mean")))
    x = scale.place(cell.mean_s)
    parts.append(svg.polygon([(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)], "mean", svg.hint("mean")))
    parts.append(_beside(scale, cell.mean_s, y + _MEAN_WORDS + 6, _mean_words(cell.mean_s), "ours"))
    return parts


def _mean_words(mean_s: float) -> str:
    return f"here {words.digits(mean_s)} s"


def _beside(scale: Scale, value: float, y: float, text: str, class_: str) -> str:
    """Return words in the middle over or under a value, or as near as the edges allow."""
    return svg.text(_middle(scale, value, text), y, text, class_, "middle")


def _middle(scale: Scale, value: float, text: str) -> float:
    return axes.within(scale.place(value), words.width(text, words.SIZE), scale)


def _description(cell: CellFigure) -> str:
    low, high = cell.range_s()
    told = [
        f"{_published_words(cell).capitalize()}, which was {cell.rounding_s[0]:.6g} to {cell.rounding_s[1]:.6g} s before rounding;"
        f" the margin reaches from {words.digits(cell.band_s[0])} to {words.digits(cell.band_s[1])} s.",
        f"{words.counted(cell.launches, 'launch', 'launches')} from {words.digits(low)} to {words.digits(high)} s,"
        f" {cell.flagged} flagged, {cell.failed} failed.",
    ]
    if cell.mean_s is not None:
        interval = (
            "" if cell.interval_s is None else ", 90% interval {} to {} s".format(*map(words.digits, cell.interval_s))
        )
        ahead = (
            ""
            if cell.prediction_s is None
            else ", one more launch {} to {} s".format(*map(words.digits, cell.prediction_s))
        )
        told.append(f"Mean {words.digits(cell.mean_s)} s{interval}{ahead}.")
    told += [f"Also published, {other.name}: {other.published_s} s." for other in cell.others]
    told += [f"Verdict: {cell.word}."] * bool(cell.word) + [f"Note: {cell.note}."] * bool(cell.note)
    return " ".join(told)
