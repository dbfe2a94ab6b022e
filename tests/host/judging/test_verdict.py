from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest
from scipy import stats

from runner.host.judging import verdict
from runner.host.judging.verdict import Verdict, against_claim, between_runs, direction, holm


def judge(
    latencies_s: Sequence[float],
    published: str = "1.000",
    margin: float = 0.05,
    prior_cv: float = 0.01,
    **more: Sequence[str],
) -> Verdict:
    return against_claim(latencies_s, published, margin, prior_cv, **more)


def known(number: float | None) -> float:
    """Return a number that the verdict must have."""
    assert number is not None
    return number


@pytest.mark.parametrize(
    "latencies_s, word",
    [
        ([1.00, 1.01, 0.99, 1.00, 1.005], "REPRODUCED"),
        ([1.10, 1.11, 1.09, 1.10, 1.105], "SLOWER"),
        ([0.90, 0.91, 0.89, 0.90, 0.905], "FASTER"),
        ([1.04, 1.06, 1.05, 1.03, 1.07], "INCONCLUSIVE"),
        ([0.6, 1.6, 1.0], "INCONCLUSIVE"),
        ([1.0], "PROVISIONAL"),
        ([], "NO-RESULT"),
    ],
)
def test_each_word_has_its_launches(latencies_s: Sequence[float], word: str) -> None:
    judged = judge(latencies_s)
    assert judged.word == word
    assert judged.reasons


def test_the_interval_is_student_s_on_the_logarithms_of_launches() -> None:
    judged = judge([1.0, 1.02, 1.04], published="1")
    logs = [math.log(value) for value in (1.0, 1.02, 1.04)]
    mean = sum(logs) / 3
    spread = math.sqrt(sum((value - mean) ** 2 for value in logs) / 2)
    reach = 2.919986 * spread / math.sqrt(3)  # t of 2 degrees of freedom at 95%
    assert judged.interval == pytest.approx((math.exp(mean - reach) / 1.5, math.exp(mean + reach) / 0.5), rel=1e-5)
    assert judged.ratio == pytest.approx(math.exp(mean))


def test_the_published_digits_widen_the_interval() -> None:
    same = [1.0, 1.0, 1.0]
    coarse, fine = judge(same, published="1.0"), judge(same, published="1.000")
    assert fine.interval == pytest.approx((1 / 1.0005, 1 / 0.9995))
    assert coarse.interval == pytest.approx((1 / 1.05, 1 / 0.95))
    assert verdict.rounding("4.402") == pytest.approx((4.4015, 4.4025))
    assert verdict.rounding("3") == (2.5, 3.5)
    assert verdict.rounding("772e-3") == verdict.rounding("0.772") == (0.7715, 0.7725)
    assert verdict.rounding("5e-1") == verdict.rounding("0.5") == (0.45, 0.55)
    assert verdict.rounding("31E2") == (3050, 3150)


def test_the_attained_margin_is_the_least_that_passes() -> None:
    launches = [1.02, 1.03, 1.01, 1.02]
    attained = known(judge(launches).attained_margin)
    assert judge(launches, margin=attained * 1.0001).word == "REPRODUCED"
    assert judge(launches, margin=attained * 0.9999).word != "REPRODUCED"


def test_one_launch_takes_the_stated_prior_and_says_so() -> None:
    tight, wide = judge([1.0], prior_cv=0.005), judge([1.0], prior_cv=0.05)
    assert known(tight.attained_margin) < known(wide.attained_margin)
    assert "a variation of 0.5% between launches is assumed" in tight.reasons[0]
    assert tight.prediction_interval is None


def test_unlike_conditions_come_first_and_the_ratio_is_still_told() -> None:
    judged = judge([1.0, 1.0, 1.01], differences=["precision", "stack"])
    assert (judged.word, judged.reasons) == ("NOT-COMPARABLE", ["precision differs", "stack differs"])
    assert judged.ratio == pytest.approx(1.0033, abs=1e-3)


def test_a_failed_check_comes_before_everything() -> None:
    judged = judge([1.0, 1.0, 1.0], differences=["stack"], failed_checks=["output_tokens"])
    assert (judged.word, judged.reasons, judged.ratio) == ("INVALID", ["the check output_tokens failed"], None)
    assert judged.launches == 3


def test_the_scale_does_not_matter() -> None:
    small, large = judge([1.01, 1.03, 0.98]), judge([10.1, 10.3, 9.8], published="10.00")
    assert small.word == large.word
    assert small.ratio == pytest.approx(large.ratio)


def test_the_order_of_launches_does_not_matter() -> None:
    assert judge([1.0, 1.03, 0.97]).interval == pytest.approx(judge([0.97, 1.0, 1.03]).interval)


def test_holm_adjusts_as_in_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_slower_cell_has_a_small_p_and_a_faithful_one_a_large() -> None:
    assert known(judge([1.20, 1.21, 1.19]).p_slower) < 0.001
    assert known(judge([1.0, 1.01, 0.99]).p_slower) > 0.5
    assert judge([2.0, 2.0, 2.0]).p_slower == 0.0


BEFORE = [1.00, 1.01, 0.99, 1.00, 1.005]


@pytest.mark.parametrize(
    "factor, word, words",
    [
        (1.0, "UNCHANGED", "the interval 0.991 to 1.009 of the ratio lies within the margin of 2%"),
        (1.015, "INCONCLUSIVE", "of the ratio is not within the margin of 2%, and p = 0.013 >= 0.005; more launches"),
        (1.05, "CHANGED", "a change of +5.0% is beyond the margin of 2%, and p = "),
        (0.95, "CHANGED", "a change of -5.0% is beyond the margin of 2%, and p = "),
    ],
)
def test_each_word_of_a_change_has_its_launches(factor: float, word: str, words: str) -> None:
    change = between_runs(BEFORE, [value * factor for value in reversed(BEFORE)])
    assert change.word == word
    assert words in change.reason
    assert change.ratio == pytest.approx(factor)
    assert change.interval[0] < factor < change.interval[1]
    assert change.margin == 0.02


def test_a_sure_change_that_may_be_within_the_margin_is_inconclusive() -> None:
    steady = [1.0, 1.001, 0.999, 1.0, 1.0005]
    change = between_runs(steady, [value * 1.0198 for value in steady])
    assert (change.word, change.p < 0.005) == ("INCONCLUSIVE", True)
    assert change.reason.startswith("a change of +2.0% is not beyond the margin of 2%, and the interval 1.019 to 1.021")


def test_a_change_at_its_limits_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    after = [value * factor for value, factor in zip(BEFORE, (1.04, 1.05, 1.06, 1.05, 1.05), strict=True)]
    change = statistics.fmean(map(math.log, after)) - statistics.fmean(map(math.log, BEFORE))
    p = between_runs(BEFORE, after).p
    with monkeypatch.context() as patched:
        patched.setattr(verdict, "CHANGE_SIGNIFICANCE", p)
        assert between_runs(BEFORE, after).word == "INCONCLUSIVE"
        patched.setattr(verdict, "CHANGE_SIGNIFICANCE", math.nextafter(p, 1.0))
        assert between_runs(BEFORE, after).word == "CHANGED"
    assert between_runs(BEFORE, after, math.expm1(change) * (1 + 1e-12)).word == "INCONCLUSIVE"
    assert between_runs(BEFORE, after, math.expm1(change) * (1 - 1e-12)).word == "CHANGED"


@pytest.mark.parametrize("bottom, top", [(-0.05, 0.05), (-0.05, 0.0501), (-0.0501, 0.05)])
def test_an_interval_that_ends_at_the_margin_lies_within_it(bottom: float, top: float) -> None:
    word, _ = verdict._decide_change(0.0, (bottom, top), 0.5, math.expm1(0.05))
    assert word == ("UNCHANGED" if max(-bottom, top) == 0.05 else "INCONCLUSIVE")


def test_no_change_has_two_words() -> None:
    """Whatever the interval and the p-value: a change beyond the margin is never within it."""
    bound = math.log1p(0.02)
    for change in (-0.03, -bound, -0.01, 0.0, 0.01, bound, 0.03):
        for reach in (0.0, 0.005, 0.02, 1.0):
            for p in (0.0, 0.1):
                word, _ = verdict._decide_change(change, (change - reach, change + reach), p, 0.02)
                beyond, within = p == 0.0 and abs(change) > bound, abs(change) + reach <= bound
                assert not (beyond and within)
                assert word == ("CHANGED" if beyond else "UNCHANGED" if within else "INCONCLUSIVE")


@pytest.mark.parametrize("after", [[1.02, 1.05, 0.99], [1.3, 1.31], [1.0, 1.0, 1.0, 1.0]])
def test_interval_and_p_are_those_of_welch(after: list[float]) -> None:
    change = between_runs(BEFORE, after)
    test = stats.ttest_ind([math.log(value) for value in after], [math.log(value) for value in BEFORE], equal_var=False)
    expected = test.confidence_interval(0.90)
    assert change.p == pytest.approx(test.pvalue)
    assert change.interval == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


@pytest.mark.parametrize(
    "value, word, p", [(1.0, "UNCHANGED", 1.0), (1.01, "UNCHANGED", 0.0), (1.03, "CHANGED", 0.0), (0.9, "CHANGED", 0.0)]
)
def test_launches_without_any_variation_changed_or_did_not(value: float, word: str, p: float) -> None:
    change = between_runs([1.0] * 3, [value] * 2)
    assert (change.word, change.p) == (word, p)
    assert change.interval == pytest.approx((value, value))
    assert change.smallest_change == pytest.approx(0.02)


def test_a_large_change_of_noisy_launches_is_not_shown() -> None:
    change = between_runs([1.0, 2.0, 0.5], [1.5, 0.7, 2.2])
    assert change.word == "INCONCLUSIVE"
    assert known(change.smallest_change) > 10


def test_two_launches_that_vary_much_show_no_change_at_all() -> None:
    assert between_runs([1.0, 3.0], [1.0, 3.0]).smallest_change is None


def test_sides_may_differ_in_number_but_one_launch_tells_nothing() -> None:
    assert between_runs(BEFORE, [1.2, 1.201, 1.199]).word == "CHANGED"
    with pytest.raises(ValueError, match="^run against run needs at least two launches on each side$"):
        between_runs(BEFORE, [1.2])
    with pytest.raises(ValueError, match="^run against run needs at least two launches on each side$"):
        between_runs([1.2], BEFORE)


def test_only_a_change_has_a_direction() -> None:
    up, down, none = (between_runs(BEFORE, [value * factor for value in BEFORE]) for factor in (1.1, 0.9, 1.0))
    assert [direction(change.word, change.ratio) for change in (up, down, none)] == ["slower", "faster", None]
    assert direction("INCONCLUSIVE", 1.1) is direction(None, 1.1) is direction("CHANGED", None) is None


def test_one_launch_reaches_as_far_as_a_normal_with_the_assumed_variation() -> None:
    judged = judge([1.0], prior_cv=0.01)
    reach = 1.644854 * 0.01  # the normal quantile of 95%
    assert judged.interval == pytest.approx((math.exp(-reach) / 1.0005, math.exp(reach) / 0.9995), rel=1e-6)


def test_one_more_launch_lies_in_the_prediction_interval_of_student() -> None:
    judged = judge([1.0, 1.02, 1.04], published="1")
    logs = [math.log(value) for value in (1.0, 1.02, 1.04)]
    mean = sum(logs) / 3
    far = 4.302653 * math.sqrt(sum((value - mean) ** 2 for value in logs) / 2) * math.sqrt(1 + 1 / 3)
    assert judged.prediction_interval == pytest.approx((math.exp(mean - far), math.exp(mean + far)), rel=1e-6)


@pytest.mark.parametrize(
    "bottom, top, word, words",
    [
        (-0.05, 0.05, "REPRODUCED", "the interval 0.951 to 1.051 of the ratio lies within the margin of 5%"),
        (-0.05, 0.0501, "INCONCLUSIVE", "the interval 0.951 to 1.051 of the ratio straddles the margin of 5%; "),
        (-0.0501, 0.05, "INCONCLUSIVE", "the interval 0.951 to 1.051 of the ratio straddles the margin of 5%; "),
        (0.05, 0.06, "INCONCLUSIVE", "the interval 1.051 to 1.062 of the ratio straddles the margin of 5%; "),
        (-0.06, -0.05, "INCONCLUSIVE", "the interval 0.942 to 0.951 of the ratio straddles the margin of 5%; "),
        (0.0501, 0.06, "SLOWER", "the interval 1.051 to 1.062 of the ratio lies wholly above the margin of 5%"),
        (-0.06, -0.0501, "FASTER", "the interval 0.942 to 0.951 of the ratio lies wholly below the margin of 5%"),
        (-0.0501, -0.04, "INCONCLUSIVE", "the interval 0.951 to 0.961 of the ratio straddles the margin of 5%; "),
    ],
)
def test_the_margin_itself_is_within(bottom: float, top: float, word: str, words: str) -> None:
    decided, reason = verdict._decide(bottom, top, math.expm1(0.05))
    assert decided == word
    assert reason.startswith(words)


def test_no_launch_gives_no_number() -> None:
    numbers = dict(vars(judge([])))
    assert (numbers.pop("word"), numbers.pop("reasons"), numbers.pop("launches")) == (
        "NO-RESULT",
        ["no launch is complete"],
        0,
    )
    assert set(numbers.values()) == {None}


def test_a_verdict_says_the_margin_that_it_was_given_by() -> None:
    assert judge([1.0, 1.01, 0.99], margin=0.07).margin == 0.07


def test_the_p_of_a_slower_cell_is_student_s_against_the_margin() -> None:
    step = 0.01
    mean = math.log1p(0.05) + 2.919986 * step / math.sqrt(3)  # t of 2 degrees of freedom at 95%
    assert judge([math.exp(mean + off) for off in (-step, 0, step)]).p_slower == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize("value, margin, p", [(1.0, 0.05, 1.0), (1.0, 0.0, 1.0), (1.06, 0.05, 0.0)])
def test_launches_without_any_variation_are_above_the_margin_or_not(value: float, margin: float, p: float) -> None:
    assert judge([value] * 3, margin=margin).p_slower == p


def test_runs_that_vary_unlike_are_compared_by_welch() -> None:
    """Student's pooled test of these gives 0.004; Welch's has one degree of freedom, that of the two launches."""
    steady = [1.0 + 0.001 * number for number in range(-4, 5)]
    change = between_runs(steady, [1.0, 1.1])
    assert change.p == pytest.approx(0.51, abs=0.02)
    assert change.word == "INCONCLUSIVE"
