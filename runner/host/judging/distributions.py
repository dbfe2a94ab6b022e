"""The distributions of statistics, by scipy's special functions: the same numbers as ``scipy.stats``, which takes three times as long to
import. Only a verdict on launches imports either.
"""

from __future__ import annotations


def normal_quantile(p: float) -> float:
    """Return the value that a standard normal number is below with the probability ``p``."""
    from scipy import special

    return float(special.ndtri(p))


def t_quantile(p: float, degrees: float) -> float:
    """Return the value that a number of Student's t distribution is below with the probability ``p``."""
    from scipy import special

    return float(special.stdtrit(degrees, p))


def t_above(value: float, degrees: float) -> float:
    """Return the probability that a number of Student's t distribution is above ``value``."""
    from scipy import special

    return float(special.stdtr(degrees, -value))


def chi2_above(value: float, degrees: float) -> float:
    """Return the probability that a number of the chi-squared distribution is above ``value``."""
    from scipy import special

    return float(special.chdtrc(degrees, value))
