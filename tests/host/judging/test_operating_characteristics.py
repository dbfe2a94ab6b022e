"""How often each rule is right and wrong, by simulation: log-normal launches, seeded, the kit's own code on every sample.

Expected rates are those found when the rules were chosen (launches differ by 1%, iterations of one launch by 0.3%, five
launches of five iterations on each side). A rate counts as met within four standard errors of both simulations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy
import pytest
from numpy.typing import NDArray
from scipy import stats

from runner.host.judging import verdict

pytestmark = pytest.mark.slow

# Seconds, with the axes launches and iterations, or samples before them.
Samples = NDArray[numpy.float64]
# Whether a rule flags a change between two sides.
Rule = Callable[[Samples, Samples], bool]

BETWEEN, WITHIN, LAUNCHES, ITERATIONS = 0.01, 0.003, 5, 5
SAMPLES = 1500
# At least as many samples stood behind the expected rates.
REFERENCE_SAMPLES = 1500


def close(rate: float, expected: float, samples: int = SAMPLES) -> bool:
    """Return whether two simulated rates agree within four standard errors of their difference."""
    middle = min(max((rate + expected) / 2, 1 / samples), 1 - 1 / samples)
    error = numpy.sqrt(middle * (1 - middle) * (1 / samples + 1 / REFERENCE_SAMPLES))
    return abs(rate - expected) <= 4 * error + 0.005  # expected rates are printed to half a percent


def launches(
    random: numpy.random.Generator,
    ratio: float = 1.0,
    samples: int = SAMPLES,
    count: int = LAUNCHES,
    iterations: int = ITERATIONS,
    between: float = BETWEEN,
) -> Samples:
    """Return seconds [samples, launches, iterations]."""
    launch = random.normal(numpy.log(ratio), between, (samples, count, 1))
    return numpy.exp(launch + random.normal(0, WITHIN, (samples, count, iterations)))


@pytest.fixture
def random() -> numpy.random.Generator:
    return numpy.random.default_rng(20230328)


def share(flags: Sequence[object]) -> float:
    return sum(map(bool, flags)) / len(flags)


def t_covers(values: Samples, truth: float = 1.0) -> bool:
    """Return whether a 95% t-interval of the mean of log values covers the truth."""
    logs = numpy.log(values)
    low, high = stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs))
    return low <= numpy.log(truth) <= high


@pytest.mark.parametrize(
    "count, iterations, pooled, expected",
    [(1, 5, True, 0.27), (1, 20, True, 0.11), (5, 5, True, 0.58), (5, 5, False, 0.95)],
)
def test_only_launches_as_samples_cover_the_truth(
    random: numpy.random.Generator, count: int, iterations: int, pooled: bool, expected: float
) -> None:
    drawn = launches(random, count=count, iterations=iterations)
    values = drawn.reshape(SAMPLES, -1) if pooled else drawn.mean(axis=2)
    covered = share([t_covers(sample) for sample in values])
    assert close(covered, expected)
    if not pooled:
        assert 0.94 - 0.006 <= covered <= 0.96 + 0.006  # 95% within its own sampling error


def rule_of_the_kit(before: Samples, after: Samples) -> bool:
    return kit_word(before, after) == verdict.CHANGED


def kit_word(before: Samples, after: Samples) -> verdict.ChangeWord:
    return verdict.between_runs(list(before.mean(axis=1)), list(after.mean(axis=1))).word


def rule_of_pooled_t(before: Samples, after: Samples) -> bool:
    return stats.ttest_ind(before.ravel(), after.ravel()).pvalue < 0.05


def rule_of_seven_percent(before: Samples, after: Samples) -> bool:
    return abs(after[0].mean() / before[0].mean() - 1) > 0.07


def rule_of_one_run_at_five_percent(before: Samples, after: Samples) -> bool:
    return after[0].mean() / before[0].mean() - 1 > 0.05


def rule_of_ten_percent(before: Samples, after: Samples) -> bool:
    """As a threshold of github-action-benchmark or Bencher is often set: the mean of one launch a side, over 10% slower."""
    return after[0].mean() / before[0].mean() - 1 > 0.10


def rule_of_pooled_welch(before: Samples, after: Samples) -> bool:
    return stats.ttest_ind(before.ravel(), after.ravel(), equal_var=False).pvalue < 0.05


def rule_of_overlapping_intervals(before: Samples, after: Samples) -> bool:
    sides = [numpy.log(side.mean(axis=1)) for side in (before, after)]
    (a, b), (c, d) = (stats.t.interval(0.95, LAUNCHES - 1, side.mean(), stats.sem(side)) for side in sides)
    return b < c or d < a


def rule_of_ranks_and_a_factor(before: Samples, after: Samples) -> bool:
    ratio = numpy.median(after) / numpy.median(before)
    return bool(ratio > 1.1 and stats.mannwhitneyu(before.ravel(), after.ravel()).pvalue < 0.002)


BOOTSTRAP = 400
RESAMPLED = numpy.random.default_rng(20230424).integers(0, LAUNCHES * ITERATIONS, (2, BOOTSTRAP, LAUNCHES * ITERATIONS))


def rule_of_a_bootstrap_beyond_one_percent(before: Samples, after: Samples) -> bool:
    """As criterion.rs decides: a t-test, and the bootstrapped 95% interval of the change wholly beyond 1%; iterations pooled."""
    means = [side.ravel()[drawn].mean(axis=1) for side, drawn in zip((before, after), RESAMPLED, strict=True)]
    low, high = numpy.quantile(means[1] / means[0] - 1, (0.025, 0.975))
    return (low > 0.01 or high < -0.01) and rule_of_pooled_t(before, after)


CHANGES = (1.0, 1.01, 1.02, 1.03, 1.05, 1.10)
EXPECTED: dict[Rule, tuple[float, ...]] = {
    rule_of_the_kit: (0.0005, 0.022, 0.24, 0.67, 0.99, 1.0),
    rule_of_pooled_t: (0.42, 0.77, 0.98, 1.0, 1.0, 1.0),
    rule_of_pooled_welch: (0.41, 0.77, 0.99, 1.0, 1.0, 1.0),
    rule_of_seven_percent: (0.0, 0.0, 0.001, 0.004, 0.094, 0.975),
    rule_of_ten_percent: (0.0, 0.0, 0.0, 0.0, 0.001, 0.50),
    rule_of_one_run_at_five_percent: (0.0, 0.003, 0.021, 0.092, 0.50, 1.0),
    rule_of_ranks_and_a_factor: (0.0, 0.0, 0.0, 0.0, 0.0, 0.50),
    rule_of_a_bootstrap_beyond_one_percent: (0.021, 0.22, 0.78, 0.99, 1.0, 1.0),
    rule_of_overlapping_intervals: (0.005, 0.064, 0.34, 0.76, 1.0, 1.0),
}


@pytest.mark.parametrize("rule", list(EXPECTED), ids=lambda rule: rule.__name__)
def test_each_rule_flags_as_often_as_it_did_when_the_rules_were_chosen(
    random: numpy.random.Generator, rule: Rule
) -> None:
    rates = []
    for change in CHANGES:
        before, after = launches(random), launches(random, change)
        rates.append(share([rule(*sides) for sides in zip(before, after, strict=True)]))
    assert all(close(rate, expected) for rate, expected in zip(rates, EXPECTED[rule], strict=True)), rates


# How often run against run is CHANGED and UNCHANGED, by how much launches vary and by the changes of CHANGES.
CHANGE_WORDS: dict[float, tuple[tuple[float, float], ...]] = {
    0.005: ((0.0, 1.0), (0.001, 0.85), (0.49, 0.046), (0.998, 0.0), (1.0, 0.0), (1.0, 0.0)),
    0.01: ((0.0005, 0.74), (0.022, 0.39), (0.24, 0.046), (0.67, 0.001), (0.99, 0.0), (1.0, 0.0)),
    0.02: ((0.0035, 0.055), (0.011, 0.042), (0.043, 0.019), (0.12, 0.005), (0.47, 0.0), (0.99, 0.0)),
}


@pytest.mark.parametrize("variation", list(CHANGE_WORDS))
def test_each_word_of_run_against_run_comes_as_often_as_expected(
    random: numpy.random.Generator, variation: float
) -> None:
    for change, expected in zip(CHANGES, CHANGE_WORDS[variation], strict=True):
        before, after = (launches(random, ratio, between=variation) for ratio in (1.0, change))
        words = [kit_word(*sides) for sides in zip(before, after, strict=True)]
        rates = [words.count(word) / SAMPLES for word in (verdict.CHANGED, verdict.UNCHANGED)]
        assert all(close(rate, wanted) for rate, wanted in zip(rates, expected, strict=True)), (change, rates)


def direction_of(before_s: Samples, after_s: Samples) -> str | None:
    change = verdict.between_runs(list(before_s), list(after_s))
    return verdict.direction(change.word, change.ratio)


def test_false_alarms_stay_under_one_percent_with_confirmation_even_where_launches_vary_twice_as_much(
    random: numpy.random.Generator,
) -> None:
    for between in (0.01, 0.02):
        pairs = [[launches(random, between=between, samples=SAMPLES).mean(axis=2) for _ in range(2)] for _ in range(2)]
        (before, after), (again_before, again_after) = pairs
        flags = [
            direction_of(a, b) is not None and direction_of(a, b) == direction_of(c, d)
            for a, b, c, d in zip(before, after, again_before, again_after, strict=True)
        ]
        assert share(flags) < 0.01


def test_a_rival_raises_false_alarms_that_the_kit_does_not(random: numpy.random.Generator) -> None:
    before, after = launches(random), launches(random)
    kit = share([rule_of_the_kit(*sides) for sides in zip(before, after, strict=True)])
    pooled = share([rule_of_pooled_t(*sides) for sides in zip(before, after, strict=True)])
    assert kit < 0.02 < 0.30 < pooled


def words(random: numpy.random.Generator, ratio: float, count: int, between: float = BETWEEN) -> dict[str, float]:
    """Return how often each word is given; the published value is itself one noisy launch, as printed to three decimals."""
    ours = launches(random, ratio, count=count, between=between).mean(axis=2)
    published = launches(random, count=1, between=between).mean(axis=2)[:, 0]
    given = [
        verdict.against_claim(list(sample), f"{value:.3f}", 0.05, 0.01).word
        for sample, value in zip(ours, published, strict=True)
    ]
    return {word: given.count(word) / SAMPLES for word in (verdict.REPRODUCED, verdict.INCONCLUSIVE, verdict.SLOWER)}


@pytest.mark.parametrize(
    "ratio, count, expected",
    [
        (1.00, 5, (1.00, 0.00, 0.00)),
        (1.03, 5, (0.81, 0.18, 0.01)),
        (1.05, 5, (0.22, 0.57, 0.21)),
        (1.10, 5, (0.00, 0.00, 1.00)),
        (1.00, 3, (0.98, 0.02, 0.00)),
    ],
)
def test_verdicts_at_five_percent_come_as_often_as_expected(
    random: numpy.random.Generator, ratio: float, count: int, expected: tuple[float, float, float]
) -> None:
    rates = words(random, ratio, count)
    assert all(close(rate, wanted) for rate, wanted in zip(rates.values(), expected, strict=True)), rates
