from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import strip
from runner.host.figures.scales import Scale
from runner.host.figures.strip import Bar, Dot
from tests.support import drawings

SCALE = Scale(0, 100, 0, 300)


def drawn(values: list[float], most: float = 56.0) -> tuple[list[tuple[float, ...]], float]:
    dots, height = strip.dots(SCALE, [Dot(value, "") for value in values], 0, most)
    return [drawings.numbers(ElementTree.fromstring(dot), "cx", "cy", "r") for dot in dots], height


@given(st.lists(st.floats(0, 100), max_size=40))
def test_dots_stand_in_the_lane_over_their_values_in_their_order(values: list[float]) -> None:
    circles, height = drawn(values)
    assert [round(x, 1) for x, _, _ in circles] == [round(float(f"{3 * value:.2f}"), 1) for value in values]
    assert all(-height - 0.01 <= y - radius and y + radius <= 0.01 for _, y, radius in circles)
    assert height <= 56


@given(st.lists(st.floats(0, 100), max_size=12))
def test_few_dots_do_not_overlap(values: list[float]) -> None:
    circles, _ = drawn(values)
    radius = circles[0][2] if circles else 0.0
    assert all(math.dist(one[:2], other[:2]) >= 2 * radius - 0.05 for one, other in itertools.combinations(circles, 2))


def test_equal_values_are_all_seen_however_many() -> None:
    circles, height = drawn([50.0] * 100)
    assert len({y for _, y, _ in circles}) == 100
    assert height <= 56


def test_no_value_is_no_dot() -> None:
    assert strip.bars(SCALE, [], 0, 10) == []
    assert drawn([])[0] == []


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=400))
def test_narrow_bins_are_drawn_as_one_and_lose_nothing(counts: list[int]) -> None:
    width = 100 / len(counts)
    bars = [Bar(place * width, (place + 1) * width, count) for place, count in enumerate(counts)]
    shown = [ElementTree.fromstring(bar) for bar in strip.bars(SCALE, bars, 0, 50)]
    assert all(drawings.numbers(bar, "width")[0] >= 2.5 for bar in shown)
    assert sum(int((bar[0].text or "").rsplit(": ", 1)[1]) for bar in shown) == sum(counts)
