from __future__ import annotations

import random
import statistics

import numpy
import pytest

from runner.host.judging import percentiles


@pytest.mark.parametrize("launches", [1, 2, 5, 30, 300])
@pytest.mark.parametrize("percent", [1, 10, 25, 50, 75, 90, 99])
def test_percentiles_are_those_of_numpy(launches: int, percent: int) -> None:
    values = [random.Random(launches).gauss(3, 0.1) for _ in range(launches)]
    assert percentiles.percentile(values, percent) == pytest.approx(float(numpy.percentile(values, percent)), rel=1e-12)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError):
        percentiles.percentile([], 50)


@pytest.mark.parametrize(
    ("percent", "launches"), [(50, 5), (25, 11), (75, 11), (10, 29), (90, 29), (95, 59), (99, 299)]
)
def test_a_percentile_needs_as_many_launches_as_reach_beyond_it(percent: int, launches: int) -> None:
    share = max(percent, 100 - percent) / 100
    assert percentiles.least_values(percent) == launches
    assert 1 - share**launches >= 0.95 > 1 - share ** (launches - 1)


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (0, []),
        (1, ["median"]),
        (28, ["median"]),
        (29, ["median", "p90"]),
        (59, ["median", "p90", "p95"]),
        (298, ["median", "p90", "p95"]),
        (299, ["median", "p90", "p95", "p99"]),
    ],
)
def test_a_percentile_is_told_from_its_least_number_of_values_on(number: int, names: list[str]) -> None:
    assert list(percentiles.told([float(value) for value in range(number)])) == names


def test_percentiles_of_evenly_spaced_values() -> None:
    told = percentiles.told([float(value) for value in range(301)])
    assert told == pytest.approx({"median": 150, "p90": 270, "p95": 285, "p99": 297})
    assert told["median"] == statistics.median(range(301))
