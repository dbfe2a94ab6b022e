"""Merge independent measurements of one quantity by a random-effects model: each measures a true value of its own, which varies. Pure.

The model is y_i = m + u_i + e_i: the deviations e_i have the measurements' standard errors, the u_i have the standard deviation tau.
tau is estimated by Paule and Mandel (1982, doi:10.6028/jres.087.022): the tau at which the weighted sum of squares Q(tau) is the k - 1
that is expected of it, and 0 where Q(0) is less already. The method assumes no distribution, and is the one that Veroniki et al. (2016,
doi:10.1002/jrsm.1164) recommend for continuous quantities.

The interval of m is that of Hartung and Knapp (2001, doi:10.1002/sim.791), with t of k - 1 degrees of freedom. It is never narrower than
the standard error 1/sqrt(sum of weights) allows, as Roever, Knapp and Friede (2015, doi:10.1186/s12874-015-0091-1) advise for few
measurements of unlike precision: two numbers that agree by chance would otherwise give an interval of next to no width.

The prediction interval is that of Higgins, Thompson and Spiegelhalter (2009, doi:10.1111/j.1467-985X.2008.00552.x), with k - 2 degrees of
freedom. Q and I^2 are those of Cochran (1954) and of Higgins and Thompson (2002, doi:10.1002/sim.1186).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.host.judging.distributions import chi2_above, t_quantile
from runner.host.judging.verdict import CONFIDENCE, PREDICTION

# Halvings of the range in which tau squared is looked for: more than a float tells apart.
_HALVINGS = 200


@dataclass(frozen=True)
class Pooled:
    """What independent measurements say together, in the unit of their effects.

    ``mean`` is the estimate, ``error`` its standard error, ``interval`` its 90% interval. ``weights`` are the shares of the measurements
    in the estimate, in their order, and sum to 1. ``tau`` is the standard deviation between the true values of measurements. ``q`` is
    Cochran's sum of squares, ``p`` its p-value where nothing but the standard errors makes measurements differ, ``i_squared`` the share of
    the variation that the standard errors do not explain. ``prediction`` is the 95% interval of one more measurement's true value; None
    for two measurements, which cannot tell it.
    """

    mean: float
    error: float
    interval: tuple[float, float]
    weights: tuple[float, ...]
    tau: float
    q: float
    p: float
    i_squared: float
    prediction: tuple[float, float] | None


def pooled(effects: Sequence[float], errors: Sequence[float]) -> Pooled:
    """Return what two or more ``effects`` with standard ``errors`` say together.

    An error may be 0: where tau is 0 too, such a measurement has all the weight. Raises ``ValueError`` for fewer than two measurements, for
    sequences of unlike lengths, and for numbers that are not finite or an error below 0.
    """
    if len(effects) != len(errors) or len(effects) < 2:
        raise ValueError("two measurements or more are merged, each with its standard error")
    if not all(map(math.isfinite, (*effects, *errors))) or min(errors) < 0:
        raise ValueError("effects and their standard errors are finite, and no error is below 0")
    degrees = len(effects) - 1
    tau2 = _paule_mandel(effects, errors)
    weights, precision = _weights(errors, tau2)
    mean = _mean(effects, weights)
    # the weighted sum of squares over its expectation, which is 1 where the weights are right
    scale = max(1.0, _sum_of_squares(effects, errors, tau2) / degrees)
    error = math.sqrt(scale / precision)
    reach = t_quantile(0.5 + CONFIDENCE / 2, degrees) * error
    q = _sum_of_squares(effects, errors, 0.0)
    prediction = None
    if degrees > 1:
        far = t_quantile(0.5 + PREDICTION / 2, degrees - 1) * math.hypot(math.sqrt(tau2), error)
        prediction = mean - far, mean + far
    return Pooled(
        mean=mean,
        error=error,
        interval=(mean - reach, mean + reach),
        weights=weights,
        tau=math.sqrt(tau2),
        q=q,
        p=chi2_above(q, degrees),
        i_squared=1 - degrees / q if q > degrees else 0.0,
        prediction=prediction,
    )


def _weights(errors: Sequence[float], tau2: float) -> tuple[tuple[float, ...], float]:
    """Return the shares of the measurements in the estimate, and the precision of the estimate, which may be infinite."""
    variances = [error**2 + tau2 for error in errors]
    least = min(variances)
    if least == 0:
        exact = variances.count(0)
        return tuple(float(variance == 0) / exact for variance in variances), math.inf
    # relative to the greatest weight: the weight of a tiny error alone may be too large for a float
    relative = [least / variance for variance in variances]
    total = math.fsum(relative)
    return tuple(weight / total for weight in relative), total / least


def _mean(effects: Sequence[float], weights: Sequence[float]) -> float:
    # around the first effect, so that equal effects have exactly their own mean
    return effects[0] + math.fsum(
        weight * (effect - effects[0]) for effect, weight in zip(effects, weights, strict=True)
    )


def _sum_of_squares(effects: Sequence[float], errors: Sequence[float], tau2: float) -> float:
    """Return the weighted sum of squares around the mean, infinite where effects without any error differ."""
    weights, _ = _weights(errors, tau2)
    mean = _mean(effects, weights)
    total = 0.0
    for effect, error in zip(effects, errors, strict=True):
        variance, distance2 = error**2 + tau2, (effect - mean) ** 2
        if distance2:
            total += distance2 / variance if variance else math.inf
    return total


def _paule_mandel(effects: Sequence[float], errors: Sequence[float]) -> float:
    """Return the tau squared at which the sum of squares is as expected; the sum falls as tau squared grows, so halving finds it."""
    degrees = len(effects) - 1
    if _sum_of_squares(effects, errors, 0.0) <= degrees:
        return 0.0
    # with this tau squared each summand is at most 1 over the number of measurements
    low, high = 0.0, len(effects) * (max(effects) - min(effects)) ** 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _sum_of_squares(effects, errors, middle) > degrees:
            low = middle
        else:
            high = middle
    return high
