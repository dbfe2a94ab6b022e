"""Percentiles of launches, and how many launches a percentile needs to say anything. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

# That the outermost launch lies beyond the percentile.
COVERAGE = 0.95


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile from 1 to 99, interpolated linearly between the two nearest values, as numpy does by default.

    Raises ``ValueError`` without values.
    """
    if not values:
        raise ValueError("no values have no percentile")
    # one value has no quantiles for Python
    return values[0] if len(values) == 1 else statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def least_launches(percent: int) -> int:
    """Return the number of launches of which one lies beyond a percentile with 95% probability: 5 for the median, 299 for the 99th."""
    share = max(percent, 100 - percent) / 100
    return math.ceil(math.log(1 - COVERAGE) / math.log(share))
