"""The package ``bloomz_bench``: its examples run, and it decides as the command line does."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import bloomz_bench
from bloomz_bench import DamagedResult, InputError, RequestChanges, UnresolvedPin, UsageError
from docs import notebooks
from runner.__main__ import main
from runner.contract import result as contract
from runner.contract import strictjson
from runner.host import cases
from tests.support import samples
from tests.support.groups import of_launches

ROOT = Path(__file__).parents[1]
MODULES = [module.name for module in pkgutil.iter_modules(bloomz_bench.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_of_a_docstring_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    tested = doctest.testmod(importlib.import_module(f"bloomz_bench.{name}"))
    assert tested.failed == 0 and tested.attempted > 0


def test_every_function_has_an_example() -> None:
    functions = [getattr(bloomz_bench, name) for name in bloomz_bench.__all__ if name[0].islower()]
    assert len(functions) == 6
    assert [function for function in functions if ">>> " not in function.__doc__] == []


def test_the_notebook_prints_what_it_shows() -> None:
    text = notebooks.NOTEBOOK.read_text(encoding="utf-8")
    assert notebooks.executed(notebooks.NOTEBOOK) == text, "run `python -m docs.generate`"
    outputs = [cell["outputs"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(outputs) > 3 and all(outputs)


def test_a_change_of_a_request_is_a_flag_of_the_verb() -> None:
    assert list(RequestChanges.__annotations__) == [field.name for field in dataclasses.fields(cases.Changes)]


def test_a_request_is_the_one_that_the_verb_writes(tmp_path: Path) -> None:
    assert main(["request", "cpu-1", "--launches", "2", "--margin", "loose", "--out", str(tmp_path / "verb")]) == 0
    (written,) = (tmp_path / "verb").iterdir()
    request = bloomz_bench.make_request("cpu-1", launches=2, margin="loose")
    path = bloomz_bench.write_request(request, tmp_path / "api")
    assert (path.name, path.read_bytes()) == (written.name, written.read_bytes())


def test_a_request_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(UsageError, match="There is no case 'cpu-9'"):
        bloomz_bench.make_request("cpu-9")
    with pytest.raises(UsageError, match="--launches must be at least 1, 0 was given"):
        bloomz_bench.make_request("cpu-1", launches=0)
    with pytest.raises(UsageError, match="There are no weights 'real'. Known are hub, dummy"):
        bloomz_bench.make_request("cpu-1", weights="real")  # type: ignore[arg-type]  # what a typed caller cannot write
    with pytest.raises(UsageError, match="There is no precision 'int4'. Known are float32, bfloat16, float16"):
        bloomz_bench.make_request("cpu-1", precision="int4")  # type: ignore[arg-type]  # what a typed caller cannot write
    with pytest.raises(UnresolvedPin):
        bloomz_bench.make_request("gaudi2-8-bloomz")


def write(folder: Path, name: str, *latencies_s: float, attempt: str) -> Path:
    """Write a whole result with one launch for each latency."""
    body, request = of_launches(*latencies_s)
    body["request"] = dataclasses.replace(request, launches=len(latencies_s)).to_json()
    body["attempt"].update(id=attempt)
    for launch in body["launches"]:
        latency_s = launch["estimate"]["latency_s"]
        launch["timed"] = {**launch["timed"], "iterations_s": [latency_s] * 5, "span_s": latency_s * 5}
    path = folder / f"{name}.json"
    path.write_text(strictjson.pretty(contract.seal(body)))
    return path


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, Path]:
    """Return the files of results before and after a change, and of fresh ones of both."""
    names = ("before", "after", "fresh_before", "fresh_after")
    slow, fast = (3.50, 3.51, 3.49), (3.10, 3.11, 3.09)
    return {
        name: write(tmp_path, name, *(slow if "after" in name else fast), attempt=f"20261122T10000{number}Z-0123abcd")
        for number, name in enumerate(names)
    }


def test_verdicts_are_those_of_compare(sides: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    rows = bloomz_bench.verdicts(bloomz_bench.read_results(sides["before"]))
    assert main(["compare", "--json", str(sides["before"])]) == 0
    printed = json.loads(capsys.readouterr().out)["rows"]
    assert json.loads(json.dumps([dataclasses.asdict(row) for row in rows])) == printed
    assert rows[0].verdict.word == "REPRODUCED"


def test_changes_are_those_of_compare(sides: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    read = {name: bloomz_bench.read_results(path) for name, path in sides.items()}
    changes = bloomz_bench.changes(read["before"], read["after"], (read["fresh_before"], read["fresh_after"]))
    confirm = ["--confirm", str(sides["fresh_after"]), str(sides["fresh_before"])]
    assert main(["compare", "--json", str(sides["after"]), "--against", str(sides["before"]), *confirm]) == 0
    printed = json.loads(capsys.readouterr().out)["changes"]
    assert json.loads(json.dumps([dataclasses.asdict(change) for change in changes])) == printed
    assert [change.confirmed for change in changes] == [True]


def test_an_attempt_on_both_sides_is_warned_of(sides: dict[str, Path]) -> None:
    results = bloomz_bench.read_results(sides["before"])
    with pytest.warns(UserWarning, match=r"1 attempt\(s\) stand on both sides"):
        bloomz_bench.changes(results, results)
    with pytest.raises(InputError, match="cannot confirm it"):
        bloomz_bench.changes(results, bloomz_bench.read_results(sides["after"]), (results, results))


def test_a_refused_file_is_raised_or_told_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "whole.json").write_text(strictjson.pretty(samples.result()))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DamagedResult, match="bad.json is not usable JSON"):
        bloomz_bench.read_results(tmp_path)
    refused: list[DamagedResult] = []
    (result,) = bloomz_bench.read_results(tmp_path, refused=refused)
    assert result.path == str(tmp_path / "whole.json") and len(refused) == 1
    with pytest.raises(InputError, match="does not exist"):
        bloomz_bench.read_results(tmp_path / "gone", refused=refused)
