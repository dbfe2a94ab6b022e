"""Decide from the latencies of launches whether a published number holds, and whether two sets of launches differ. Pure.

Launches are the samples; iterations of one launch are not independent (pooling five launches of five iterations covers the
truth 58% of the time instead of 95%, see tests/host/judging/test_operating_characteristics.py). The question is equivalence
within a margin fixed before the run, not difference: a faithful rerun fails a point-null test ever more often the more
launches there are, since the published value is itself one noisy launch.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import ModuleType
from typing import Final, Literal

VerdictWord = Literal[
    "REPRODUCED", "FASTER", "SLOWER", "INCONCLUSIVE", "PROVISIONAL", "NOT-COMPARABLE", "INVALID", "NO-RESULT"
]
REPRODUCED: Final = "REPRODUCED"
FASTER: Final = "FASTER"
SLOWER: Final = "SLOWER"
INCONCLUSIVE: Final = "INCONCLUSIVE"
PROVISIONAL: Final = "PROVISIONAL"
NOT_COMPARABLE: Final = "NOT-COMPARABLE"
INVALID: Final = "INVALID"
NO_RESULT: Final = "NO-RESULT"
# The words of verdicts that the interval of the ratio decided.
DECIDED: tuple[VerdictWord, ...] = (REPRODUCED, FASTER, SLOWER, INCONCLUSIVE)

# Of the two-sided interval: each side is tested at 5%.
CONFIDENCE = 0.90
PREDICTION = 0.95

# Run against run: a change is flagged only if its p-value is below SIGNIFICANCE and its size above LEAST_CHANGE.
SIGNIFICANCE = 0.05
LEAST_CHANGE = 0.02


def _stats() -> ModuleType:
    """Return scipy's distributions. Importing them takes a second, and only a verdict on launches needs them."""
    from scipy import stats

    return stats


@dataclass(frozen=True)
class Verdict:
    """The verdict of launches on a published number: one word, and the reasons for the word.

    ``ratio`` is measured over published (geometric mean of launches), ``interval`` its 90% interval, widened by the rounding of the
    published number. ``attained_margin`` is the smallest margin that would have given REPRODUCED; ``prediction_interval`` is the 95%
    interval of one more launch, as a ratio, and ``p_slower`` the one-sided p-value that the ratio is within the margin, which the
    headline uses: both are None for a single launch. All numbers are None where nothing was compared.
    """

    word: VerdictWord
    reasons: list[str]
    launches: int = 0
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    attained_margin: float | None = None
    prediction_interval: tuple[float, float] | None = None
    p_slower: float | None = None


def rounding(published: str) -> tuple[float, float]:
    """Return the least and the greatest value that print as the text ``published``: half a unit of the last digit away.

    The last digit of ``772e-3`` counts thousandths, the last digit of ``5e-1`` tenths.
    """
    value = Decimal(published)
    half = Decimal((0, (5,), int(value.as_tuple().exponent) - 1))
    return float(value - half), float(value + half)


def against_claim(
    latencies_s: Sequence[float],
    published: str,
    margin: float,
    prior_cv: float,
    differences: Sequence[str] = (),
    failed_checks: Sequence[str] = (),
) -> Verdict:
    """Return the ``Verdict`` on launches against a published number.

    ``latencies_s`` holds one estimate for each launch in seconds, ``published`` the number in seconds as printed, ``margin`` the
    fraction fixed before the run, ``prior_cv`` the variation between launches that is assumed for a single launch.
    ``differences`` names conditions that the two do not share, ``failed_checks`` the checks that make the launches invalid.
    """
    if failed_checks:
        return Verdict(INVALID, [f"the check {name} failed" for name in failed_checks], len(latencies_s))
    if not latencies_s:
        return Verdict(NO_RESULT, ["no launch is complete"])
    low, high = rounding(published)
    logs = [math.log(value / float(published)) for value in latencies_s]
    n, mean = len(logs), statistics.fmean(logs)
    if n == 1:
        reach, prediction, p_slower = _stats().norm.ppf(0.5 + CONFIDENCE / 2) * prior_cv, None, None
    else:
        spread = statistics.stdev(logs)
        reach = _stats().t.ppf(0.5 + CONFIDENCE / 2, n - 1) * spread / math.sqrt(n)
        far = _stats().t.ppf(0.5 + PREDICTION / 2, n - 1) * spread * math.sqrt(1 + 1 / n)
        prediction = (math.exp(mean - far), math.exp(mean + far))
        p_slower = _p_above(mean, spread, n, math.log1p(margin))
    # the published value before rounding lies anywhere between low and high
    bottom, top = mean - reach - math.log(high / float(published)), mean + reach + math.log(float(published) / low)
    attained = math.expm1(max(abs(bottom), abs(top)))
    word, reason = _decide(bottom, top, margin)
    reasons = [reason]
    if differences:
        word, reasons = NOT_COMPARABLE, [f"{condition} differs" for condition in differences]
    elif n == 1:
        word, reasons = PROVISIONAL, [f"one launch; a variation of {prior_cv:.1%} between launches is assumed", reason]
    return Verdict(
        word, reasons, n, math.exp(mean), (math.exp(bottom), math.exp(top)), margin, attained, prediction, p_slower
    )


def _decide(bottom: float, top: float, margin: float) -> tuple[VerdictWord, str]:
    """Return word and reason for an interval of the log ratio."""
    bound = math.log1p(margin)
    interval = f"the interval {math.exp(bottom):.3f} to {math.exp(top):.3f} of the ratio"
    if -bound <= bottom and top <= bound:
        return REPRODUCED, f"{interval} lies within the margin of {margin:.0%}"
    if bottom > bound:
        return SLOWER, f"{interval} lies wholly above the margin of {margin:.0%}"
    if top < -bound:
        return FASTER, f"{interval} lies wholly below the margin of {margin:.0%}"
    return INCONCLUSIVE, f"{interval} straddles the margin of {margin:.0%}; more launches would tell"


def _p_above(mean: float, spread: float, n: int, bound: float) -> float:
    """Return the one-sided p-value that the mean log ratio is not above ``bound``."""
    if spread == 0:
        return 0.0 if mean > bound else 1.0
    return float(_stats().t.sf((mean - bound) / (spread / math.sqrt(n)), n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values in the order given, for a statement about several cells at once."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, greatest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = greatest
    return adjusted


@dataclass(frozen=True)
class Change:
    """Run against run: the ratio after / before, its 95% interval and p-value by Welch's test, and whether it is flagged, and why."""

    ratio: float
    interval: tuple[float, float]
    p: float
    flagged: bool
    reason: str


def between_runs(before_s: Sequence[float], after_s: Sequence[float]) -> Change:
    """Return the ``Change`` between two sets of latencies in seconds, by Welch's test on their logarithms.

    The sides may differ in number. Raises ``ValueError`` for fewer than two launches on a side.
    """
    if min(len(before_s), len(after_s)) < 2:
        raise ValueError("run against run needs at least two launches on each side")
    before, after = ([math.log(value) for value in values] for values in (before_s, after_s))
    test = _stats().ttest_ind(after, before, equal_var=False)
    interval = test.confidence_interval(PREDICTION)
    change = statistics.fmean(after) - statistics.fmean(before)
    significant, large = bool(test.pvalue < SIGNIFICANCE), abs(math.expm1(change)) > LEAST_CHANGE
    reason = f"p = {test.pvalue:.3g} {'<' if significant else '>='} {SIGNIFICANCE}, change {math.expm1(change):+.1%}"
    reason += f" {'beyond' if large else 'within'} {LEAST_CHANGE:.0%}"
    interval_ratio = (math.exp(interval.low), math.exp(interval.high))
    return Change(math.exp(change), interval_ratio, float(test.pvalue), significant and large, reason)


def confirmed(first: Change, second: Change) -> bool:
    """Return whether a flagged change was flagged again, in the same direction, on fresh launches."""
    return first.flagged and second.flagged and (first.ratio > 1) == (second.ratio > 1)
