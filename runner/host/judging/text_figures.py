"""Draw launches, intervals and shares as text for a terminal. Pure: numbers and a width come in, lines come out, without any colour.

A line of a figure takes two rows: the launches on the first, their interval on the second. So neither hides the other, however many
launches there are, and a reader can tell where each begins and ends. The mark, 1 on an axis of ratios, stands on both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.host.figures import scales
from runner.host.figures.scales import Scale

# The most columns of the words at the left: those of a walk-through take 32, with two free columns on each side.
_WORDS_COLUMNS = 36
# A figure of fewer columns tells nothing.
_LEAST_COLUMNS = 20
# Columns of a tick's number with the space around it, and the most ticks.
_TICK_COLUMNS, _MOST_TICKS = 9, 9
# Up to so many launches in one column their number is drawn; above it, how they are spread.
_COUNTED = 9


@dataclass(frozen=True)
class Marks:
    """The characters of a figure. ``spread`` are those of few to many launches, ``eighths`` those of a bar's last column."""

    launch: str
    spread: str
    interval: str
    left: str
    right: str
    one_column: str
    mark: str
    crossed: str
    band: str
    axis: str
    tick: str
    beyond_left: str
    beyond_right: str
    full: str
    eighths: str
    rest: str

    def fit(self, encoding: str) -> bool:
        """Return whether a character set has all of the characters."""
        try:
            "".join(vars(self).values()).encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True


UNICODE = Marks("●", "▁▂▃▄▅▆▇█", "─", "├", "┤", "◆", "│", "┼", "░", "─", "┴", "◂", "▸", "█", "▏▎▍▌▋▊▉", "░")
ASCII = Marks("o", ".:+*%@", "-", "[", "]", "*", "|", "+", "~", "-", "+", "<", ">", "#", "", ".")


def marks(encoding: str) -> Marks:
    """Return the marks that a character set can show."""
    return UNICODE if UNICODE.fit(encoding) else ASCII


@dataclass(frozen=True)
class Line:
    """One line of a figure: ``label`` and ``word`` stand at its left, on the first and on the second row.

    ``points`` are the values of launches, ``interval`` is where their mean lies, ``band`` the margin around the mark at 1. ``heading`` is a
    row of its own above the line, None for no such row.
    """

    label: str
    word: str
    points: Sequence[float]
    interval: tuple[float, float]
    band: tuple[float, float]
    heading: str | None = None


@dataclass(frozen=True)
class Terms:
    """What a figure's numbers are: the ``caption`` of the axis, what one point is and several are, and what the ``mark`` at 1 is."""

    caption: str
    point: str
    points: str
    mark: str


def words_columns(lines: Sequence[Line], caption: str) -> int:
    """Return the columns of the words at the left of a figure."""
    longest = max(len(text) for line in lines for text in (line.label, line.word, caption))
    return min(longest + 4, _WORDS_COLUMNS)


def scale(lines: Sequence[Line], columns: int) -> Scale:
    """Return the scale from values to the columns 0 to ``columns - 1``, which all ``lines`` share.

    The scale holds all points, bands and the mark. Of an interval it holds at most half as much again on each side, so that the interval of
    two launches that differ does not press all else into one column.
    """
    values = [1.0, *(value for line in lines for value in (*line.points, *line.band))]
    low, high = min(values), max(values)
    most = (high - low) / 2
    ends = [min(max(end, low - most), high + most) for line in lines for end in line.interval]
    return scales.around([low, high, *ends], 0, columns - 1, edge=0.03)


def dots_and_intervals(lines: Sequence[Line], terms: Terms, columns: int, drawn_with: Marks) -> list[str]:
    """Return the rows of a figure of ``columns`` columns: two for each line, an axis with its caption, and what the marks mean.

    No row ends in spaces. Returns nothing for no lines, and where the figure would be too narrow to tell anything.
    """
    if not lines:
        return []
    left = words_columns(lines, terms.caption)
    width = columns - left
    if width < _LEAST_COLUMNS:
        return []
    shared = scale(lines, width)
    rows, most = [], 0
    for line in lines:
        counts = _counts(line, shared, width)
        most = max(most, *counts)
        if line.heading is not None:
            rows.append(line.heading[:columns])
        rows += [
            _words(line.label, left) + "".join(_points(counts, _ground(line, shared, width, drawn_with), drawn_with)),
            _words(line.word, left) + "".join(_interval(line, shared, width, drawn_with)),
        ]
    rule, numbers = _axis(shared, width, drawn_with)
    rows += [_words("", left) + rule, _words(terms.caption, left) + numbers, _legend(terms, most, drawn_with)]
    return [row.rstrip() for row in rows]


def bar(share: float, columns: int, drawn_with: Marks) -> str:
    """Return a bar of ``columns`` columns that is filled to ``share``, a fraction; a share above 1 ends in the mark for beyond."""
    if share > 1:
        return drawn_with.full * (columns - 1) + drawn_with.beyond_right
    parts = len(drawn_with.eighths) + 1
    filled, part = divmod(round(share * columns * parts), parts)
    last = drawn_with.eighths[part - 1] if part else ""
    return (drawn_with.full * filled + last).ljust(columns, drawn_with.rest)


def _legend(terms: Terms, most: int, drawn_with: Marks) -> str:
    """Return what the marks mean; ``most`` is the greatest number of points in one column."""
    d = drawn_with
    several = f", 2-9 {terms.points}" if most > 1 else ""
    many = f", {d.spread[0]}{d.spread[-1]} few, many" if most > _COUNTED else ""
    return f"{d.launch} {terms.point}{several}{many}; {d.left}{d.interval}{d.right} 90% interval; {d.mark} {terms.mark}; {d.band} margin"


def _words(text: str, columns: int) -> str:
    """Return the words at the left of a row, two columns in, and cut where they are too long."""
    return f"  {text[: columns - 4]}".ljust(columns)


def _column(value: float, shared: Scale) -> int:
    return math.floor(shared.place(value) + 0.5)


def _ground(line: Line, shared: Scale, width: int, drawn_with: Marks) -> list[str]:
    """Return a row with the band and the mark alone."""
    first, last = (_column(end, shared) for end in line.band)
    row = [drawn_with.band if first <= column <= last else " " for column in range(width)]
    row[_column(1.0, shared)] = drawn_with.mark
    return row


def _counts(line: Line, shared: Scale, width: int) -> list[int]:
    """Return the number of points in each column."""
    counts = [0] * width
    for point in line.points:
        counts[_column(point, shared)] += 1
    return counts


def _points(counts: Sequence[int], ground: Sequence[str], drawn_with: Marks) -> list[str]:
    """Return the row of the points: a mark for one in a column, a digit for up to nine, and for more how they are spread."""
    row, most = list(ground), max(counts)
    for column, count in enumerate(counts):
        if count and most > _COUNTED:
            row[column] = drawn_with.spread[math.ceil(count / most * len(drawn_with.spread)) - 1]
        elif count:
            row[column] = drawn_with.launch if count == 1 else str(count)
    return row


def _interval(line: Line, shared: Scale, width: int, drawn_with: Marks) -> list[str]:
    """Return the row of the interval, whose ends beyond the scale are arrows at the edge."""
    row = _ground(line, shared, width, drawn_with)
    first, last = (_column(end, shared) for end in line.interval)
    for column in range(max(first, 0), min(last, width - 1) + 1):
        row[column] = drawn_with.crossed if row[column] == drawn_with.mark else drawn_with.interval
    if first == last:
        row[first] = drawn_with.one_column
        return row
    for end, column, beyond in ((first, 0, drawn_with.beyond_left), (last, width - 1, drawn_with.beyond_right)):
        if 0 <= end < width:
            row[end] = drawn_with.left if end == first else drawn_with.right
        else:
            row[column] = beyond
    return row


def _axis(shared: Scale, width: int, drawn_with: Marks) -> tuple[str, str]:
    """Return the rule of the axis with its ticks, and the row of their numbers, each centred under its tick."""
    ticks = shared.ticks(min(width // _TICK_COLUMNS, _MOST_TICKS))
    rule, numbers = [drawn_with.axis] * width, [" "] * width
    for tick in ticks:
        column, text = _column(tick, shared), scales.tick_text(tick, ticks)
        start = column - len(text) // 2
        rule[column] = drawn_with.tick
        if start >= 0 and start + len(text) <= width:
            numbers[start : start + len(text)] = text
    return "".join(rule), "".join(numbers)
