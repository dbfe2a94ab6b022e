from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import pytest

from runner.host.judging import text_figures
from runner.host.judging.text_figures import ASCII, UNICODE, Line, Marks, Terms, bar, dots_and_intervals

GOLDEN = Path(__file__).parents[2] / "data" / "text-figures"
TERMS = Terms("measured / published", "launch", "launches", "published")
MARGIN = (1 / 1.05, 1.05)
BOTH = pytest.mark.parametrize("drawn_with", [UNICODE, ASCII], ids=["unicode", "ascii"])
WIDTHS = pytest.mark.parametrize("columns", [80, 200])


def lines() -> list[Line]:
    """Return lines of every kind: within, above and straddling the margin, one launch, and 300 launches."""
    many = [NormalDist(1.05, 0.01).inv_cdf((number + 0.5) / 300) for number in range(300)]
    return [
        Line("8 x gaudi2, bloomz", "REPRODUCED", [0.99, 1.004, 1.012, 1.02, 1.02], (0.998, 1.021), MARGIN),
        Line("8 x a100-80gb, bloomz", "SLOWER", [1.12, 1.13, 1.135, 1.14, 1.15], (1.126, 1.145), MARGIN),
        Line("1 x gaudi, bloomz-7b1", "PROVISIONAL", [0.97], (0.9617, 0.9783), MARGIN),
        Line("1 x gaudi2, bloomz-7b1", "INCONCLUSIVE", many, (1.049, 1.051), MARGIN),
    ]


class Read:
    """A figure of ``drawn`` lines, read back from its rows."""

    def __init__(self, drawn: Sequence[Line], columns: int, marks: Marks) -> None:
        self.rows = dots_and_intervals(drawn, TERMS, columns, marks)
        self.left = text_figures.words_columns(drawn, TERMS.caption)
        self.width = columns - self.left
        self.scale = text_figures.scale(drawn, self.width)
        self.column = self.scale.value(1) - self.scale.value(0)

    def row(self, number: int) -> str:
        """Return a row without the words at its left."""
        return self.rows[number][self.left :].ljust(self.width)

    def near(self, column: int, value: float) -> bool:
        """Return whether a column stands for a value, within half a column."""
        return abs(self.scale.value(column) - value) <= 0.5 * self.column * (1 + 1e-9)


@BOTH
@WIDTHS
def test_every_launch_is_read_back_from_its_column(columns: int, drawn_with: Marks) -> None:
    read = Read(lines(), columns, drawn_with)
    for number, line in enumerate(lines()[:3]):
        row, points = read.row(2 * number), list(line.points)
        for column, character in enumerate(row):
            count = 1 if character == drawn_with.launch else int(character) if character.isdigit() else 0
            found = [point for point in points if read.near(column, point)]
            assert len(found) == count, f"column {column} of {row}"
            points = [point for point in points if point not in found]
        assert points == []


@BOTH
@WIDTHS
def test_both_ends_of_every_interval_are_read_back(columns: int, drawn_with: Marks) -> None:
    read = Read(lines(), columns, drawn_with)
    for number, line in enumerate(lines()):
        row = read.row(2 * number + 1)
        ends = [row.find(drawn_with.left), row.rfind(drawn_with.right)]
        if -1 in ends:
            ends = [row.index(drawn_with.one_column)] * 2
        assert all(read.near(column, end) for column, end in zip(ends, line.interval, strict=True)), row


@BOTH
@WIDTHS
def test_the_band_and_the_published_value_are_read_back(columns: int, drawn_with: Marks) -> None:
    read = Read(lines(), columns, drawn_with)
    # the last line covers an end of its band on both rows
    for number, line in enumerate(lines()[:3]):
        rows = read.row(2 * number), read.row(2 * number + 1)
        band = [column for column in range(read.width) if drawn_with.band in (rows[0][column], rows[1][column])]
        assert read.near(band[0], line.band[0]) and read.near(band[-1], line.band[1])
        marked = {row.find(mark) for row in rows for mark in (drawn_with.mark, drawn_with.crossed)} - {-1}
        assert len(marked) == 1 and read.near(marked.pop(), 1.0)


@BOTH
@WIDTHS
def test_every_number_of_the_axis_stands_under_the_tick_of_its_value(columns: int, drawn_with: Marks) -> None:
    read = Read(lines(), columns, drawn_with)
    rule, numbers = read.row(-3), read.row(-2)
    ticks = [column for column, character in enumerate(rule) if character == drawn_with.tick]
    told = numbers.split()
    assert 2 <= len(told) <= len(ticks) <= 9
    start = 0
    for text in told:
        start = numbers.index(text, start)
        (column,) = [tick for tick in ticks if start <= tick < start + len(text)]
        assert read.near(column, float(text))
        start += len(text)


@BOTH
@WIDTHS
def test_many_launches_are_drawn_by_how_they_are_spread(columns: int, drawn_with: Marks) -> None:
    read = Read(lines(), columns, drawn_with)
    row, points = read.row(6), lines()[3].points
    counts = [sum(read.near(column, point) for point in points) for column in range(read.width)]
    assert sum(counts) == len(points)
    heights = [drawn_with.spread.find(character) + 1 for character in row]
    assert [bool(height) for height in heights] == [bool(count) for count in counts]
    assert heights[counts.index(max(counts))] == len(drawn_with.spread)
    by_count = [height for _, height in sorted(zip(counts, heights, strict=True))]
    assert by_count == sorted(by_count)


@BOTH
@pytest.mark.parametrize("columns", [60, 80, 143, 200])
def test_no_row_is_wider_than_the_figure_or_ends_in_spaces(columns: int, drawn_with: Marks) -> None:
    drawn = [*lines(), Line("x" * 90, "y" * 90, [1.0], (0.9, 1.1), MARGIN, "z" * 300)]
    rows = dots_and_intervals(drawn, TERMS, columns, drawn_with)
    assert len(rows) == 2 * len(drawn) + 1 + 3
    assert max(map(len, rows[:-1])) <= columns and len(rows[-1]) <= 80
    assert rows == [row.rstrip() for row in rows]


def test_a_figure_too_narrow_to_tell_anything_and_one_of_nothing_are_not_drawn() -> None:
    assert dots_and_intervals(lines(), TERMS, 40, UNICODE) == []
    assert dots_and_intervals([], TERMS, 80, UNICODE) == []


@BOTH
def test_the_interval_of_two_launches_that_differ_leaves_the_launches_apart(drawn_with: Marks) -> None:
    wide = Line("1 x gaudi2, bloomz-7b1", "INCONCLUSIVE", [0.98, 1.02], (0.5, 2.0), MARGIN)
    read = Read([wide], 80, drawn_with)
    row = read.row(1)
    assert (row[0], row[-1]) == (drawn_with.beyond_left, drawn_with.beyond_right)
    assert drawn_with.left not in row and drawn_with.right not in row
    first, last = (column for column, character in enumerate(read.row(0)) if character == drawn_with.launch)
    assert last - first >= 8


@BOTH
@pytest.mark.parametrize("columns", [6, 10, 30])
@pytest.mark.parametrize("share", [0.0, 0.037, 0.2, 0.58, 0.999, 1.0])
def test_a_share_is_read_back_from_its_bar(share: float, columns: int, drawn_with: Marks) -> None:
    drawn = bar(share, columns, drawn_with)
    parts = len(drawn_with.eighths) + 1
    filled = drawn.count(drawn_with.full)
    part = next((drawn_with.eighths.index(character) + 1 for character in drawn if character in drawn_with.eighths), 0)
    assert len(drawn) == columns
    assert abs((filled + part / parts) / columns - share) <= 0.5 / parts / columns + 1e-9


def test_a_share_above_one_goes_beyond_its_bar() -> None:
    assert bar(1.06, 6, UNICODE) == "█████▸"
    assert bar(1.06, 6, ASCII) == "#####>"


@pytest.mark.parametrize(
    "encoding, drawn_with",
    [("utf-8", UNICODE), ("utf-16", UNICODE), ("ascii", ASCII), ("iso-8859-1", ASCII), ("no-such-set", ASCII)],
)
def test_a_character_set_without_the_marks_gets_ascii(encoding: str, drawn_with: Marks) -> None:
    assert text_figures.marks(encoding) is drawn_with
    assert all(ord(character) < 128 for mark in vars(ASCII).values() for character in mark)


@BOTH
@WIDTHS
def test_a_figure_is_drawn_as_it_was_looked_at(columns: int, drawn_with: Marks) -> None:
    """Whoever changes a figure looks at it: write the rows to the file anew, and look at them in a terminal."""
    name = "unicode" if drawn_with is UNICODE else "ascii"
    golden = GOLDEN / f"{columns}-{name}.txt"
    assert dots_and_intervals(lines(), TERMS, columns, drawn_with) == golden.read_text(encoding="utf-8").splitlines()
