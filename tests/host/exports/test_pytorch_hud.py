from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.host.exports import pytorch_hud
from runner.host.judging.measured import Measured
from tests.host.exports import made
from tests.host.exports.shapes import problems

# The columns of pytorch/test-infra clickhouse_db_schema/benchmark.oss_ci_benchmark_v3/schema.sql that a record may fill. A key
# ends with * where the name is free.
# A clone of pytorch/test-infra, whose own uploader then reads the records, without uploading them.
CLONE = "BLOOMZ_BENCH_TEST_INFRA"
METADATA = {
    "timestamp": 1,
    "schema_version": "v3",
    "name": "a test",
    "repo": "a/test",
    "head_branch": "main",
    "head_sha": "0" * 40,
    "workflow_id": 1,
    "run_attempt": 1,
    "job_id": 1,
}
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


def test_the_uploader_of_the_hud_reads_the_records(tmp_path: Path) -> None:
    clone = os.environ.get(CLONE)
    if not clone:
        pytest.skip(f"{CLONE} names no clone: git clone https://github.com/pytorch/test-infra, and set {CLONE} to it")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "hud.json").write_text(pytorch_hud.text(made.of(made.energetic(1000.0), made.cpu())))
    # what uploads is not called
    (tmp_path / "boto3.py").write_text("")
    command = [sys.executable, str(Path(clone) / ".github" / "scripts" / "upload_benchmark_results.py"), "--dry-run"]
    flags = ["--benchmark-results-dir", str(tmp_path / "records"), "--metadata", json.dumps(METADATA)]
    done = subprocess.run(
        [*command, *flags], capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    assert "v3/a/test/1/1/hud.json" in done.stderr and "skipping" not in done.stderr
