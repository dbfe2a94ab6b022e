"""Compute which change a number of launches would have shown: the power of the rule of run against run. Pure.

The rule says CHANGED where Welch's test is significant and the change is beyond the margin. How large a change must look for both depends
on the two sample variances alone, and the mean change is independent of them. The probability of CHANGED is therefore an integral over
two chi-square variables, of a normal probability. It is computed by Gauss-Legendre quadrature, without drawing a sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Numbers = NDArray[numpy.float64]

# With this probability a change as large as the smallest one is shown.
PROBABILITY = 0.9
# Nodes of the quadrature for each of the two variances: the probability is right within 0.003 (tests/host/judging/test_power.py).
_NODES = 32
# A larger change of the logarithm is none that a run can have: e to the tenth is 22,000.
_LARGEST = 10.0


def _libraries() -> tuple[ModuleType, ModuleType]:
    """Return numpy and scipy's functions. Importing them takes a second, and only a judged pair of runs needs them."""
    import numpy
    from scipy import special

    return numpy, special


class Power:
    """The rule of run against run, for two sets of launches whose logarithms vary by ``spreads`` and number ``counts`` (two or more).

    ``bound`` is the margin as a logarithm, ``significance`` the level of Welch's test.
    """

    def __init__(self, spreads: Sequence[float], counts: Sequence[int], bound: float, significance: float) -> None:
        self._bound = bound
        variances = [spread**2 / count for spread, count in zip(spreads, counts, strict=True)]
        self._error = math.sqrt(sum(variances))
        if self._error > 0:
            self._least, self._weights = _least_changes(variances, counts, bound, significance)

    def of(self, change: float) -> float:
        """Return the probability of CHANGED where the true change of the mean logarithm is ``change``."""
        if self._error == 0:
            return float(abs(change) > self._bound)
        _, special = _libraries()
        above = special.ndtr((change - self._least) / self._error)
        below = special.ndtr((-change - self._least) / self._error)
        return float(((above + below) * self._weights).sum())

    def smallest(self, probability: float = PROBABILITY) -> float | None:
        """Return the smallest change of the mean logarithm that gives CHANGED with ``probability``; None where no run can change so much.

        Without any spread every change beyond the margin is shown.
        """
        if self._error == 0:
            return self._bound
        low, high = 0.0, _LARGEST
        if self.of(high) < probability:
            return None
        # to a millionth: no more digits are ever shown
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (low, middle) if self.of(middle) >= probability else (middle, high)
        return high


def _least_changes(
    variances: Sequence[float], counts: Sequence[int], bound: float, significance: float
) -> tuple[Numbers, Numbers]:
    """Return for each pair of sample variances the least change that looks CHANGED, and the pair's probability.

    ``variances`` are those of the two means. The shape of both arrays is [nodes, nodes].
    """
    numpy, special = _libraries()
    places, weights = numpy.polynomial.legendre.leggauss(_NODES)
    # from -1 to 1 onto probabilities
    places, weights = (places + 1) / 2, weights / 2
    sampled = [
        variance * special.chdtri(count - 1, 1 - places) / (count - 1)
        for variance, count in zip(variances, counts, strict=True)
    ]
    first, second = numpy.meshgrid(*sampled, indexing="ij")
    both = first + second
    degrees = both**2 / (first**2 / (counts[0] - 1) + second**2 / (counts[1] - 1))
    least = numpy.maximum(bound, special.stdtrit(degrees, 1 - significance / 2) * numpy.sqrt(both))
    return least, numpy.outer(weights, weights)
