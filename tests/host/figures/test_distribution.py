from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import distribution
from runner.host.figures.distribution import Mark
from runner.host.figures.strip import Bar
from tests.host.figures.examples import a_distribution
from tests.support import drawings

VALUES = st.lists(st.floats(0.01, 10_000), min_size=1, max_size=60)


def near(one: float, other: float, values: list[float]) -> bool:
    return math.isclose(one, other, rel_tol=2e-3, abs_tol=2e-3 * (max(values) - min(values)))


@given(VALUES)
def test_every_dot_and_mark_stands_over_its_value(values: list[float]) -> None:
    marks = (Mark("median", sorted(values)[len(values) // 2]), Mark("p90", max(values)))
    root = drawings.read(distribution.draw(a_distribution(*values, marks=marks)))
    dots = [drawings.value_at(root, *drawings.numbers(dot, "cx")) for dot in drawings.of_class(root, "launch")]
    lines = [drawings.value_at(root, *drawings.numbers(line, "x1")) for line in drawings.of_class(root, "mark")]
    assert all(near(one, other, values) for one, other in zip(dots, values, strict=True))
    assert all(near(one, mark.value, values) for one, mark in zip(lines, marks, strict=True))


@given(VALUES, st.text(max_size=200))
def test_no_words_overlap_and_no_mark_goes_through_words(values: list[float], note: str) -> None:
    ordered = sorted(values)
    marks = (Mark("median", ordered[len(ordered) // 2]), Mark("p99", ordered[-1]))
    figure = distribution.draw(a_distribution(*values, marks=marks, note=note))
    assert drawings.problems(figure) == []
    root = drawings.read(figure)
    for line in drawings.of_class(root, "mark"):
        x, top, bottom = drawings.numbers(line, "x1", "y1", "y2")
        crossed = [box for box in drawings.boxes(root) if box.left < x < box.right and top < box.top < bottom - 1]
        assert not [box for box in crossed if box.text.startswith(("median", "p99"))]


def test_bars_stand_over_their_bins_and_their_heights_are_their_counts() -> None:
    bars = (Bar(10, 20, 300), Bar(20, 30, 100), Bar(30, 40, 0), Bar(40, 50, 1))
    root = drawings.read(distribution.draw(a_distribution(bars=bars)))
    drawn = drawings.of_class(root, "launch")
    lefts = [drawings.value_at(root, *drawings.numbers(bar, "x")) for bar in drawn]
    assert lefts == pytest.approx([10, 20, 40], abs=0.2)
    heights = [drawings.numbers(bar, "height")[0] for bar in drawn]
    assert heights[0] == pytest.approx(3 * heights[1], rel=1e-3)
    assert heights[2] >= 1


def test_the_description_has_the_range_and_the_marks() -> None:
    figure = distribution.draw(
        a_distribution(99.0, 101.0, lines=("a request",), marks=(Mark("median", 100.0),), note="made up")
    )
    assert figure.title == "Time to first token, a request"
    assert figure.description == "a request. From 99.00 to 101.0 ms, median 100.0 ms. Note: made up."
