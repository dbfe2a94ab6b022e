from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import forest, svg
from runner.host.figures.forest import MOST_ROWS, Diamond, ForestGroup
from runner.host.figures.svg import Figure
from tests.host.figures.examples_together import PUBLISHED, a_forest, a_row, many_rows
from tests.support import drawings

numbers = st.floats(0.05, 500)


def centres(figure: Figure, class_: str = "ours") -> list[float]:
    """Return the values of squares, told from the axis."""
    root = drawings.read(figure)
    squares = [element for element in drawings.of_class(root, class_) if element.tag == "rect"]
    return [
        drawings.value_at(root, x + side / 2) for x, side in (drawings.numbers(each, "x", "width") for each in squares)
    ]


def near(value: float, values: list[float]) -> object:
    """Return what is a value up to a hundredth of a unit of the drawing, and the rounding of the ticks' texts."""
    return pytest.approx(value, rel=2e-3, abs=2e-3 * (max(values) - min(values)) + 1e-12)


@given(st.lists(numbers, min_size=1, max_size=12), st.floats(0.0005, 0.2))
def test_squares_and_intervals_stand_where_their_numbers_are(values: list[float], share: float) -> None:
    rows = tuple(a_row(f"laboratory {number}", value, share * value) for number, value in enumerate(values))
    figure = forest.draw(a_forest(ForestGroup(None, rows)))
    root = drawings.read(figure)
    ends = [end for row in rows for end in row.interval or ()]
    assert centres(figure) == [near(value, ends) for value in values]
    lines = drawings.of_class(root, "ours-line")
    drawn = [tuple(drawings.value_at(root, x) for x in drawings.numbers(line, "x1", "x2")) for line in lines]
    assert drawn == [(near(row.interval[0], ends), near(row.interval[1], ends)) for row in rows if row.interval]
    assert drawings.problems(figure) == []


@given(numbers, st.floats(0.001, 0.02))
def test_a_diamond_spans_its_interval_around_its_value(value: float, share: float) -> None:
    rows = (a_row("one", value * 0.95, value * 0.04), a_row("two", value * 1.05, value * 0.04))
    interval = value * (1 - share), value * (1 + share)
    prediction = value * 0.97, value * 1.03
    figure = forest.draw(
        a_forest(ForestGroup(None, rows, Diamond("2 together", "x", value, interval, prediction, "1%")))
    )
    root = drawings.read(figure)
    (shape,) = [each for each in drawings.of_class(root, "ours") if each.tag == "polygon"]
    places = [float(point.split(",")[0]) for point in shape.attrib["points"].split()]
    ends = [value * 0.91, value * 1.09]
    drawn = [drawings.value_at(root, place) for place in (min(places), places[1], max(places))]
    assert drawn == [near(each, ends) for each in (interval[0], value, interval[1])]
    (line,) = drawings.of_class(root, "prediction")
    told = [drawings.value_at(root, place) for place in drawings.numbers(line, "x1", "x2")]
    assert told == [near(each, ends) for each in prediction]


def test_a_diamond_that_goes_on_beyond_the_rows_is_cut_with_arrows() -> None:
    rows = (a_row("one", 3.0), a_row("two", 3.1))
    figure = forest.draw(a_forest(ForestGroup(None, rows, Diamond("2 together", "x", 3.05, (1.0, 9.0), None, "1%"))))
    polygons = [each for each in drawings.of_class(drawings.read(figure), "ours") if each.tag == "polygon"]
    assert len(polygons) == 3
    low, high = min(drawings.ticks_of(drawings.read(figure))), max(drawings.ticks_of(drawings.read(figure)))
    assert low[0] > 2.8 and high[0] < 3.3, "the rows keep their room"


def test_assumed_intervals_are_dashed_and_published_squares_hollow() -> None:
    rows = (a_row("post-3", 3.1, **PUBLISHED), a_row("one launch", 3.2, assumed=True), a_row("five", 3.3))
    figure = forest.draw(a_forest(ForestGroup(None, rows)))
    root = drawings.read(figure)
    assert len(drawings.of_class(root, "theirs-line")) == 1
    assert [each.get("stroke-dasharray") for each in drawings.of_class(root, "ours-line")] == ["3 3", None]
    assert (len(centres(figure, "theirs-square")), len(centres(figure))) == (1, 2)
    assert ".theirs-line{fill:none;stroke:" in svg.document(figure) and "stroke-dasharray:5 3" in svg.document(figure)


def test_the_area_of_a_square_grows_with_its_weight() -> None:
    rows = tuple(a_row(f"{weight}", 3.1, weight=weight) for weight in (0.05, 0.25, 0.7))
    squares = [
        drawings.numbers(each, "width", "height")
        for each in drawings.of_class(drawings.read(forest.draw(a_forest(ForestGroup(None, rows)))), "ours")
        if each.tag == "rect"
    ]
    widths = [width for width, height in squares if width == height]
    assert widths == sorted(widths) and len(set(widths)) == 3


def test_of_many_rows_those_of_the_greatest_weight_are_drawn_and_the_others_are_said() -> None:
    rows = many_rows()
    figure = forest.draw(a_forest(ForestGroup(None, rows)))
    assert centres(figure) == pytest.approx([row.value for row in rows[-MOST_ROWS:]], rel=1e-3)
    root = drawings.read(figure)
    texts = [element.text for element in root.iter("text")]
    assert "11 more, from least to most" in texts
    assert "3.000 to 3.100" in texts
    (line,) = drawings.of_class(root, "range")
    assert [drawings.value_at(root, x) for x in drawings.numbers(line, "x1", "x2")] == pytest.approx(
        [3.0, 3.1], rel=1e-3
    )
    assert all(row.label in figure.description for row in rows)


def test_of_many_groups_the_first_are_drawn_and_the_others_are_counted() -> None:
    groups = tuple(
        ForestGroup(f"stack {number}", (a_row("x", 3.1), a_row("y", 3.2))) for number in range(MOST_ROWS + 4)
    )
    figure = forest.draw(a_forest(*groups))
    texts = [element.text or "" for element in drawings.read(figure).iter("text")]
    assert sum(text.startswith("stack ") for text in texts) == MOST_ROWS
    assert "4 more groups, 8 measurements, not drawn" in texts


@pytest.mark.parametrize("values", [(3.1,), (3.1, 3.1, 3.1), (1e-3, 1e5), (1e-9, 2e-9), (5e8, 6e8)])
def test_one_equal_and_extreme_numbers_are_drawn(values: tuple[float, ...]) -> None:
    rows = tuple(replace(a_row("x", value, None), shown=f"{value:.3g} s") for value in values)
    figure = forest.draw(a_forest(ForestGroup(None, rows)))
    assert drawings.problems(figure) == []
    assert all(math.isfinite(value) for value in centres(figure))


def test_foreign_text_stays_text_and_a_cut_label_is_whole_in_its_hint() -> None:
    hostile = "<script>alert(1)</script> \u202e ]]> & \x07 " + "name " * 20
    figure = forest.draw(
        a_forest(ForestGroup(hostile, (a_row(hostile, 3.1),), remark=hostile), note=hostile, title=hostile)
    )
    root = drawings.read(figure)
    assert not list(root.iter("script"))
    assert "\u202e" not in svg.document(figure) and "\x07" not in svg.document(figure)
    hints = [element.text or "" for element in root.iter("title")]
    assert any(hint.startswith("<script>") and hint.count("name") == 20 for hint in hints)
    assert drawings.problems(figure) == []
