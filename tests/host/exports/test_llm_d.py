from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.host.exports import llm_d
from runner.host.judging.measured import Measured
from tests.host.exports import made
from tests.host.exports.shapes import problems

# A clone of llm-d/llm-d-benchmark, whose own package then reads the reports: the package is on no index.
CLONE = "BLOOMZ_BENCH_LLMD"
# The fields of llmdbenchmark/analysis/benchmark_report/schema_v0_2_1.py that a report of ours has, with their types.
LENGTH = {"distribution": str, "value": int}
STATISTICS = {
    "units": str,
    **dict.fromkeys(("mean", "stddev", "min", "max"), float),
    **{f"p{percent}": float for percent in (1, 5, 10, 25, 50, 75, 90, 95, 99)},
}
UNITS = {"request_latency": "s", "time_to_first_token": "s", "time_per_output_token": "s/token"}
NATIVE: dict[str, Any] = {"config": object}
SCHEMA: dict[str, Any] = {
    "version": str,
    "run": {"uid": str, "eid": str, "time": {"start": str}, "description": str, "keywords": [str]},
    "scenario": {
        "stack": [
            {
                "metadata": {"label": str, "cfg_id": str, "description": str},
                "standardized": {
                    "kind": str,
                    "tool": str,
                    "tool_version": str,
                    "role": str,
                    "replicas": int,
                    "model": {"name": str},
                    "accelerator": {"model": str, "count": int, "parallelism": {"tp": int}},
                },
                "native": NATIVE,
            }
        ],
        "load": {
            "metadata": {"cfg_id": str, "description": str},
            "standardized": {
                "tool": str,
                "tool_version": str,
                "source": str,
                "input_seq_len": LENGTH,
                "output_seq_len": LENGTH,
                "concurrency": int,
            },
            "native": NATIVE,
        },
    },
    "results": {
        "request_performance": {"aggregate": {"latency": dict.fromkeys(UNITS, STATISTICS)}},
        # the one place in which the schema allows any field
        "observability": {"bloomz_bench": object},
    },
}


def read(measured: list[Measured]) -> dict[str, Any]:
    """Return the report as llm-d's package reads the file: as YAML."""
    (found,) = measured
    text = llm_d.text(found)
    value: dict[str, Any] = yaml.safe_load(text)
    assert value == json.loads(text)
    return value


def unlike(report: dict[str, Any]) -> list[str]:
    """Return where a report has a field, a type or a unit that the schema does not have."""
    without_native = json.loads(json.dumps(report))
    for part in (*without_native["scenario"]["stack"], without_native["scenario"]["load"]):
        part["native"].pop("config")
    without_native["results"]["observability"].pop("bloomz_bench")
    latency = report["results"]["request_performance"]["aggregate"]["latency"]
    units = [f"{name} in {told['units']}" for name, told in latency.items() if told["units"] != UNITS.get(name)]
    return [*problems(without_native, SCHEMA), *units]


@pytest.mark.parametrize("result", [made.gaudi2, made.cpu], ids=["gaudi2", "cpu"])
def test_every_field_and_unit_is_of_the_schema(result: Any) -> None:
    assert unlike(read(made.of(result()))) == []


def test_the_check_of_fields_finds_a_wrong_name_type_and_unit() -> None:
    report = read(made.of(made.gaudi2()))
    report["run"]["day"] = "today"
    report["scenario"]["load"]["standardized"]["concurrency"] = "1"
    report["results"]["request_performance"]["aggregate"]["latency"]["request_latency"]["units"] = "ms"
    assert len(unlike(report)) == 3


def test_statistics_are_over_launches_in_seconds() -> None:
    latency = read(made.of(made.gaudi2()))["results"]["request_performance"]["aggregate"]["latency"]
    told = latency["request_latency"]
    assert told.pop("units") == "s" and latency["time_per_output_token"]["mean"] == pytest.approx(0.2 / 99)
    wanted = {"mean": 3.104, "stddev": statistics.stdev(made.STEADY_S), "min": 3.09, "p50": 3.10, "max": 3.12}
    assert told == pytest.approx(wanted)


def test_a_percentile_that_so_few_launches_cannot_tell_is_left_out() -> None:
    many = read(made.of(made.gaudi2(*[3 + number / 1000 for number in range(59)])))
    told = many["results"]["request_performance"]["aggregate"]["latency"]["request_latency"]
    assert [key for key in told if key.startswith("p")] == ["p5", "p10", "p25", "p50", "p75", "p90", "p95"]


def test_energy_verdicts_and_files_stand_where_the_schema_leaves_room() -> None:
    told = read(made.of(made.energetic(1000.0)))["results"]["observability"]["bloomz_bench"]
    assert told["energy_j"] == pytest.approx([1000.0] * 5)
    assert told["verdicts"][0]["verdict"] == "REPRODUCED" and told["results"][0]["sha256"] == made.SEAL
    assert read(made.of(made.gaudi2()))["results"]["observability"]["bloomz_bench"]["energy_j"] is None


def test_a_walk_through_and_dummy_weights_are_said_in_the_run() -> None:
    run = read(made.of(made.cpu()))["run"]
    assert {"walk-through", "dummy-weights"} <= set(run["keywords"]) and "reproduces no published cell" in run[
        "description"
    ]
    assert not {"walk-through", "dummy-weights"} & set(read(made.of(made.gaudi2()))["run"]["keywords"])


def test_another_launch_makes_another_report_of_the_same_experiment() -> None:
    one = made.of(made.gaudi2())
    two = made.of(made.gaudi2(), made.gaudi2(attempt="20261123T100000Z-0123abcd"))
    first, second = read(one)["run"], read(two)["run"]
    assert first["eid"] == second["eid"] and first["uid"] != second["uid"]


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_is_visible(name: str) -> None:
    assert all(character.isprintable() for text in made.texts(read(made.hostile(name))) for character in text)


def test_the_package_of_llm_d_reads_every_report(tmp_path: Path) -> None:
    clone = os.environ.get(CLONE)
    if not clone:
        pytest.skip(
            f"{CLONE} names no clone: git clone https://github.com/llm-d/llm-d-benchmark, and set {CLONE} to it"
        )
    (schema,) = [path for path in Path(clone).rglob("schema_v0_2_1.py") if "build" not in path.parts]
    package = schema.parent
    for number, measured in enumerate(
        [
            made.of(made.gaudi2()),
            made.of(made.energetic(1000.0)),
            made.of(made.cpu()),
            *map(made.hostile, made.HOSTILE),
        ]
    ):
        (tmp_path / f"{number}.json").write_text(llm_d.text(*measured), encoding="utf-8")
    program = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r}); from {package.name} import import_benchmark_report\n"
        "for path in sys.argv[1:]: print(type(import_benchmark_report(path)).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, tmp_path.iterdir())], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"BenchmarkReportV021"} and len(done.stdout.split()) == 3 + len(made.HOSTILE)
