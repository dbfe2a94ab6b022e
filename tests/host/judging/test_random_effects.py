from __future__ import annotations

import math

import numpy
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from runner.host.judging.random_effects import pooled

# Tuberculosis with and without the BCG vaccine, 13 trials: ill and well of the vaccinated, ill and well of the others. The data set of
# Colditz et al. (1994), which textbooks and the documentation of metafor use.
BCG = [
    (4, 119, 11, 128),
    (6, 300, 29, 274),
    (3, 228, 11, 209),
    (62, 13536, 248, 12619),
    (33, 5036, 47, 5761),
    (180, 1361, 372, 1079),
    (8, 2537, 10, 619),
    (505, 87886, 499, 87892),
    (29, 7470, 45, 7232),
    (17, 1699, 65, 1600),
    (186, 50448, 141, 27197),
    (5, 2493, 3, 2338),
    (27, 16886, 29, 17825),
]


def test_the_textbook_data_of_a_vaccine_give_the_published_numbers() -> None:
    effects = [math.log(a / (a + b) / (c / (c + d))) for a, b, c, d in BCG]
    errors = [math.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)) for a, b, c, d in BCG]
    found = pooled(effects, errors)
    # metafor's tests of these data give Q, and its documentation I^2 and the tau squared of Paule and Mandel
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.i_squared == pytest.approx(0.9212, abs=5e-5)
    assert found.tau**2 == pytest.approx(0.318, abs=5e-4)
    assert found.p < 1e-20
    assert math.exp(found.mean) == pytest.approx(0.49, abs=0.005), "the vaccine halves the risk"


@pytest.mark.parametrize("seed", range(60))
def test_random_measurements_are_merged_as_statsmodels_merges_them(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    number = int(random.integers(2, 15))
    errors = random.uniform(0.002, 0.05, number)
    effects = random.normal(1.0, math.hypot(0.02, random.choice([0.0, 0.02, 0.3])), number)
    # a smaller tolerance may make their last step fall below the solution, which they take for no spread at all
    theirs = combine_effects(effects, errors**2, method_re="pm", use_t=True, alpha=0.10, atol=1e-6)
    ours = pooled(list(effects), list(errors))
    tau2 = max(float(theirs.tau2), 0.0)
    assert ours.tau**2 == pytest.approx(tau2, rel=1e-4, abs=1e-12)
    assert ours.mean == pytest.approx(float(theirs.mean_effect_re), rel=1e-6)
    assert ours.weights == pytest.approx(list(theirs.weights_rel_re), rel=1e-4)
    assert ours.q == pytest.approx(float(theirs.q), rel=1e-9)
    assert ours.i_squared == pytest.approx(max(0.0, float(theirs.i2)), abs=1e-9)
    # theirs may be narrower than the standard error allows, ours may not
    error = max(math.sqrt(theirs.var_hksj_re), float(theirs.sd_eff_w_re))
    assert ours.error == pytest.approx(error, rel=1e-4)
    assert ours.interval == pytest.approx(stats.t.interval(0.90, number - 1, ours.mean, ours.error), rel=1e-9)
    assert ours.p == pytest.approx(float(theirs.test_homogeneity().pvalue), abs=1e-9)
    if ours.tau > 0:
        at_tau = sum((effects - ours.mean) ** 2 / (errors**2 + ours.tau**2))
        assert at_tau == pytest.approx(number - 1, rel=1e-9), "the sum of squares is as expected"


@pytest.mark.parametrize("tau", [0.0, 0.02])
def test_the_prediction_interval_needs_three_measurements_and_holds_the_spread_between_them(tau: float) -> None:
    effects, errors = [1.0 - tau, 1.0, 1.0 + tau], [0.001] * 3
    found = pooled(effects, errors)
    assert found.prediction is not None
    reach = stats.t.ppf(0.975, 1) * math.hypot(found.tau, found.error)
    assert found.prediction == pytest.approx((1.0 - reach, 1.0 + reach))
    assert pooled(effects[:2], errors[:2]).prediction is None


@pytest.mark.parametrize("errors", [(0.01, 0.02, 0.03), (0.0, 0.02, 0.03), (0.0, 0.0, 0.0)])
def test_equal_effects_have_no_spread_between_them(errors: tuple[float, ...]) -> None:
    found = pooled([1.25] * 3, errors)
    assert (found.mean, found.tau, found.q, found.p, found.i_squared) == (1.25, 0.0, 0.0, 1.0, 0.0)
    assert sum(found.weights) == pytest.approx(1.0)
    if 0.0 in errors:
        assert found.interval == (1.25, 1.25)
    else:
        assert found.interval[0] < 1.25 < found.interval[1], "measurements that agree by chance are not exact"


def test_an_effect_without_an_error_has_all_the_weight_until_the_others_contradict_it() -> None:
    near = pooled([1.0, 1.01], [0.0, 0.02])
    assert (near.mean, near.weights, near.error) == (1.0, (1.0, 0.0), 0.0)
    far = pooled([1.0, 1.5], [0.0, 0.02])
    assert far.tau > 0.1 and 0 < far.weights[1] < far.weights[0]
    assert 1.0 < far.mean < 1.5


def test_effects_without_errors_that_differ_are_a_plain_sample() -> None:
    effects = [1.0, 1.1, 1.3]
    found = pooled(effects, [0.0] * 3)
    assert (found.q, found.p, found.i_squared) == (math.inf, 0.0, 1.0)
    assert found.tau == pytest.approx(numpy.std(effects, ddof=1))
    expected = stats.t.interval(0.90, 2, numpy.mean(effects), stats.sem(effects))
    assert found.interval == pytest.approx(expected)


def test_the_order_the_origin_and_the_unit_of_effects_change_nothing() -> None:
    effects, errors = [1.0, 1.04, 0.97, 1.2], [0.01, 0.02, 0.015, 0.05]
    found, turned = pooled(effects, errors), pooled(effects[::-1], errors[::-1])
    assert turned.weights == pytest.approx(found.weights[::-1])
    moved = pooled([10 * effect - 7 for effect in effects], [10 * error for error in errors])
    assert (moved.mean, moved.tau, moved.q) == pytest.approx((10 * found.mean - 7, 10 * found.tau, found.q))
    assert turned.interval == pytest.approx(found.interval)


@pytest.mark.parametrize(
    "effects, errors, words",
    [
        ([], [], "two measurements"),
        ([1.0], [0.1], "two measurements"),
        ([1.0, 2.0], [0.1], "two measurements"),
        ([1.0, math.nan], [0.1, 0.1], "finite"),
        ([1.0, 2.0], [0.1, math.inf], "finite"),
        ([1.0, 2.0], [0.1, -0.1], "below 0"),
    ],
)
def test_what_cannot_be_merged_is_refused(effects: list[float], errors: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pooled(effects, errors)


SAMPLES = 1000
# Measurements, tau, and how often the 90% interval of the kit, Hartung's and Knapp's as published, and the usual normal one contain the
# truth; then how often the 95% prediction interval contains the true value of one more measurement. None: two cannot tell it.
EXPECTED: list[tuple[int, float, tuple[float, float, float], float | None]] = [
    (2, 0.0, (0.998, 0.882, 0.876), None),
    (2, 0.01, (0.984, 0.846, 0.708), None),
    (2, 0.03, (0.929, 0.866, 0.655), None),
    (3, 0.0, (0.978, 0.864, 0.885), 1.0),
    (3, 0.01, (0.914, 0.841, 0.763), 0.997),
    (3, 0.03, (0.892, 0.881, 0.756), 0.984),
    (5, 0.0, (0.931, 0.85, 0.865), 0.983),
    (5, 0.01, (0.884, 0.869, 0.808), 0.898),
    (5, 0.03, (0.898, 0.898, 0.824), 0.954),
    (10, 0.0, (0.882, 0.839, 0.842), 0.952),
    (10, 0.01, (0.887, 0.886, 0.851), 0.918),
    (10, 0.03, (0.904, 0.904, 0.869), 0.951),
]


def simulated(random: numpy.random.Generator, number: int, tau: float) -> tuple[list[bool], bool | None]:
    """Return whether each interval of measurements contains the truth, 0: every second measurement is one published number.

    Launches vary by 1%, as is assumed for the published number; the others have five launches and the error that these show.
    """
    effects, errors = [], []
    for index in range(number):
        launches = random.normal(random.normal(0.0, tau), 0.01, 5)
        effects.append(launches[0] if index % 2 == 0 else launches.mean())
        errors.append(0.01 if index % 2 == 0 else launches.std(ddof=1) / math.sqrt(5))
    found = pooled(effects, errors)
    precision = sum(1 / (error**2 + found.tau**2) for error in errors)
    spread = sum(weight * (effect - found.mean) ** 2 for effect, weight in zip(effects, found.weights, strict=True))
    as_published = stats.t.ppf(0.95, number - 1) * math.sqrt(spread / (number - 1))
    normal = stats.norm.ppf(0.95) / math.sqrt(precision)
    covered = [found.interval[0] <= 0 <= found.interval[1], abs(found.mean) <= as_published, abs(found.mean) <= normal]
    if found.prediction is None:
        return covered, None
    return covered, found.prediction[0] <= random.normal(0.0, tau) <= found.prediction[1]


@pytest.mark.slow
@pytest.mark.parametrize("number, tau, expected, prediction", EXPECTED)
def test_the_interval_covers_the_truth_as_often_as_the_page_says(
    number: int, tau: float, expected: tuple[float, float, float], prediction: float | None
) -> None:
    random = numpy.random.default_rng(20230328)
    samples = [simulated(random, number, tau) for _ in range(SAMPLES)]
    rates = [sum(covered) / SAMPLES for covered in zip(*(covered for covered, _ in samples), strict=True)]
    assert rates == [within(rate) for rate in expected]
    if prediction is not None:
        assert sum(bool(contained) for _, contained in samples) / SAMPLES == within(prediction)


def within(rate: float) -> object:
    """Return what a simulated rate equals where it lies within four standard errors of an expected one, which is rounded."""
    return pytest.approx(rate, abs=0.0005 + 4 * math.sqrt(max(rate * (1 - rate), 0.001) / SAMPLES))
