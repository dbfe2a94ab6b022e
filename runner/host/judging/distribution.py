"""Many values in few numbers: bins and percentiles. Pure. Nothing is left out: the farthest value has its bin."""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# The least numbers of values from which on the greatest of them lies above the percentile in 95 of 100 samples: 1 - 0.9 ** 29 > 0.95.
LEAST_VALUES = {90: 29, 95: 59, 99: 299}
# Values whose greatest is this many times the least get bins of equal ratios.
_FAR_APART = 20.0


@dataclass(frozen=True, slots=True)
class Bin:
    """The values from ``low`` up to ``high``, which the next bin begins with: ``count`` of them, ``flagged`` of these flagged."""

    low: float
    high: float
    count: int
    flagged: int


def bins(values: Sequence[float], flagged: Sequence[bool] = (), most: int = 40) -> list[Bin]:
    """Return at most ``most`` bins that hold all ``values``; of equal ratios where the values are above 0 and far apart.

    ``flagged`` says of each value whether it is flagged, or is empty. The bin of the greatest value holds its upper end too. Equal
    values are one bin without width.
    """
    if not values:
        return []
    low, high = min(values), max(values)
    number = min(most, 1 + math.ceil(math.sqrt(len(values))))
    if low == high:
        edges = [low, high]
    elif low > 0 and high >= _FAR_APART * low:
        edges = [low * (high / low) ** (place / number) for place in range(number)] + [high]
    else:
        edges = [low + (high - low) * place / number for place in range(number)] + [high]
    counts, marked = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    for value, mark in itertools.zip_longest(values, flagged, fillvalue=False):
        place = max(0, min(bisect.bisect_right(edges, value) - 1, len(counts) - 1))
        counts[place] += 1
        marked[place] += bool(mark)
    ends = itertools.pairwise(edges)
    return [Bin(*end, count, mark) for end, count, mark in zip(ends, counts, marked, strict=True)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return ``median``, ``p90``, ``p95`` and ``p99`` of values: those alone for which there are enough values."""
    if not values:
        return {}
    told = {"median": statistics.median(values)}
    allowed = [percent for percent, least in LEAST_VALUES.items() if len(values) >= least]
    if allowed:
        hundredths = statistics.quantiles(values, n=100, method="inclusive")
        told.update({f"p{percent}": hundredths[percent - 1] for percent in allowed})
    return told
