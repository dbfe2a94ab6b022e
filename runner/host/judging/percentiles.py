"""Percentiles of values, and how many values a percentile needs to say anything. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

# That the outermost value lies beyond the percentile.
COVERAGE = 0.95


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile from 1 to 99, interpolated linearly between the two nearest values, as numpy does by default.

    Raises ``ValueError`` without values.
    """
    if not values:
        raise ValueError("no values have no percentile")
    # one value has no quantiles for Python
    return values[0] if len(values) == 1 else statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def least_values(percent: int) -> int:
    """Return the number of values of which one lies beyond a percentile with 95% probability: 5 for the median, 299 for the 99th."""
    share = max(percent, 100 - percent) / 100
    return math.ceil(math.log(1 - COVERAGE) / math.log(share))


def told(values: Sequence[float]) -> dict[str, float]:
    """Return ``median``, ``p90``, ``p95`` and ``p99`` of values: the median of any number of them, a percentile of enough values alone."""
    if not values:
        return {}
    enough = [percent for percent in (90, 95, 99) if len(values) >= least_values(percent)]
    return {"median": percentile(values, 50), **{f"p{percent}": percentile(values, percent) for percent in enough}}
