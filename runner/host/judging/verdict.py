"""Decide from the latencies of launches whether a published number holds, and whether a second set of launches changed. Pure.

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
from typing import Final, Literal

from runner.host.judging.distributions import normal_quantile, t_above, t_quantile
from runner.host.judging.power import Power

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
# The words of verdicts on launches of the published cell itself.
COUNTED: tuple[VerdictWord, ...] = (*DECIDED, PROVISIONAL)

# The words of run against run. UNCHANGED says that the two runs are equivalent within the margin.
ChangeWord = Literal["CHANGED", "UNCHANGED", "INCONCLUSIVE"]
CHANGED: Final = "CHANGED"
UNCHANGED: Final = "UNCHANGED"
CHANGE_WORDS: tuple[ChangeWord, ...] = (CHANGED, UNCHANGED, INCONCLUSIVE)
Direction = Literal["slower", "faster"]

# Where an interval lies to the margin around the number that it is compared with.
Place = Literal["within", "above", "below", "across"]

# Of the two-sided interval: each side is tested at 5%.
CONFIDENCE = 0.90
PREDICTION = 0.95
# Of a headline over several cells.
SIGNIFICANCE = 0.05

# Run against run. The level is chosen so that 200 runs of the same against itself alarm at most twice: with five launches a side that
# vary alike the rate of false alarms is at most 0.37%, with sides that vary unlike at most 0.75% (docs/statistics.md).
CHANGE_SIGNIFICANCE = 0.005
CHANGE_MARGIN = 0.02


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


@dataclass(frozen=True)
class LaunchMean:
    """The geometric mean of launches in seconds.

    ``error`` is the standard error of the mean logarithm, ``interval_s`` the 90% interval of the mean. Both are None where nothing is known
    of how launches vary.
    """

    latency_s: float
    error: float | None
    interval_s: tuple[float, float] | None


def mean_of(latencies_s: Sequence[float], assumed_cv: float | None = None) -> LaunchMean:
    """Return the mean of one launch or more, with the t-interval that these show.

    With ``assumed_cv`` the launches are taken to vary by this fraction, whatever they show; the interval is then the normal one. Raises
    ``statistics.StatisticsError`` for no launch.
    """
    logs = [math.log(value) for value in latencies_s]
    mean, n = statistics.fmean(logs), len(logs)
    if assumed_cv is not None:
        error, quantile = assumed_cv / math.sqrt(n), normal_quantile(0.5 + CONFIDENCE / 2)
    elif n > 1:
        error, quantile = statistics.stdev(logs) / math.sqrt(n), t_quantile(0.5 + CONFIDENCE / 2, n - 1)
    else:
        return LaunchMean(math.exp(mean), None, None)
    return LaunchMean(math.exp(mean), error, (math.exp(mean - error * quantile), math.exp(mean + error * quantile)))


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
        reach, prediction, p_slower = normal_quantile(0.5 + CONFIDENCE / 2) * prior_cv, None, None
    else:
        spread = statistics.stdev(logs)
        reach = t_quantile(0.5 + CONFIDENCE / 2, n - 1) * spread / math.sqrt(n)
        far = t_quantile(0.5 + PREDICTION / 2, n - 1) * spread * math.sqrt(1 + 1 / n)
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
    interval = f"the interval {math.exp(bottom):.3f} to {math.exp(top):.3f} of the ratio"
    match place(bottom, top, margin):
        case "within":
            return REPRODUCED, f"{interval} lies within the margin of {margin:.0%}"
        case "above":
            return SLOWER, f"{interval} lies wholly above the margin of {margin:.0%}"
        case "below":
            return FASTER, f"{interval} lies wholly below the margin of {margin:.0%}"
        case "across":
            return INCONCLUSIVE, f"{interval} straddles the margin of {margin:.0%}; more launches would tell"


def place(bottom: float, top: float, margin: float) -> Place:
    """Return where an interval of the log ratio lies to the margin, which itself is within."""
    bound = math.log1p(margin)
    if -bound <= bottom and top <= bound:
        return "within"
    return "above" if bottom > bound else "below" if top < -bound else "across"


def _p_above(mean: float, spread: float, n: int, bound: float) -> float:
    """Return the one-sided p-value that the mean log ratio is not above ``bound``."""
    if spread == 0:
        return 0.0 if mean > bound else 1.0
    return t_above((mean - bound) / (spread / math.sqrt(n)), n - 1)


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
    """The change of run against run: one word, and the reason for the word.

    ``ratio`` is after over before (geometric means of launches), ``interval`` its 90% interval and ``p`` the two-sided p-value, both by
    Welch's test. ``smallest_change`` is the smallest fraction by which the runs would have had to differ to be called CHANGED with the
    probability ``power.PROBABILITY``, where launches vary as these did; None where no change is large enough, or none was looked for.
    """

    word: ChangeWord
    ratio: float
    interval: tuple[float, float]
    p: float
    margin: float
    smallest_change: float | None
    reason: str


def between_runs(
    before_s: Sequence[float], after_s: Sequence[float], margin: float = CHANGE_MARGIN, power: bool = True
) -> Change:
    """Return the ``Change`` between two sets of latencies in seconds, by Welch's test on their logarithms.

    ``margin`` is the fraction up to which a change does not matter. The sides may differ in number. Without ``power`` the smallest change
    is left None: computing it takes most of the time. Raises ``ValueError`` for fewer than two launches on a side.
    """
    if min(len(before_s), len(after_s)) < 2:
        raise ValueError("run against run needs at least two launches on each side")
    sides = [[math.log(value) for value in values] for values in (before_s, after_s)]
    spreads, counts = [statistics.stdev(logs) for logs in sides], [len(logs) for logs in sides]
    change = statistics.fmean(sides[1]) - statistics.fmean(sides[0])
    error, degrees = welch(spreads, counts)
    reach, p = 0.0, float(change == 0)
    if error > 0:
        reach = t_quantile(0.5 + CONFIDENCE / 2, degrees) * error
        p = 2 * t_above(abs(change) / error, degrees)
    interval = change - reach, change + reach
    word, reason = _decide_change(change, interval, p, margin)
    smallest = Power(spreads, counts, math.log1p(margin), CHANGE_SIGNIFICANCE).smallest() if power else None
    return Change(
        word=word,
        ratio=math.exp(change),
        interval=(math.exp(interval[0]), math.exp(interval[1])),
        p=p,
        margin=margin,
        smallest_change=None if smallest is None else math.expm1(smallest),
        reason=reason,
    )


def welch(spreads: Sequence[float], counts: Sequence[int]) -> tuple[float, float]:
    """Return the standard error of the difference of two means, and its degrees of freedom: 0 and infinity without any spread.

    The spread of a side of one value is not estimated from the values but assumed: that side takes no degrees of freedom.
    """
    parts = [spread**2 / count for spread, count in zip(spreads, counts, strict=True)]
    if sum(parts) == 0:
        return 0.0, math.inf
    shares = [part / sum(parts) for part in parts]
    inverse = sum(share**2 / (count - 1) for share, count in zip(shares, counts, strict=True) if count > 1)
    return math.sqrt(sum(parts)), 1 / inverse if inverse else math.inf


def _decide_change(change: float, interval: tuple[float, float], p: float, margin: float) -> tuple[ChangeWord, str]:
    """Return word and reason for a change of the mean logarithm, its interval and its p-value.

    No change has two words: a change beyond the margin lies in no interval within the margin.
    """
    bound = math.log1p(margin)
    told = f"the interval {math.exp(interval[0]):.3f} to {math.exp(interval[1]):.3f} of the ratio"
    size, limit = f"a change of {math.expm1(change):+.1%}", f"the margin of {margin * 100:.3g}%"
    if p < CHANGE_SIGNIFICANCE and abs(change) > bound:
        return CHANGED, f"{size} is beyond {limit}, and p = {p:.2g} < {CHANGE_SIGNIFICANCE}"
    if -bound <= interval[0] and interval[1] <= bound:
        return UNCHANGED, f"{told} lies within {limit}"
    if p < CHANGE_SIGNIFICANCE:
        return INCONCLUSIVE, f"{size} is not beyond {limit}, and {told} is not within it; more launches would tell"
    return (
        INCONCLUSIVE,
        f"{told} is not within {limit}, and p = {p:.2g} >= {CHANGE_SIGNIFICANCE}; more launches would tell",
    )


def direction(word: ChangeWord | None, ratio: float | None) -> Direction | None:
    """Return the direction of a time that is CHANGED, by its ratio; None for any other word."""
    if word != CHANGED or ratio is None:
        return None
    return "slower" if ratio > 1 else "faster"
