from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import distributions
from runner.host.figures.strip import Bar
from tests.host.figures.examples import a_row, some_rows
from tests.support import drawings

ROWS = st.lists(st.lists(st.floats(0.01, 10_000), min_size=1, max_size=30), min_size=1, max_size=20)


def near(one: float, other: float, values: list[float]) -> bool:
    return math.isclose(one, other, rel_tol=2e-3, abs_tol=2e-3 * (max(values) - min(values)))


@given(ROWS)
def test_every_dot_and_median_of_every_row_stands_over_its_value(rows: list[list[float]]) -> None:
    made = [a_row(*values) for values in rows]
    root = drawings.read(distributions.draw(some_rows(*made)))
    values = [value for row in rows for value in row]
    dots = [drawings.value_at(root, *drawings.numbers(dot, "cx")) for dot in drawings.of_class(root, "launch")]
    lines = [drawings.value_at(root, *drawings.numbers(line, "x1")) for line in drawings.of_class(root, "mark")]
    assert all(near(one, other, values) for one, other in zip(dots, values, strict=True))
    assert all(near(one, row.median, values) for one, row in zip(lines, made, strict=True))


@given(ROWS, st.text(max_size=200), st.none() | st.text(max_size=200))
def test_no_words_overlap(rows: list[list[float]], label: str, note: str | None) -> None:
    made = [a_row(*values, label=label, note=note) for values in rows]
    assert drawings.problems(distributions.draw(some_rows(*made, a_row(3.0)))) == []


def test_rows_stand_below_each_other_in_their_order() -> None:
    root = drawings.read(distributions.draw(some_rows(a_row(3.0, label="first"), a_row(4.0, label="second"))))
    tops = {box.text: box.top for box in drawings.boxes(root)}
    first, second = (drawings.numbers(line, "y1", "y2") for line in drawings.of_class(root, "mark"))
    assert tops["first"] < first[0] < first[1] < tops["second"] < second[0]


def test_bars_stand_over_their_bins() -> None:
    row = a_row(bars=(Bar(10, 20, 300), Bar(20, 30, 100)), median=17.0)
    root = drawings.read(distributions.draw(some_rows(row)))
    lefts = [drawings.value_at(root, *drawings.numbers(bar, "x")) for bar in drawings.of_class(root, "launch")]
    assert lefts == pytest.approx([10, 20], abs=0.2)


def test_a_note_of_all_rows_is_said_once_and_that_of_one_row_in_it() -> None:
    shared = distributions.draw(some_rows(a_row(3.0, note="made up"), a_row(4.0, note="made up")))
    of_one = distributions.draw(some_rows(a_row(3.0, label="first"), a_row(4.0, label="second", note="made up")))
    for figure in (shared, of_one):
        assert [element.text for element in drawings.of_class(drawings.read(figure), "note")] == ["made up"]
    tops = {box.text: box.top for box in drawings.boxes(drawings.read(of_one))}
    assert tops["made up"] > tops["second"] > tops["first"]


def test_the_description_has_each_row_with_its_numbers() -> None:
    figure = distributions.draw(some_rows(a_row(99.0, 101.0, note="made up")))
    assert figure.description.endswith(
        "8 x gaudi2, bloomz, gaudi-1.10 (made up): 2 launches, 99.00 to 101.0 ms, median 100.0 ms."
    )
