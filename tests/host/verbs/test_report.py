from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.__main__ import main
from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult, InputError, Interrupted, UsageError
from runner.contract.request import Dataset
from runner.host.figures import png
from runner.host.verbs import report
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support import samples
from tests.support.markup import parsed
from tests.support.patience import HANG_S


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, on a day that is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795000000")
    monkeypatch.setattr(report.indexes, "PATH", tmp_path / "index")
    return tmp_path


def run(*arguments: str | Path) -> int:
    return main(["report", *map(str, arguments)])


def event(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the event that the verb printed with ``--json``."""
    (line,) = capsys.readouterr().out.splitlines()
    told: dict[str, Any] = json.loads(line)
    assert told["event"] == "report"
    return told


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_results_of_the_usual_folder_become_a_page_with_its_data(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1", attempts=2, launches=3), MadeUp("cpu-2")])
    assert run("--json") == 0
    told = event(capsys)
    assert (told["path"], told["requests"], told["launches"], told["refused"]) == ("build/report/index.html", 2, 11, 0)
    found = files(place / "build" / "report")
    assert told["bytes"] == sum(map(len, found.values()))
    assert sum(told["verdicts"].values()) == told["cells"] == 16
    parsed(found["index.html"].decode())
    data = strictjson.loads(found["report.json"], "the data")
    assert (data["kind"], data["schema"], data["made_utc"]) == ("report", 1, "2026-11-18")
    assert set(data["files"]) == set(found) - {"report.json"}
    rows = list(csv.DictReader(found["launches.csv"].decode().splitlines()))
    assert len(rows) == 11
    requests = [name for name in found if name.startswith("requests/")]
    assert sorted(strictjson.loads(found[name], name)["id"] for name in requests) == sorted(
        Path(name).stem for name in requests
    )


def test_people_read_the_path_and_what_is_on_the_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1", launches=3)])
    assert run("--out", "a report") == 0
    path, summary = capsys.readouterr().out.splitlines()
    assert path == "a report/index.html"
    assert summary.startswith(
        "published cells: 16 (13 not measured, 3 walk-through), requests: 1, launches: 3, figures:"
    )


def test_a_page_for_a_mail_names_no_file_that_is_not_beside_it(place: Path) -> None:
    made_up.write(place / "results", list(made_up.EIGHT_CELLS.values()))
    assert run() == 0
    whole = files(place / "build" / "report")["index.html"].decode()
    assert "requests/" in whole and "launches.csv" in whole
    assert run("--page-only") == 0
    found = files(place / "build" / "report")
    assert set(found) == {"index.html", "report.json"}
    alone = found["index.html"].decode()
    assert "requests/" not in alone and "launches.csv" not in alone and "figures/" not in alone
    assert alone.count("<svg") == whole.count("<svg") > 0


def test_the_same_results_make_the_same_bytes(place: Path) -> None:
    made_up.write(place / "results", list(made_up.EIGHT_CELLS.values()))
    for out in ("a", "b"):
        assert run("--out", out, "--example", "made up for a test") == 0
    assert files(place / "a") == files(place / "b")
    assert any(name.endswith(".svg") for name in files(place / "a"))


def test_figures_lie_beside_the_page_and_png_can_be_left_out(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.write(place / "results", list(made_up.EIGHT_CELLS.values()))
    assert run("--json") == 0
    figures = {name for name in files(place / "build" / "report") if name.startswith("figures/")}
    assert len(figures) == 2 * event(capsys)["figures"] > 0
    assert {name for name in figures if name.endswith(".png")} == {
        name.replace(".svg", ".png") for name in figures if name.endswith(".svg")
    }
    assert run("--no-png") == 0
    assert capsys.readouterr().err == ""
    assert not any(name.endswith(".png") for name in files(place / "build" / "report"))
    monkeypatch.setattr(png, "available", lambda: False)
    assert run() == 0
    assert "resvg and its font, which draw PNG, are not both installed" in capsys.readouterr().err
    assert not any(name.endswith(".png") for name in files(place / "build" / "report"))


@pytest.mark.parametrize("arguments", [[], ["results"], ["nowhere", "nowhere else"]])
def test_without_a_result_it_says_what_to_run(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    for make in (False, True):
        if make and arguments == ["results"]:
            (place / "results").mkdir()
        assert run(*arguments) == InputError.exit_code
        told = capsys.readouterr().err
        assert "No result is in" in told and "make bench" in told and "--published-only" in told
    assert not (place / "build").exists()


def test_the_published_numbers_alone_need_no_result(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--published-only", "--json", "--", "results") == 0
    told = event(capsys)
    assert (told["requests"], told["verdicts"]) == (0, {"not measured": 16})
    assert not (place / "build" / "report" / "requests").exists()


def test_a_refused_result_is_said_and_the_others_are_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1")])
    (place / "results" / "torn\x1b[31m.json").write_text("{")
    assert run() == DamagedResult.exit_code
    printed = capsys.readouterr()
    assert "refused: results/torn\\x1b[31m.json is not usable JSON" in printed.err
    assert "requests: 1, launches: 5" in printed.out
    assert b"torn\\x1b[31m.json" in (place / "build" / "report" / "index.html").read_bytes()


def test_of_many_refusals_the_first_are_said_and_the_way_to_all(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "results").mkdir()
    for number in range(23):
        (place / "results" / f"torn-{number}.json").write_text("{")
    assert run() == DamagedResult.exit_code
    err = capsys.readouterr().err
    assert err.count("is not usable JSON") == 20
    # the page names no more of them
    assert "refused: 3 more; --json says why of each\n" in err
    assert run("--json") == DamagedResult.exit_code
    assert capsys.readouterr().err.count("is not usable JSON") == 23


def test_refused_results_alone_leave_an_earlier_report_as_it_is(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1")])
    assert run("--page-only") == 0
    before = files(place / "build" / "report")
    (place / "torn").mkdir()
    (place / "torn" / "torn.json").write_text("{")
    assert run("torn") == DamagedResult.exit_code
    assert "Every result was refused, 1 of them: no report is made" in capsys.readouterr().err
    assert files(place / "build" / "report") == before


def test_results_of_every_kind_make_a_page(place: Path) -> None:
    """One launch, failed launches alone, an interrupted attempt, a dataset, schema 1."""
    folder = place / "results"
    made_up.write(folder, [MadeUp("cpu-1", launches=1), MadeUp("cpu-2", launches=0, failed=2)])
    shutil.copy(Path(__file__).parents[2] / "data" / "result-1.json", folder)
    shutil.copy(Path(__file__).parents[2] / "data" / "result-2.json", folder)
    (folder / "dataset.json").write_text(strictjson.pretty(contract.seal(dataset_body())))
    assert run() == 0
    parsed((place / "build" / "report" / "index.html").read_text())


def dataset_body() -> dict[str, Any]:
    """Return an unsealed result of a dataset, as hostile as its name may be."""
    asked = samples.request()
    dataset = Dataset("file", "<b>=cmd|'x'!A0.jsonl", None, None, None, "json", "ab" * 32, "a column", None)
    workload = replace(asked.workload, name="dataset", prompt=None, dataset=dataset)
    body = samples.body(replace(asked, case="cpu-dataset", workload=workload, beside=[]))
    (launch,) = body["launches"]
    for key in ("timed", "estimate", "instrumented", "tokens", "untimed_s"):
        del launch[key]
    launch["dataset"] = {"rows": 3, "rows_total": 3, "batches_s": [0.5] * 3, "tokens_sha256": "0" * 64}
    body["outputs"] = {"file": "x.jsonl", "rows": 3, "sha256": "0" * 64}
    return body


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--laboratory", "x"], "--laboratory must be NAME=FOLDER"),
        (["--laboratory", "=results"], "--laboratory must be NAME=FOLDER"),
        (["--laboratory", "x=results", "--laboratory", "x=results"], "--laboratory names x twice"),
        (["--source", "post-9"], "Known are post-1"),
        (["--laboratory", "post-3=results"], "--laboratory: the page calls something else post-3"),
        (["--laboratory", "these runs=results"], "--laboratory: the page calls something else these runs"),
        (["--laboratory", "two\nlines=results"], "--laboratory: the name must be a name"),
        (["--example", " "], "--example"),
        (["--example", "two\nlines"], "--example"),
        (["--example", "x" * 121], "1 to 120 characters"),
        (["--out", "-"], "--out: a report is a folder"),
        (["--out", "results/page"], "--out: results/page is inside results"),
        (["--prces", "x"], "--prces"),
    ],
)
def test_a_wrong_command_line_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1")])
    assert run("results", *arguments) == UsageError.exit_code
    assert words in capsys.readouterr().err
    assert not (place / "build").exists()


def test_other_laboratories_are_read_by_their_names(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1")])
    made_up.write(place / "theirs", [MadeUp("cpu-1", attempts=2)], seed=9)
    assert run("--laboratory", "Zürich lab=theirs", "--no-png", "--json") == 0
    assert event(capsys)["launches"] == 5
    data = json.loads((place / "build" / "report" / "report.json").read_text())
    (laboratory,) = data["sections"]["provenance"]["laboratories"]
    assert (laboratory["laboratory"], laboratory["files"]) == ("Zürich lab", 2)
    (place / "empty").mkdir()
    assert run("--laboratory", "Zürich lab=empty") == InputError.exit_code
    assert "The laboratory Zürich lab has no result in empty" in capsys.readouterr().err


def test_prices_are_taken_from_here_or_where_they_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "prices:\n  mine:\n    product: gaudi2\n    devices: 8\n    price: 10.42\n    currency: EUR\n    per: hour\n"
        "    region: somewhere\n    date: 2023-06-01\n    source: an offer\n"
    )
    page = place / "build" / "report" / "index.html"
    assert run("--published-only") == 0
    assert "10.42 EUR" not in page.read_text()
    (place / "prices.yaml").write_text(text)
    assert run("--published-only") == 0
    assert "10.42 EUR" in page.read_text()
    (place / "other.yaml").write_text(text.replace("10.42", "11.5"))
    assert run("--published-only", "--prices", "other.yaml") == 0
    assert "11.5 EUR" in page.read_text()
    assert run("--published-only", "--prices", "missing.yaml") == InputError.exit_code
    assert "missing.yaml" in capsys.readouterr().err


def test_the_words_of_an_example_are_on_the_page(place: Path) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1")])
    assert run("--example", "made up <b>for a test") == 0
    assert "made up &lt;b&gt;for a test" in (place / "build" / "report" / "index.html").read_text()


def test_a_folder_of_others_is_refused_before_anything_is_read(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*arguments: object) -> None:
        raise AssertionError("results were read")

    monkeypatch.setattr(report, "_material", unread)
    (place / "notes").mkdir()
    (place / "notes" / "index.html").write_text("mine")
    assert run("--out", "notes") == InputError.exit_code
    assert "notes holds files, and no report.json" in capsys.readouterr().err
    assert (place / "notes" / "index.html").read_text() == "mine"


def test_results_that_were_read_before_are_taken_from_a_list(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1"), MadeUp("cpu-2")])
    path = next((place / "results").rglob("*.json"))
    (place / "list").write_text(f"{path}\n")
    assert run("--from", "list", "--json") == 0
    assert event(capsys)["requests"] == 1


def test_a_page_of_the_command_line_opens_without_its_folder(place: Path, tmp_path: Path) -> None:
    """The page is all that a mail carries: it names no other file that a browser would fetch."""
    made_up.write(place / "results", [MadeUp("cpu-1")])
    command = [sys.executable, "-m", "runner", "report", "--no-png", "--out", str(tmp_path / "out"), "results"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=HANG_S, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    page = parsed((tmp_path / "out" / "index.html").read_text())
    assert [each for each in page.all() if {"src", "srcset", "data", "poster"} & set(each.attributes)] == []
    assert page.all("script") == [] and [each.attributes for each in page.all("link")] == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_verb_as_ctrl_c_does_and_leaves_no_page(place: Path, ending: signal.Signals) -> None:
    made_up.write(place / "results", [MadeUp("cpu-1", attempts=40)])
    # begun where signals are ignored, as in a shell's background, a verb ignores them too
    command = [
        sys.executable,
        "-c",
        f"{_DEFAULT_SIGNALS}\nfrom runner.__main__ import main; sys.exit(main(['report', '--json']))",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**environment, "ENDING": str(int(ending))},
    )
    _, err = done.communicate(timeout=HANG_S)
    assert done.returncode == Interrupted.exit_code, err
    assert "Traceback" not in err and "leaked" not in err
    assert not (place / "build" / "report" / "index.html").exists()


# Send the signal of ENDING as soon as the first result is read.
_DEFAULT_SIGNALS = """import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from runner.host.report import reading
reading.Reader.whole = lambda *_: os.kill(os.getpid(), int(os.environ['ENDING']))"""
