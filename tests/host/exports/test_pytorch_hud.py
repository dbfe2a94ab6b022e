from __future__ import annotations

import json
from typing import Any

import pytest

from runner.host.exports import pytorch_hud
from runner.host.judging.measured import Measured
from tests.host.exports import made

# The columns of pytorch/test-infra clickhouse_db_schema/oss_ci_benchmark_v3/schema.sql that a record may fill, with their types. A key
# ends with * where the name is free.
MAP = {"*": str}
SCHEMA: dict[str, Any] = {
    "benchmark": {"name": str, "mode": str, "dtype": str, "extra_info": MAP},
    "model": {"name": str, "type": str, "backend": str, "origins": [str], "extra_info": MAP},
    "runners": [
        {
            "name": str,
            "type": str,
            "cpu_info": str,
            "cpu_count": int,
            "gpu_info": str,
            "gpu_count": int,
            "extra_info": MAP,
        }
    ],
    "dependencies": {"*": {"repo": str, "branch": str, "sha": str, "version": str, "extra_info": MAP}},
    "metric": {"name": str, "benchmark_values": [float], "target_value": float, "extra_info": MAP},
}


def problems(value: object, wanted: Any, place: str = "record") -> list[str]:
    """Return where a value is not of the schema."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return [f"{place} is no map"]
        unknown = [f"{place}.{key} is unknown" for key in value if key not in wanted and "*" not in wanted]
        inside = [
            problem
            for key, item in value.items()
            if key in wanted or "*" in wanted
            for problem in problems(item, wanted.get(key, wanted.get("*")), f"{place}.{key}")
        ]
        return unknown + inside
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [problem for item in value for problem in problems(item, wanted[0], place)]
    return [] if type(value) is wanted else [f"{place} is {type(value).__name__}"]


def read(measured: list[Measured]) -> list[dict[str, Any]]:
    value: list[dict[str, Any]] = json.loads(pytorch_hud.text(measured))
    return value


def test_every_record_fits_the_columns_of_the_database() -> None:
    records = read(made.of(made.energetic(1000.0), made.cpu()))
    assert [problem for record in records for problem in problems(record, SCHEMA)] == []
    assert all({"benchmark", "model", "metric"} <= record.keys() for record in records)


def test_the_check_of_columns_finds_a_wrong_type_and_a_wrong_name() -> None:
    (record, *_) = read(made.of(made.gaudi2()))
    record["metric"]["benchmark_values"] = [None]
    record["benchmark"]["extra_info"]["devices"] = 8
    record["model"]["weight"] = "hub"
    assert len(problems(record, SCHEMA)) == 3


def test_latencies_are_in_seconds_and_times_of_tokens_in_milliseconds() -> None:
    found = {record["metric"]["name"]: record["metric"] for record in read(made.of(made.energetic(1000.0)))}
    assert found["latency"]["benchmark_values"] == list(made.STEADY_S)
    assert found["median_ttft_ms"]["benchmark_values"] == pytest.approx([50.0] * 5)
    assert found["median_tpot_ms"]["benchmark_values"] == pytest.approx([200 / 99] * 5)
    assert found["energy_j"]["benchmark_values"] == pytest.approx([1000.0] * 5)
    assert [metric["extra_info"]["unit"] for metric in found.values()] == ["s", "ms", "ms", "J"]


def test_a_metric_that_no_launch_tells_has_no_record() -> None:
    assert "energy_j" not in {record["metric"]["name"] for record in read(made.of(made.gaudi2()))}


def test_conditions_stand_in_each_record_and_a_walk_through_is_said() -> None:
    for record in read(made.of(made.cpu())):
        extra = record["benchmark"]["extra_info"]
        assert (extra["walk_through"], extra["weights"], extra["emulated"]) == ("true", "dummy", "false")
        assert "walk-through" in extra["notes"] and "gpu_count" not in record["runners"][0]


def test_the_verdict_stands_beside_the_latencies() -> None:
    (latency, *_) = read(made.of(made.gaudi2()))
    told = latency["metric"]["extra_info"]["verdict post-3-gaudi2-8-bloomz"]
    assert told.startswith("REPRODUCED: ") and "published 3.103 s" in told


def test_a_stand_in_has_no_record() -> None:
    assert read(made.of(made.stand_in())) == []


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_is_visible(name: str) -> None:
    assert all(character.isprintable() for text in made.texts(read(made.hostile(name))) for character in text)
