"""The distributions of statistics, by scipy's special functions: the same numbers as ``scipy.stats``, which takes three times as long to
import. Only a verdict on launches imports either.
"""

from __future__ import annotations

import os
from types import ModuleType

from runner.contract.errors import InputError
from runner.contract.text import printable


def _special() -> ModuleType:
    """Return scipy's special functions. Raises ``InputError`` for a SOURCE_DATE_EPOCH that numpy, which reads it on import, fails on."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        int(epoch or "0")
    except ValueError:
        raise InputError(
            f"SOURCE_DATE_EPOCH is {printable(epoch or '', 60)!r}, which is no time in whole seconds since 1970. Correct or unset it."
        ) from None
    if epoch == "":
        # an empty variable is taken for none, here as elsewhere
        del os.environ["SOURCE_DATE_EPOCH"]
    from scipy import special

    return special


def normal_quantile(p: float) -> float:
    """Return the value that a standard normal number is below with the probability ``p``."""
    return float(_special().ndtri(p))


def t_quantile(p: float, degrees: float) -> float:
    """Return the value that a number of Student's t distribution is below with the probability ``p``."""
    return float(_special().stdtrit(degrees, p))


def t_above(value: float, degrees: float) -> float:
    """Return the probability that a number of Student's t distribution is above ``value``."""
    return float(_special().stdtr(degrees, -value))


def chi2_above(value: float, degrees: float) -> float:
    """Return the probability that a number of the chi-squared distribution is above ``value``."""
    return float(_special().chdtrc(degrees, value))
