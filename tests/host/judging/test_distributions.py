from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from runner.host.judging import distributions

SHARES = st.floats(1e-6, 1 - 1e-6)
VALUES = st.floats(-50, 50)
DEGREES = st.floats(0.5, 1e4)


@settings(derandomize=True, deadline=None)
@given(SHARES, VALUES, DEGREES)
def test_the_numbers_are_those_of_scipys_distributions(p: float, value: float, degrees: float) -> None:
    assert distributions.normal_quantile(p) == stats.norm.ppf(p)
    assert distributions.t_quantile(p, degrees) == stats.t.ppf(p, degrees)
    assert distributions.t_above(value, degrees) == stats.t.sf(value, degrees)
    assert distributions.chi2_above(abs(value), degrees) == stats.chi2.sf(abs(value), degrees)


def test_what_takes_long_to_import_is_not_imported() -> None:
    program = (
        "import sys; from runner.host.judging import distributions as d;"
        "d.normal_quantile(.9), d.t_quantile(.9, 3), d.t_above(1, 3), d.chi2_above(1, 3);"
        "sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("epoch", "problem"), [("", ""), ("12", ""), ("abc", "SOURCE_DATE_EPOCH is 'abc', which is no time")]
)
def test_an_empty_time_of_builds_is_none_and_a_wrong_one_is_told(epoch: str, problem: str) -> None:
    """numpy reads the variable while it is imported, and fails on both."""
    program = "from runner.host.judging import distributions as d; d.t_quantile(.9, 3)"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode == 0) is (not problem), done.stderr
    assert problem in done.stderr
