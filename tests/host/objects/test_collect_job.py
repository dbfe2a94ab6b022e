"""The Job that takes results off a volume finds the folder of its run."""

from __future__ import annotations

import pytest

from runner.host.objects import names
from runner.host.objects.collect_job import collect_job, earliest_attempt
from tests.support.clusterplay import bench_job


@pytest.mark.parametrize(
    "label, folder",
    [(names.REQUEST_ID, "/results/cpu-1-0123"), (names.REQUEST_ID_BEFORE, "/results/cpu-1-0123"), (None, "/results")],
)
def test_the_request_is_found_by_either_name_of_its_label(label: str | None, folder: str) -> None:
    run = bench_job()
    del run["metadata"]["labels"][names.REQUEST_ID]
    if label is not None:
        run["metadata"]["labels"][label] = "cpu-1-0123"
    job = collect_job(run)
    assert job is not None
    assert job["spec"]["template"]["spec"]["containers"][0]["command"][-2:] == ["frames", folder]


@pytest.mark.parametrize(
    "created, started, name",
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:05:00Z", "20261122T100500Z"),
        ("2026-11-22T10:00:00Z", None, "20261122T095000Z"),
        ("0001-01-01T00:00:00Z", None, None),
        ("yesterday", None, None),
    ],
)
def test_the_earliest_attempt_is_named_by_the_clock_of_the_node(
    created: str, started: str | None, name: str | None
) -> None:
    assert earliest_attempt(created, started) == name
