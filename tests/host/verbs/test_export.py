from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyarrow import parquet as reader

from runner.__main__ import main
from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host.exports.formats import FORMATS
from tests.host.exports import made
from tests.support.json_output import events

CELL = "post-3-gaudi2-8-bloomz"


def write(path: Path, made_up: tuple[JsonObject, Request]) -> Path:
    """Write a whole result, whose estimates follow from its raw durations."""
    body, request = made_up
    body["request"] = request.to_json()
    for launch in body["launches"]:
        latency_s = launch["estimate"]["latency_s"]
        calls = len(launch["timed"]["iterations_s"])
        launch["timed"] = {**launch["timed"], "iterations_s": [latency_s] * calls, "span_s": latency_s * calls}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(strictjson.pretty(contract.seal(body)))
    return path


class Export:
    """Runs the verb in a folder of its own, and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.output = self.errors = ""

    def __call__(self, *arguments: object, code: int = 0) -> None:
        ended = main(["export", *map(str, arguments)])
        self.output, self.errors = self._capsys.readouterr()
        assert ended == code, self.errors


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    monkeypatch.chdir(tmp_path)
    write(Path("results/gaudi2.json"), made.gaudi2())
    write(Path("results/cpu.json"), made.cpu())
    return Export(capsys)


def launches(text: str) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def request_ids() -> tuple[str, str]:
    return made.gaudi2()[1].id, made.cpu()[1].id


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_is_written_as_the_module_makes_it(export: Export, name: str) -> None:
    export(name, "--out", "out/file", "--claim", CELL, "results")
    raw = Path("out/file").read_bytes()
    assert raw and (raw.startswith(b"PAR1") or raw.decode("utf-8").endswith("\n"))
    assert export.output == "out/file\n"


def test_the_results_may_stand_before_and_behind_the_flags(export: Export) -> None:
    export("csv", "results/cpu.json", "--out", "a.csv")
    export("csv", "--out", "b.csv", "--", "results/cpu.json")
    export("csv", "--out", "c.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert len(launches(Path("c.csv").read_text())) == len(made.STEADY_S) + 1


def test_a_list_of_paths_is_read_as_compare_reads_it(export: Export) -> None:
    export("csv", "--out", "once.csv", "results/cpu.json")
    path = write(Path(f"results/{made.cpu()[0]['attempt']['id']}.json"), made.cpu())
    Path("list.txt").write_text(f"{path}\n")
    export("csv", "--from", "list.txt", "--out", "-")
    (row,) = launches(export.output)
    assert row["case"] == "cpu-1" and row["path"] == str(path)


def test_standard_output_takes_text_and_nothing_else(export: Export) -> None:
    export("markdown", "--out", "-")
    assert export.output.startswith("| published cell |")
    export("parquet", "--out", "-", code=UsageError.exit_code)
    assert "parquet is no text" in export.errors
    export("csv", "--out", "-", "--json", code=UsageError.exit_code)


def test_an_older_file_is_replaced_whole(export: Export) -> None:
    Path("launches.csv").write_text("x" * 100_000)
    export("csv", "--out", "launches.csv")
    assert len(launches(Path("launches.csv").read_text())) == len(made.STEADY_S) + 1
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(("launches", "."))) == ["launches.csv"]


def test_a_result_is_never_replaced(export: Export) -> None:
    before = Path("results/gaudi2.json").read_bytes()
    Path("link.csv").symlink_to("results/gaudi2.json")
    for out in ("results/gaudi2.json", "link.csv"):
        export("csv", "--out", out, code=UsageError.exit_code)
        assert f"--out: {out} is a result, and is not replaced" in export.errors
    assert Path("results/gaudi2.json").read_bytes() == before


def test_a_cell_of_another_revision_may_be_named(export: Export) -> None:
    export("markdown", "--claim", "post-1-gaudi2-8-bloomz", "--out", "-")
    assert "3.717" in export.output and "NOT-COMPARABLE" in export.output


def test_a_refused_result_is_said_and_the_others_are_written(export: Export) -> None:
    Path("results/torn.json").write_text("{")
    export("csv", "--out", "launches.csv", code=DamagedResult.exit_code)
    assert "refused: results/torn.json" in export.errors
    assert len(launches(Path("launches.csv").read_text())) == len(made.STEADY_S) + 1
    export("csv", "--out", "none.csv", "results/torn.json", code=DamagedResult.exit_code)
    assert launches(Path("none.csv").read_text()) == []


def test_without_a_result_it_says_what_to_run(export: Export) -> None:
    Path("empty").mkdir()
    export("csv", "--out", "launches.csv", "empty", code=InputError.exit_code)
    assert "make bench" in export.errors and not Path("launches.csv").exists()


def test_an_unknown_format_names_those_that_exist(export: Export) -> None:
    export("excel", "--out", "x", code=UsageError.exit_code)
    assert all(name in export.errors for name in FORMATS)


def test_an_unknown_claim_names_those_that_exist(export: Export) -> None:
    export("csv", "--out", "x", "--claim", "post-9", code=UsageError.exit_code)
    assert "no claim 'post-9'" in export.errors and CELL in export.errors
    export("csv", "--out", "x", "--claim", "post-3-gaudi-8-bloomz-7b1", code=InputError.exit_code)
    assert f"These results are beside post-3-gaudi2-1-bloomz-7b1, {CELL}." in export.errors
    assert not Path("x").exists()


def test_a_claim_chooses_its_rows_in_every_format(export: Export) -> None:
    export("csv", "--out", "-", "--claim", CELL)
    assert {(row["case"], row["claims"]) for row in launches(export.output)} == {("gaudi2-8-bloomz", CELL)}


def test_a_badge_is_of_one_claim(export: Export) -> None:
    export("badge", "--out", "badge.svg", code=UsageError.exit_code)
    assert "Choose it with --claim" in export.errors and CELL in export.errors
    export("badge", "--out", "badge.svg", "--claim", CELL)
    assert "REPRODUCED" in Path("badge.svg").read_text()
    export("badge", "--out", "badge.svg", "results/cpu.json")
    assert "walk-through" in Path("badge.svg").read_text()


@pytest.mark.parametrize("name", ["llm-d", "vllm-latency"])
def test_formats_of_one_request_take_one_or_write_a_file_for_each(export: Export, name: str) -> None:
    gaudi2, cpu = request_ids()
    export(name, "--out", "one.json", code=UsageError.exit_code)
    assert gaudi2 in export.errors and cpu in export.errors and "--request" in export.errors
    export(name, "--out", "one.json", "--request", gaudi2)
    assert gaudi2 in Path("one.json").read_text()
    export(name, "--out", "each/")
    assert export.output.splitlines() == [f"each/{name}-{request}.json" for request in (cpu, gaudi2)]
    assert cpu in json.dumps(json.loads(Path(f"each/{name}-{cpu}.json").read_text()))
    export(name, "--out", "one.json", "--request", "gone", code=UsageError.exit_code)
    assert gaudi2 in export.errors


def test_a_folder_takes_no_format_of_one_file(export: Export) -> None:
    export("csv", "--out", "each/", code=UsageError.exit_code)
    export("csv", "--out", "results", code=UsageError.exit_code)
    assert "results is a folder" in export.errors


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.only_times])
def test_a_request_without_times_is_left_out_with_its_reason(export: Export, name: str) -> None:
    write(Path("stand-in.json"), made.stand_in())
    export(name, "--out", "out.json", "stand-in.json", code=InputError.exit_code)
    assert "is left out: something stood in for the device" in export.errors and not Path("out.json").exists()
    export(name, "--out", "each/" if FORMATS[name].of_one_request else "out.json", "stand-in.json", "results/cpu.json")
    assert "stood in" in export.errors


def test_times_that_cannot_be_true_are_left_out_with_their_reason(export: Export) -> None:
    write(Path("fast/r.json"), made.gaudi2(0.1, 0.1))
    export("pytorch-hud", "--out", "out.json", "fast", code=InputError.exit_code)
    assert "is left out: a launch of 0.1 s took less than the 1.798 s in which" in export.errors
    export("openmetrics", "--out", "out.txt", "fast")
    metrics = Path("out.txt").read_text()
    assert "launch_latency" not in metrics and 'bloomz_bench_verdict="INVALID"} 1' in metrics


def test_programs_get_events(export: Export, tmp_path: Path) -> None:
    Path("results/torn.json").write_text("{")
    export("csv", "--out", "launches.csv", "--json", code=DamagedResult.exit_code)
    (written,) = events(export.output, "export")
    assert written == {
        "event": "export",
        "path": "launches.csv",
        "format": "csv",
        "requests": 2,
        "launches": len(made.STEADY_S) + 1,
    }
    (refused,) = events(export.errors, "export")
    assert refused["event"] == "refused"
    write(Path("stand-in.json"), made.stand_in())
    export("pytorch-hud", "--out", "hud.json", "--json", "stand-in.json", "results/cpu.json")
    (left_out,) = events(export.errors, "export")
    assert left_out["event"] == "no-times"


def test_what_cannot_be_written_to_is_said(export: Export) -> None:
    os.mkfifo("pipe")
    export("csv", "--out", "pipe", code=InputError.exit_code)
    assert "pipe cannot be written" in export.errors


def test_hostile_names_of_files_reach_neither_a_cell_nor_the_terminal(export: Export) -> None:
    for number, name in enumerate(("=cmd|' '!A1", "-2+3", "a\n=b", "\u202ecsv", "\udcff", "a;=1")):
        body, request = made.gaudi2(attempt=f"2026112{number}T100000Z-0123abcd")
        write(Path("hostile") / f"{name}.json", (body, request))
    export("csv", "--out", "=x.csv", "hostile")
    found = launches(Path("=x.csv").read_text(encoding="utf-8"))
    assert len(found) == 6 * len(made.STEADY_S)
    export("parquet", "--out", "x.parquet", "hostile")
    paths = set(reader.read_table("x.parquet")["path"].to_pylist())
    assert len(paths) == 6 and all(path.isprintable() for path in paths)
    assert {row["path"].lstrip("'") for row in found} == {path.replace(";=", ";'=") for path in paths}


def test_ten_thousand_launches_are_written_in_every_format(export: Export) -> None:
    measured = made.of(made.gaudi2(*[3.1 + number / 1e6 for number in range(10_000)]))
    content = {name: form.content(measured) for name, form in FORMATS.items()}
    texts = {name: told for name, told in content.items() if isinstance(told, str)}
    assert len(launches(texts["csv"])) == 10_000
    assert texts["openmetrics"].count("bloomz_bench_launch_latency_seconds{") == 10_000
    assert len(json.loads(texts["vllm-latency"])["latencies"]) == 10_000
    assert len(json.loads(texts["pytorch-hud"])[0]["metric"]["benchmark_values"]) == 10_000
    assert "| 10000 |" in texts["markdown"]
