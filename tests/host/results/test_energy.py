"""The energy of a launch, from what its ranks tell."""

from __future__ import annotations

from typing import cast

import pytest

from runner.contract.records import Result
from runner.host.results import attempts
from tests.support import samples


def energy_j(device: str, told: list[tuple[str, float | None]]) -> float | None:
    body = samples.body(samples.request())
    launch = body["launches"][0]
    launch["conditions"]["device"] = device
    launch["timed"]["iterations_s"] = [1.0] * 5
    (first,) = launch["ranks"]
    launch["ranks"] = [
        {**first, "rank": rank, "host": host, "watched": {**first["watched"], "energy_j": joules}}
        for rank, (host, joules) in enumerate(told)
    ]
    (summary,) = attempts.of_result(cast(Result, {"sha256": "0" * 64, **body})).launches
    assert summary.timed is not None
    return summary.timed.energy_j


@pytest.mark.parametrize(
    ("device", "told", "joules_a_call"),
    [
        ("cuda", [("a", 500.0)], 100.0),
        ("hpu", [("a", 500.0), ("a", 700.0), ("b", 300.0)], 300.0),
        # all ranks of a host read the counters of the same processors
        ("cpu", [("a", 500.0), ("a", 510.0)], 102.0),
        ("cpu", [("a", 500.0), ("a", 510.0), ("b", 90.0)], 120.0),
        ("cuda", [("a", 500.0), ("a", None)], None),
    ],
)
def test_the_energy_of_a_call_is_that_of_all_devices(
    device: str, told: list[tuple[str, float | None]], joules_a_call: float | None
) -> None:
    assert energy_j(device, told) == joules_a_call


def test_a_launch_of_an_older_kit_tells_no_energy() -> None:
    body = samples.body(samples.request())
    (summary,) = attempts.of_result(cast(Result, {"sha256": "0" * 64, **body})).launches
    assert summary.timed is not None and summary.timed.energy_j is None
