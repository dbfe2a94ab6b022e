"""Estimate a quantity, or the quotient of two, from the values of launches: the geometric mean and its 90% interval. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from runner.host.judging import verdict
from runner.host.judging.distributions import t_quantile


@dataclass(frozen=True)
class Estimate:
    """A geometric mean and its 90% interval; ``low`` and ``high`` are None where nothing tells how the values vary."""

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Estimate:
        """Return the estimate in other units, or of what costs ``factor`` for each unit: an exact factor widens no interval."""
        return Estimate(
            self.value * factor,
            None if self.low is None else self.low * factor,
            None if self.high is None else self.high * factor,
        )


def of_values(values: Sequence[float]) -> Estimate | None:
    """Return the estimate of positive values, by the t-interval of their logarithms.

    None for no value, and without an interval for one.
    """
    if not values:
        return None
    # what holds of seconds holds of joules
    mean = verdict.mean_of(values)
    return Estimate(mean.latency_s, *(mean.interval_s or ()))


def of_quotient(over: Sequence[float], under: Sequence[float], prior_cvs: tuple[float, float]) -> Estimate:
    """Return the estimate of the quotient of what ``over`` and ``under`` are values of, by Welch's interval of their logarithms.

    The values are positive, and one side may have more than the other. A side of one value is assumed to vary by its ``prior_cvs``.
    Raises ``ValueError`` for a side without a value.
    """
    sides = [[math.log(value) for value in values] for values in (over, under)]
    if not all(sides):
        raise ValueError("a quotient needs a value on each side")
    spreads = [statistics.stdev(logs) if len(logs) > 1 else prior for logs, prior in zip(sides, prior_cvs, strict=True)]
    error, degrees = verdict.welch(spreads, [len(logs) for logs in sides])
    difference, reach = statistics.fmean(sides[0]) - statistics.fmean(sides[1]), 0.0
    if error > 0:
        reach = t_quantile(0.5 + verdict.CONFIDENCE / 2, degrees) * error
    return Estimate(math.exp(difference), math.exp(difference - reach), math.exp(difference + reach))
