from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.judging import bins

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


@given(VALUES, st.integers(1, 60))
def test_bins_hold_every_value_once(values: list[float], most: int) -> None:
    made = bins.of(values, most=most)
    assert len(made) <= most
    assert sum(each.count for each in made) == len(values)
    assert (made[0].low, made[-1].high) == (min(values), max(values))
    last = made[-1]
    for each in made:
        held = [value for value in values if each.low <= value < each.high or (each is last and value == each.high)]
        assert len(held) == each.count


@given(VALUES)
def test_flagged_values_are_counted_in_their_bins(values: list[float]) -> None:
    flagged = [value > 0 for value in values]
    made = bins.of(values, flagged)
    assert sum(each.flagged for each in made) == sum(flagged)
    assert all(each.flagged <= each.count for each in made)


def test_bins_of_values_far_apart_are_of_equal_ratios() -> None:
    made = bins.of([1.0, 10.0, 100.0, 1000.0], most=3)
    assert [each.low for each in made] == pytest.approx([1, 10, 100])
    assert [each.count for each in made] == [1, 1, 2]


def test_a_value_that_nothing_may_be_divided_by_has_its_bin() -> None:
    made = bins.of([1e-320, 0.5, 1.0], most=3)
    assert [each.count for each in made] == [1, 1, 1]


def test_bins_of_near_values_are_of_equal_widths() -> None:
    made = bins.of([1.0, 2.0, 3.0, 4.0], most=3)
    assert [end for each in made for end in (each.low, each.high)] == pytest.approx([1, 2, 2, 3, 3, 4])


def test_equal_values_are_one_bin_and_no_values_none() -> None:
    assert bins.of([3.1] * 7) == [bins.Bin(3.1, 3.1, 7, 0)]
    assert bins.of([]) == []
