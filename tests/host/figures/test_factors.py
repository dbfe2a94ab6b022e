from __future__ import annotations

import math
from dataclasses import replace
from xml.etree.ElementTree import Element

from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import factors
from runner.host.figures.factors import Factor, FactorsFigure, Measured
from tests.host.figures.examples import a_factor
from tests.support import drawings

VALUES = st.floats(0.05, 50)
# A place has two decimals, of some 230 units: what the axis tells is right within its own precision.
WITHIN = 3e-3


@st.composite
def one_factor(draw: st.DrawFn) -> Factor:
    low, value, high = sorted(draw(st.tuples(VALUES, VALUES, VALUES)))
    return Factor(draw(st.text(max_size=80)), draw(VALUES), draw(st.sampled_from([None, Measured(value, low, high)])))


FIGURES = st.lists(one_factor(), min_size=1, max_size=6).map(lambda many: a_factor(*many))


def near(shown: float, number: float, figure: FactorsFigure) -> bool:
    values = [figure.reference, *(figure.band or ())]
    for factor in figure.factors:
        values += [factor.published, *((factor.measured.low, factor.measured.high) if factor.measured else ())]
    return math.isclose(shown, number, rel_tol=WITHIN, abs_tol=WITHIN * (max(values) - min(values)))


def middle_of(diamond: Element) -> float:
    xs = [float(point.split(",")[0]) for point in diamond.attrib["points"].split()]
    return (min(xs) + max(xs)) / 2


@given(FIGURES)
def test_every_mark_stands_over_its_number(told: FactorsFigure) -> None:
    root = drawings.read(factors.draw(told))
    diamonds = drawings.of_class(root, "theirs-mark")
    assert len(diamonds) == len(told.factors)
    for diamond, factor in zip(diamonds, told.factors, strict=True):
        assert near(drawings.value_at(root, middle_of(diamond)), factor.published, told)
    measured = [factor.measured for factor in told.factors if factor.measured is not None]
    dots, bars = drawings.of_class(root, "launch"), drawings.of_class(root, "interval")
    assert len(dots) == len(bars) == len(measured)
    for dot, bar, number in zip(dots, bars, measured, strict=True):
        shown = [drawings.value_at(root, *drawings.numbers(dot, "cx"))]
        shown += [drawings.value_at(root, x) for x in drawings.numbers(bar, "x1", "x2")]
        assert all(
            near(one, other, told) for one, other in zip(shown, (number.value, number.low, number.high), strict=True)
        )


@given(FIGURES)
def test_reference_rounding_and_band_stand_where_they_are(told: FactorsFigure) -> None:
    root = drawings.read(factors.draw(told))
    assert told.rounding is not None and told.band is not None
    for line in drawings.of_class(root, "theirs-line"):
        assert near(drawings.value_at(root, *drawings.numbers(line, "x1")), told.reference, told)
    for class_, pair in {"band": told.band, "rounding": told.rounding}.items():
        left, width = drawings.numbers(drawings.of_class(root, class_)[0], "x", "width")
        shown = drawings.value_at(root, left), drawings.value_at(root, left + width)
        assert all(near(one, other, told) for one, other in zip(shown, pair, strict=True)), class_


@given(FIGURES, st.text(max_size=200), st.text(max_size=100), st.text(max_size=60))
def test_no_data_and_no_words_make_texts_overlap(told: FactorsFigure, note: str, title: str, word: str) -> None:
    figure = factors.draw(replace(told, note=note, title=title, reference_words=word, what=note))
    assert drawings.problems(figure) == []


def test_a_reference_that_nobody_published_is_no_published_mark() -> None:
    root = drawings.read(factors.draw(a_factor(Factor("a", 2.0, None), rounding=None, band=None)))
    assert drawings.of_class(root, "theirs-line") == drawings.of_class(root, "band") == []
    assert len(drawings.of_class(root, "limit")) == 1


def test_the_description_says_every_number() -> None:
    figure = factors.draw(
        a_factor(Factor("one", 2.887, Measured(3.006, 2.95, 3.063)), Factor("two", 2.745, None), note="a walk-through")
    )
    assert figure.description == (
        "latency of the first in latencies of the second; in words: 2.89 times. Before rounding 2.885 to 2.895."
        " The margin reaches from 2.513 to 3.323. one: published 2.887, here 3.006, 90% interval 2.950 to 3.063."
        " two: published 2.745, not measured here. HOLDS. Note: a walk-through."
    )
    assert "a walk-through" in [box.text for box in drawings.boxes(drawings.read(figure))]
