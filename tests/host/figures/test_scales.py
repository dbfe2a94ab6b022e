from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import axes, scales, svg, words
from runner.host.figures.scales import LogScale, Scale
from runner.host.figures.svg import Figure
from tests.support import drawings

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)
MANY = st.lists(NUMBERS, min_size=1, max_size=8)
POSITIVE = st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=8)
EXTREME = [
    [0.0],
    [5e-324],
    [0.0, 5e-324],
    [1e300],
    [-1e300, 1e300],
    [3.1, 3.1 + 1e-14],
    [-5.0, -5.0],
    [1e-6, 1.0],
    [1e16, 1e16 + 2],
    [1e-320, 0.5],
]


def near(one: float, other: float, scale: Scale) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6 * (scale.high - scale.low))


@pytest.mark.parametrize("values", EXTREME)
@pytest.mark.parametrize("make", [scales.around, scales.wide])
def test_extreme_numbers_get_a_scale_that_holds_them(make: object, values: list[float]) -> None:
    scale = make(values, 12, 348)  # type: ignore[operator]
    assert all(12 <= scale.place(value) <= 348 for value in values)
    assert all(scale.holds(tick) for tick in scale.ticks())
    assert math.isfinite(scale.value(100))


@given(MANY)
def test_places_and_numbers_are_each_others_reverse(values: list[float]) -> None:
    scale = scales.around(values, 12, 348)
    assert all(near(scale.value(scale.place(value)), value, scale) for value in values)


@given(POSITIVE)
def test_places_and_numbers_are_each_others_reverse_on_a_scale_of_any_kind(values: list[float]) -> None:
    scale = scales.wide(values, 12, 348)
    assert all(math.isclose(scale.value(scale.place(value)), value, rel_tol=1e-6) for value in values)
    assert all(12 <= scale.place(value) <= 348 for value in values)


@given(MANY, st.integers(1, 9))
def test_ticks_are_few_round_and_within_the_scale(values: list[float], most: int) -> None:
    scale = scales.around(values, 12, 348)
    ticks = scale.ticks(most)
    assert len(ticks) <= most
    assert ticks == sorted(ticks)
    slack = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)
    if most >= 5:
        assert len(ticks) >= 2


@given(MANY)
def test_the_texts_of_ticks_are_the_ticks(values: list[float]) -> None:
    scale = scales.around(values, 12, 348)
    ticks = scale.ticks()
    texts = scale.texts(ticks)
    assert len(set(texts)) == len(texts)
    assert all(near(float(text), tick, scale) for text, tick in zip(texts, ticks, strict=True))


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (3.0, 3.3, ["3.0", "3.1", "3.2", "3.3"]),
        (0, 100, ["0", "50", "100"]),
        (-0.02, 0.02, ["-0.02", "-0.01", "0.00", "0.01", "0.02"]),
        (0.59119, 0.59121, ["0.591190", "0.591195", "0.591200", "0.591205", "0.591210"]),
        (0, 40000, ["0", "10000", "20000", "30000", "40000"]),
    ],
)
def test_linear_ticks(low: float, high: float, texts: list[str]) -> None:
    scale = Scale(low, high, 0, 100)
    assert scale.texts(scale.ticks()) == texts


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.5, 30, ["1", "3", "10", "30"]),
        (1e-3, 1e3, ["0.001", "0.1", "10", "1000"]),
        (2.5, 400, ["3", "10", "30", "100", "300"]),
        (0.1, 2.1, ["0.1", "0.2", "0.5", "1", "2"]),
    ],
)
def test_logarithmic_ticks(low: float, high: float, texts: list[str]) -> None:
    scale = LogScale(low, high, 0, 100)
    assert scale.texts(scale.ticks()) == texts


def test_numbers_far_apart_get_a_logarithmic_scale_where_all_are_above_0() -> None:
    assert isinstance(scales.wide([0.1, 2.0], 0, 100), LogScale)
    assert not isinstance(scales.wide([0.1, 1.9], 0, 100), LogScale)
    assert not isinstance(scales.wide([0.0, 2.0], 0, 100), LogScale)
    assert not isinstance(scales.wide([-0.1, 2.0], 0, 100), LogScale)


def test_equal_numbers_stand_in_the_middle() -> None:
    assert scales.around([3.103, 3.103], 0, 100).place(3.103) == pytest.approx(50)


@given(MANY, st.floats(40, 700), st.booleans())
def test_the_texts_of_an_axis_never_overlap(values: list[float], width: float, logarithmic: bool) -> None:
    magnitudes = [abs(value) + 1e-3 for value in values]
    scale = scales.wide(magnitudes, 12, 12 + width) if logarithmic else scales.around(values, 12, 12 + width)
    drawn = Figure("a", width + 24, 60, "t", "d", axes.below(scale, 20, "", top=5))
    texts = [box for box in drawings.boxes(drawings.read(drawn)) if box.text]
    assert not any(one.meets(other) for one, other in itertools.combinations(texts, 2))


def test_every_tick_stands_at_its_number() -> None:
    scale = scales.around([3.0, 3.4], 12, 348)
    root = drawings.read(Figure("a", 360, 60, "t", "d", axes.below(scale, 20, "seconds", top=5)))
    assert len(drawings.of_class(root, "grid")) == len(drawings.ticks_of(root)) >= 3
    assert all(scale.place(value) == pytest.approx(place, abs=0.01) for value, place in drawings.ticks_of(root))


def test_a_wide_text_stays_near_the_axis() -> None:
    scale = Scale(0, 1, 12, 348)
    assert axes.within(12, 100, scale) == 52
    assert axes.within(348, 100, scale) == 308
    assert axes.within(180, 100, scale) == 180


def test_an_axis_too_narrow_for_any_text_has_no_ticks() -> None:
    scale = Scale(1_000_000_000, 1_000_000_001, 0, 3)
    parts = axes.below(scale, 20, "seconds")
    assert sum("tick-mark" in part for part in parts) <= 1
    assert svg.text(1.5, 52, "seconds", "quiet", "middle") in parts


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.1034, "3.103"), (0.59119, "0.5912"), (12345.6, "12346"), (0.0, "0"), (1e-5, "0.00001000"), (-3.1034, "-3.103")],
)
def test_numbers_in_plain_digits(value: float, text: str) -> None:
    assert words.digits(value) == text
