from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from runner.host.judging import estimates
from runner.host.judging.estimates import Estimate

FIVE = [3.10, 3.14, 3.08, 3.11, 3.16]
TEN = [2.9, 3.0, 2.95, 2.97, 2.93, 2.96, 2.99, 2.91, 2.94, 2.98]


def logs(values: list[float]) -> list[float]:
    return [math.log(value) for value in values]


def test_an_estimate_is_the_geometric_mean_with_the_t_interval_of_logarithms() -> None:
    found = estimates.of_values(FIVE)
    expected = stats.ttest_1samp(logs(FIVE), 0).confidence_interval(0.9)
    assert found is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(math.exp(sum(logs(FIVE)) / 5))
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_one_value_has_no_interval_and_no_value_no_estimate() -> None:
    assert estimates.of_values([2.5]) == Estimate(2.5, None, None)
    assert estimates.of_values([]) is None


def test_a_quotient_has_the_interval_of_welch() -> None:
    found = estimates.of_quotient(FIVE, TEN, (0.5, 0.5))
    expected = stats.ttest_ind(logs(FIVE), logs(TEN), equal_var=False).confidence_interval(0.9)
    assert found.low is not None and found.high is not None
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.low < found.value < found.high


def test_a_side_of_one_launch_varies_as_is_assumed() -> None:
    known = estimates.of_quotient([3.0], [2.0], (0.03, 0.04))
    reach = stats.norm.ppf(0.95) * 0.05
    assert (known.value, known.low, known.high) == pytest.approx((1.5, 1.5 * math.exp(-reach), 1.5 * math.exp(reach)))
    # the other side's spread is estimated, from so few values that it widens the interval
    half = estimates.of_quotient([3.0], FIVE, (0.0, 0.0))
    alone = estimates.of_values(FIVE)
    assert alone is not None and alone.low is not None and half.high is not None
    assert half.high == pytest.approx(3.0 / alone.low)


def test_values_without_any_spread_have_an_interval_without_width() -> None:
    found = estimates.of_quotient([3.0, 3.0], [2.0, 2.0], (0.0, 0.0))
    assert (found.low, found.high) == pytest.approx((1.5, 1.5))


def test_a_quotient_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="on each side"):
        estimates.of_quotient([], [1.0], (0.01, 0.01))


def test_an_exact_factor_scales_the_interval() -> None:
    assert Estimate(2.0, 1.0, 4.0).times(3) == Estimate(6.0, 3.0, 12.0)
    assert Estimate(2.0).times(3) == Estimate(6.0)


def test_intervals_hold_the_truth_nine_times_in_ten() -> None:
    """800 seeded runs, in which a share of 0.9 varies by at most 0.032, but for three times in a thousand."""
    chance, runs = random.Random(11), 800
    held = {"mean": 0, "quotient": 0, "single": 0}

    def launches(number: int, mean_s: float, cv: float) -> list[float]:
        return [mean_s * math.exp(chance.gauss(0, cv)) for _ in range(number)]

    for _ in range(runs):
        mean = estimates.of_values(launches(5, 3.1, 0.01))
        quotient = estimates.of_quotient(launches(5, 4.4, 0.03), launches(10, 3.1, 0.01), (0.01, 0.01))
        single = estimates.of_quotient(launches(1, 4.4, 0.02), launches(5, 3.1, 0.01), (0.02, 0.01))
        for name, found, truth in (
            ("mean", mean, 3.1),
            ("quotient", quotient, 4.4 / 3.1),
            ("single", single, 4.4 / 3.1),
        ):
            assert found is not None and found.low is not None and found.high is not None
            held[name] += found.low <= truth <= found.high
    assert {name: count / runs for name, count in held.items()} == {
        name: pytest.approx(0.9, abs=0.032) for name in held
    }
