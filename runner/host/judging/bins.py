"""Many values in few bins. Pure. Nothing is left out: the farthest value has its bin."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

# Values whose greatest is this many times the least get bins of equal ratios.
_FAR_APART = 20.0
# Values below it may not be divided by.
_LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class Bin:
    """The values from ``low`` up to ``high``, which the next bin begins with: ``count`` of them, ``flagged`` of these flagged."""

    low: float
    high: float
    count: int
    flagged: int


def of(values: Sequence[float], flagged: Sequence[bool] = (), most: int = 40) -> list[Bin]:
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
    elif low > _LEAST and high >= _FAR_APART * low:
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
