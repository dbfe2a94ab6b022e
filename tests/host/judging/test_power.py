from __future__ import annotations

import math

import numpy
import pytest
from scipy import stats

from runner.host.judging import verdict
from runner.host.judging.power import PROBABILITY, Power
from runner.host.judging.verdict import CHANGE_SIGNIFICANCE, between_runs

BOUND = math.log1p(0.02)
SAMPLES = 100_000


def power(spreads: tuple[float, float], counts: tuple[int, int]) -> Power:
    return Power(spreads, counts, BOUND, CHANGE_SIGNIFICANCE)


def known(number: float | None) -> float:
    """Return a number that must be there."""
    assert number is not None
    return number


def simulated(spreads: tuple[float, float], counts: tuple[int, int], change: float) -> float:
    """Return how often the rule says CHANGED, over samples of log-normal launches; the rule is written here once more, by scipy."""
    random = numpy.random.default_rng(20230328)
    before, after = (
        random.normal(mean, spread, (SAMPLES, count))
        for mean, spread, count in zip((0.0, change), spreads, counts, strict=True)
    )
    with numpy.errstate(all="ignore"):
        p = stats.ttest_ind(after, before, axis=1, equal_var=False).pvalue
    beyond = abs(after.mean(axis=1) - before.mean(axis=1)) > BOUND
    return float((beyond & (p < CHANGE_SIGNIFICANCE)).mean())


@pytest.mark.parametrize(
    "spreads, counts",
    [
        ((0.01, 0.01), (5, 5)),
        ((0.002, 0.002), (5, 5)),
        ((0.02, 0.005), (3, 7)),
        ((0.05, 0.05), (5, 5)),
        ((0.0, 0.01), (4, 5)),
        ((0.01, 0.01), (2, 2)),
        ((0.01, 0.01), (40, 40)),
    ],
)
def test_the_computed_power_is_that_of_simulated_launches(
    spreads: tuple[float, float], counts: tuple[int, int]
) -> None:
    computed = power(spreads, counts)
    for change in (0.0, 0.02, 0.03, known(computed.smallest())):
        rate = simulated(spreads, counts, change)
        error = math.sqrt(max(rate * (1 - rate), 1 / SAMPLES) / SAMPLES)
        assert abs(computed.of(change) - rate) < 0.003 + 4 * error, (change, computed.of(change), rate)


def test_the_smallest_change_is_the_one_that_is_shown_nine_times_in_ten() -> None:
    computed = power((0.01, 0.01), (5, 5))
    smallest = known(computed.smallest())
    assert computed.of(smallest) == pytest.approx(PROBABILITY, abs=1e-4)
    assert computed.of(-smallest) == pytest.approx(PROBABILITY, abs=1e-4)
    assert computed.of(smallest - 1e-4) < PROBABILITY < computed.of(smallest + 1e-4)
    assert math.expm1(smallest) == pytest.approx(0.038, abs=0.0005)


def test_more_and_steadier_launches_show_smaller_changes_and_none_below_the_margin() -> None:
    sizes = [known(power((0.01, 0.01), (count, count)).smallest()) for count in (3, 5, 8, 100)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > BOUND
    noisy, calm = known(power((0.02, 0.02), (5, 5)).smallest()), known(power((0.001, 0.001), (5, 5)).smallest())
    assert noisy > sizes[1] > calm > BOUND


def test_which_side_has_more_launches_makes_no_difference() -> None:
    one, other = power((0.01, 0.02), (3, 8)), power((0.02, 0.01), (8, 3))
    assert one.smallest() == pytest.approx(other.smallest(), abs=2e-6)


def test_without_any_spread_a_change_is_shown_as_soon_as_it_is_beyond_the_margin() -> None:
    computed = power((0.0, 0.0), (5, 2))
    assert computed.smallest() == BOUND
    assert (computed.of(BOUND), computed.of(BOUND + 1e-12), computed.of(-BOUND - 1e-12), computed.of(0.0)) == (
        0,
        1,
        1,
        0,
    )


def test_no_change_is_large_enough_for_two_launches_that_vary_much() -> None:
    assert power((1.0, 1.0), (2, 2)).smallest() is None


def test_a_change_of_runs_tells_it_as_a_fraction() -> None:
    before, after = [1.00, 1.01, 0.99, 1.00, 1.005], [1.00, 1.02, 0.98]
    change = between_runs(before, after, 0.03)
    spreads = [float(numpy.std(numpy.log(side), ddof=1)) for side in (before, after)]
    expected = known(Power(spreads, [5, 3], math.log1p(0.03), verdict.CHANGE_SIGNIFICANCE).smallest())
    assert change.smallest_change == pytest.approx(math.expm1(expected), rel=1e-6)


# Variations between launches over which a promise holds.
VARIATIONS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.2]


def at_most_two_alarms(significance: float) -> float:
    """Return the least probability, over all variations, that 200 runs of the same against itself alarm at most twice."""
    rates = [Power((spread, spread), (5, 5), BOUND, significance).of(0.0) for spread in VARIATIONS]
    return min(float(stats.binom.cdf(2, 200, rate)) for rate in rates)


def test_the_level_is_the_largest_that_keeps_200_runs_of_the_same_at_two_alarms() -> None:
    """It is kept 19 times in 20, whatever launches vary by; 5% are still caught where launches vary by 1%."""
    kept = [level for level in (0.05, 0.01, 0.005, 0.001) if at_most_two_alarms(level) >= 0.95]
    assert max(kept) == CHANGE_SIGNIFICANCE
    assert power((0.01, 0.01), (5, 5)).of(math.log(1.05)) > 0.98


def test_false_alarms_come_as_seldom_as_the_documentation_says() -> None:
    """Five launches a side; a side may vary as much as the other, or up to a hundred times as much."""

    def worst(ratio: float) -> float:
        return max(power((spread, ratio * spread), (5, 5)).of(0.0) for spread in (0.002, 0.01, 0.05, 0.3, 1.0))

    assert 0.003 < worst(1) < 0.0037
    assert 0.007 < max(map(worst, (2, 3, 5, 7, 10, 100))) < 0.0075
    assert simulated((0.3, 1.5), (5, 5), 0.0) == pytest.approx(0.0074, abs=0.001)
