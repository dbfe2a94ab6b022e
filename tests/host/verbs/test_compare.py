from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.records import JsonObject
from runner.host.verbs import compare
from tests.examples import made_up
from tests.support import samples
from tests.support.groups import CLAIM, gaudi2_result, of_launches, only_row
from tests.support.journals import journal
from tests.support.patience import HANG_S


def run(path: Path, *arguments: str | Path, columns: str = "80") -> subprocess.CompletedProcess[str]:
    """Compare the results in a file or folder, as a user would."""
    command = [sys.executable, "-m", "runner", "compare", *map(str, arguments), str(path)]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env={**os.environ, "COLUMNS": columns}, timeout=HANG_S
    )


def test_a_stand_in_has_no_ratio_and_no_time_is_printed(tmp_path: Path) -> None:
    body, request = gaudi2_result(emulated=True)
    row = only_row(body, request)
    assert (row.verdict.word, row.verdict.reasons, row.verdict.launches) == ("NOT-COMPARABLE", ["emulated differs"], 1)
    assert (row.verdict.ratio, row.verdict.interval, row.verdict.attained_margin, row.limit) == (None, None, None, None)
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    out = run(tmp_path, columns="200").stdout
    assert "times are not told: something stood in for the device" in out
    assert "TTFT" not in out and "latency 0." not in out


def test_the_headline_counts_the_cells_that_were_decided(tmp_path: Path) -> None:
    made_up.write(tmp_path, [made_up.EIGHT_CELLS["SLOWER"], made_up.EIGHT_CELLS["PROVISIONAL"]])
    assert "corrected for looking at 1 cell: post-3-a100-8-bloomz." in run(tmp_path, columns="200").stdout


@pytest.mark.parametrize("latency_s", [9.5, 12.5, 12345.5])
def test_a_row_of_a_slow_machine_is_one_line_for_programs(tmp_path: Path, latency_s: float) -> None:
    """Ten seconds and more made a row wider than 80 columns, and its verdict two lines."""
    body = samples.body(samples.request(beside=["post-3-a100-1-bloomz-7b1"]))
    calls = len(body["launches"][0]["timed"]["iterations_s"])
    body["launches"][0]["timed"].update(iterations_s=[latency_s] * calls, span_s=latency_s * calls)
    body["launches"][0]["estimate"]["latency_s"] = latency_s
    body["launches"][0]["clock"]["elapsed_s"] = latency_s * calls
    body["attempt"]["duration_s"] = latency_s * calls + 100
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    for columns in ("80", "40"):
        (row,) = [line for line in run(tmp_path, columns=columns).stdout.splitlines() if line.startswith("1 x a100")]
        assert row.endswith("walk-through, not a reproduction") and f" {latency_s:.3f} " in row


def test_the_table_fits_80_columns_and_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(strictjson.pretty(samples.result()))
    done = run(tmp_path)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("1 x gaudi2")]
    assert row.split() == [
        "1",
        "x",
        "gaudi2,",
        "bloomz-7b1",
        "0.772",
        "0.250",
        "0.324",
        "walk-through,",
        "not",
        "a",
        "reproduction",
    ]
    assert "accelerator   cpu         gaudi2" in done.stdout


def test_a_refused_result_is_said_and_counts(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    done = run(tmp_path)
    assert done.returncode == DamagedResult.exit_code
    assert f"refused: {tmp_path}/bad.json is not usable JSON" in done.stderr
    assert json.loads(run(tmp_path, "--json").stdout)["rows"] == []


def test_hostile_text_in_a_result_never_reaches_the_terminal(tmp_path: Path) -> None:
    body = samples.body()
    body["environment"]["cpu"]["model"] = "\x1b]0;owned\x07 [bold]cpu[/bold] \u202e"
    body["launches"][0]["tokens"]["text"] = ["\x1b[2J"]
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    out = run(tmp_path, columns="200").stdout
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]cpu[/bold]" in out


def write(path: Path, *latencies_s: float, attempt: str = "20261122T100000Z-0123abcd") -> None:
    """Write a whole result with one launch for each latency, whose estimates follow from their raw durations."""
    body, request = of_launches(*latencies_s)
    body["request"] = replace(request, launches=len(latencies_s)).to_json()
    body["attempt"].update(id=attempt)
    for launch in body["launches"]:
        latency_s = launch["estimate"]["latency_s"]
        launch["timed"] = {**launch["timed"], "iterations_s": [latency_s] * 5, "span_s": latency_s * 5}
    path.write_text(strictjson.pretty(contract.seal(body)))


def four(tmp_path: Path) -> dict[str, Path]:
    """Write results of both sides and once more of both; those after are slower by an eighth."""
    paths = {name: tmp_path / f"{name}.json" for name in ("before", "after", "fresh_before", "fresh_after")}
    for number, (name, path) in enumerate(paths.items()):
        seconds = (3.50, 3.51, 3.49) if "after" in name else (3.10, 3.11, 3.09)
        write(path, *seconds, attempt=f"20261122T10000{number}Z-0123abcd")
    return paths


def test_a_change_is_confirmed_from_the_command_line(tmp_path: Path) -> None:
    paths = four(tmp_path)

    def compared(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run(paths["after"], *arguments)

    against = ("--against", paths["before"])
    fresh = ("--confirm", paths["fresh_after"], paths["fresh_before"])
    out = compared(*against).stdout
    assert "CHANGED, confirm it on fresh launches (--confirm)" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "CHANGED, confirmed on fresh launches" in compared(*fresh, *against).stdout
    listed = json.loads(compared("--json", *fresh, *against).stdout)
    (change,) = listed["changes"]
    assert (change["word"], change["confirmed"], change["found"]) == ("CHANGED", True, ["slower"])
    assert change["times"]["ratio"] == pytest.approx(3.5 / 3.1, rel=1e-3)
    assert listed["alone"] == {"before": [], "after": []}
    itself = compared("--confirm", paths["after"], paths["before"], *against)
    assert (itself.returncode, "cannot confirm it" in itself.stderr) == (3, True)


@pytest.mark.parametrize(
    "flags",
    [
        ["--confirm", "a", "b"],
        ["--margin", "0.02"],
        ["--judge-cpu"],
        ["--fail-on", "slower"],
        ["--markdown", "file.md"],
    ],
)
def test_flags_of_run_against_run_need_the_other_run(flags: list[str]) -> None:
    with pytest.raises(UsageError, match=f"{flags[0]} is for run against run; give --against too"):
        compare.main(["results", *flags])


@pytest.mark.parametrize(
    "words, code", [("slower", 17), ("changed", 17), ("faster,slower", 17), ("counts,faster", 0), ("inconclusive", 0)]
)
def test_the_exit_code_says_what_was_found(tmp_path: Path, words: str, code: int) -> None:
    paths = four(tmp_path)
    done = run(paths["after"], "--against", paths["before"], "--fail-on", words)
    assert done.returncode == code
    # all is printed before
    assert "gaudi2-8-bloomz: CHANGED" in done.stdout
    assert ("Run against run found what --fail-on names: gaudi2-8-bloomz: slower." in done.stderr) == (code == 17)


def failing(arguments: list[str | Path]) -> int:
    """Return the exit code of a comparison in this process."""
    return main(["compare", *map(str, arguments)])


@pytest.mark.parametrize(
    "words, code", [("slower", 0), ("inconclusive", 18), ("slower,inconclusive", 18), ("changed, inconclusive", 18)]
)
def test_launches_that_cannot_tell_have_their_own_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int
) -> None:
    write(tmp_path / "before.json", 3.10, 3.30, 2.90)
    write(tmp_path / "after.json", 3.50, 3.20, 3.00, attempt="20261122T110000Z-0123abcd")
    arguments = [tmp_path / "after.json", "--against", tmp_path / "before.json", "--fail-on", words]
    assert failing(arguments) == code
    out, err = capsys.readouterr()
    assert "gaudi2-8-bloomz: INCONCLUSIVE" in out
    assert ("The launches cannot tell whether something changed, for gaudi2-8-bloomz." in err) == (code == 18)


def test_a_refused_result_goes_before_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = four(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    arguments = [paths["after"], tmp_path / "bad.json", "--against", paths["before"], "--fail-on", "slower"]
    assert failing([*arguments]) == DamagedResult.exit_code
    assert "CHANGED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flag, value, words",
    [
        ("--fail-on", "slow", "'slow' is none of: counts, slower, faster, changed, inconclusive"),
        ("--fail-on", "", "'' is none of"),
        ("--margin", "0", "'0' is no margin: give a fraction such as 0.02, a percentage such as 2%, or strict, "),
        ("--margin", "100%", "is no margin"),
        ("--margin", "nan", "is no margin"),
        ("--margin", "wide", "is no margin"),
    ],
)
def test_an_unknown_word_or_margin_is_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str], flag: str, value: str, words: str
) -> None:
    assert failing(["a", "--against", "b", flag, value]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("margin, fraction", [("0.02", 0.02), ("15%", 0.15), ("host-bound", 0.15), ("strict", 0.02)])
def test_a_margin_is_a_fraction_a_percentage_or_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], margin: str, fraction: float
) -> None:
    paths = four(tmp_path)
    assert failing([paths["after"], "--against", paths["before"], "--margin", margin, "--json"]) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["times"]["margin"] == pytest.approx(fraction)
    assert change["word"] == ("UNCHANGED" if fraction > 0.13 else "CHANGED")


def test_the_times_of_a_cpu_are_judged_where_the_user_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = samples.request(launches=2)
    for number, name in enumerate(("before", "after")):
        body = samples.body(request, attempt_id=f"20261122T10000{number}Z-0123abcd")
        body["launches"] = [{**body["launches"][0], "index": index} for index in range(2)]
        (tmp_path / f"{name}.json").write_text(strictjson.pretty(contract.seal(body)))
    arguments = [tmp_path / "after.json", "--against", tmp_path / "before.json", "--fail-on", "changed,inconclusive"]
    assert failing(arguments) == 0
    assert "time: not judged" in capsys.readouterr().out
    assert failing([*arguments, "--judge-cpu"]) == 0
    assert "time: UNCHANGED" in capsys.readouterr().out


def test_a_comparison_is_written_as_markdown_whole_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = four(tmp_path)
    comment = tmp_path / "folder" / "comment.md"
    arguments = [paths["after"], "--against", paths["before"], "--fail-on", "slower", "--markdown"]
    assert failing([*arguments, comment]) == 17
    assert "| `gaudi2-8-bloomz` | 3.1 s | 3.5 s | 1.129 (" in comment.read_text(encoding="utf-8")
    assert [path.name for path in comment.parent.iterdir()] == ["comment.md"]
    assert failing([*arguments, tmp_path]) == InputError.exit_code
    out, err = capsys.readouterr()
    assert out.count("gaudi2-8-bloomz: CHANGED") == 2
    assert "Name another file with --markdown." in err


def test_an_operator_that_only_one_side_calls_is_a_change_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (name, calls) in enumerate({"before": {"aten::mm": 2}, "after": {"aten::mm": 2, "aten::x": 1}}.items()):
        body = samples.body(attempt_id=f"20261122T10000{number}Z-0123abcd")
        ids = [row[:1] for row in body["launches"][0]["tokens"]["output_ids"]]
        operators = {"output_tokens": 1, "output_ids": ids, "calls": calls, "kernels": []}
        body["launches"][0]["operators"] = operators
        (tmp_path / f"{name}.json").write_text(strictjson.pretty(contract.seal(body)))
    arguments = [tmp_path / "after.json", "--against", tmp_path / "before.json", "--fail-on"]
    assert failing([*arguments, "slower,faster"]) == 0
    assert failing([*arguments, "counts"]) == 17
    assert "2 names, sha256" in capsys.readouterr().out
    assert failing([*arguments, "changed", "--json"]) == 17
    (count,) = [
        count for count in json.loads(capsys.readouterr().out)["changes"][0]["counts"] if count["name"] == "operators"
    ]
    assert (count["word"], count["operators"]["added"]) == ("differs", {"aten::x": 1})


def test_a_secret_in_a_result_is_masked_in_markdown(tmp_path: Path) -> None:
    body, _ = gaudi2_result()
    body["launches"][0]["checks"] = [failed_check("hf_" + "a" * 30, "flag")]
    (tmp_path / "before.json").write_text(strictjson.pretty(contract.seal(body)))
    body["attempt"]["id"] = "20261122T110000Z-0123abcd"
    (tmp_path / "after.json").write_text(strictjson.pretty(contract.seal(body)))
    comment = tmp_path / "comment.md"
    assert failing([tmp_path / "after.json", "--against", tmp_path / "before.json", "--markdown", comment]) == 0
    text = comment.read_text(encoding="utf-8")
    assert "`before *** (1)`" in text and "hf_a" not in text


def test_a_request_without_a_counterpart_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "before").mkdir()
    write(tmp_path / "before" / "a.json", 3.1, 3.2)
    write(tmp_path / "after.json", 3.1, 3.2, attempt="20261122T110000Z-0123abcd")
    other = samples.result(attempt_id="20261122T120000Z-0123abcd")
    (tmp_path / "before" / "b.json").write_text(strictjson.pretty(other))
    arguments = [tmp_path / "after.json", "--against", tmp_path / "before"]
    assert failing([*arguments]) == 0
    assert "1 request(s) before have no counterpart: cpu-1-" in capsys.readouterr().out
    assert failing([*arguments, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)["alone"]
    assert (len(alone["before"]), alone["after"]) == (1, [])
    assert failing([*arguments, "--markdown", tmp_path / "a.md"]) == 0
    assert "- 1 of before without a counterpart, and not compared: `cpu-1-" in (tmp_path / "a.md").read_text()


def test_how_near_it_was_is_printed_even_where_conditions_differ(tmp_path: Path) -> None:
    body, _ = gaudi2_result(precision="float16")
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    out = run(tmp_path, columns="200").stdout
    assert f"{CLAIM}: NOT-COMPARABLE: precision differs." in out
    assert "attained margin" in out
    assert "precision     float16  bfloat16" in out


def test_a_decided_verdict_is_printed_with_its_reasons_and_how_near_it_was(tmp_path: Path) -> None:
    write(tmp_path / "r.json", 3.10, 3.11, 3.09, 3.10, 3.12)
    out = run(tmp_path, columns="200").stdout
    assert "8 x gaudi2, bloomz  3.103  3.104  1.000  REPRODUCED" in out
    assert f"{CLAIM}: REPRODUCED: the interval " in out
    assert "lies within the margin of 5%" in out
    assert "attained margin" in out
    done = run(tmp_path, "--against", str(tmp_path), columns="200")
    assert "1 attempt(s) stand on both sides, " in done.stderr and "Name the results of each side alone" in done.stderr
    assert "gaudi2-8-bloomz: INCONCLUSIVE" in done.stdout and "are equal to themselves" in done.stdout
    assert "moved: nothing" in done.stdout


def test_a_list_of_results_that_is_empty_is_not_the_default_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = samples.result()
    path = tmp_path / "results" / contract.file_name(result["request"]["id"], result["attempt"]["id"])
    path.parent.mkdir(parents=True)
    path.write_text(strictjson.pretty(result), encoding="utf-8")
    (tmp_path / "list.txt").write_text("")
    with pytest.raises(InputError, match="list.txt lists no result"):
        compare.main(["--from", "list.txt"])
    (tmp_path / "list.txt").write_text(f"{path}\n")
    assert compare.main(["--from", "list.txt", "--json"]) == 0


def many(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        result = samples.result(attempt_id=f"20261122T{number:06d}Z-0123abcd")
        (folder / f"{number}.json").write_text(strictjson.pretty(result), encoding="utf-8")


def test_the_newest_are_shown_first_and_what_is_left_out_is_said_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare.indexes, "PATH", tmp_path / "index")
    many(tmp_path / "results", 9)
    assert compare.main([str(tmp_path / "results")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("  attempt")] == [
        f"20261122T{number:06d}Z-0123abcd:" for number in (8, 7, 6)
    ]
    assert "  6 earlier attempt(s) of this request count too and are not shown; --all shows them" in out
    assert compare.main([str(tmp_path / "results"), "--all"]) == 0
    out = capsys.readouterr().out
    assert out.count("  attempt ") == 9
    assert "not shown" not in out
    assert compare.main([str(tmp_path / "results"), "--json"]) == 0
    assert {row["verdict"]["launches"] for row in json.loads(capsys.readouterr().out)["rows"]} == {9}


def test_requests_and_refusals_beyond_the_newest_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare.indexes, "PATH", tmp_path / "index")
    for number in range(1, 24):
        asked = samples.request(margin=number / 100)
        result = samples.result(asked, attempt_id=f"20261122T{number:06d}Z-0123abcd")
        (tmp_path / f"{number}.json").write_text(strictjson.pretty(result), encoding="utf-8")
        (tmp_path / f"bad{number}.json").write_text("{")
    assert compare.main([str(tmp_path)]) == DamagedResult.exit_code
    out, err = capsys.readouterr()
    assert out.count("  attempt ") == 20
    assert "20261122T000023Z" in out.split("attempt ")[1]
    assert out.endswith("3 earlier request(s) with 3 attempt(s) are not shown; --all shows them.\n")
    assert err.count("refused: ") == 21
    assert err.endswith("refused: 3 more; --all says why of each\n")
    assert compare.main([str(tmp_path), "--all"]) == DamagedResult.exit_code
    out, err = capsys.readouterr()
    assert (out.count("  attempt "), err.count("refused: ")) == (23, 23)


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--against", "."]])
def test_a_folder_without_a_result_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="No result is in results. Run `make bench` first"):
        compare.main(arguments)


def test_refusals_are_told_before_what_they_led_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.json", 3.1, 3.2)
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match="share no case"):
        compare.main([str(tmp_path / "a.json"), "--against", str(tmp_path / "b.json")])
    assert "b.json is not usable JSON" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["compare", "collect", "claims"])
def test_no_statistics_are_loaded_where_no_launch_is_judged(verb: str) -> None:
    program = f"import sys; sys.argv = ['']; from runner.__main__ import main; main(['{verb}', '--help']);"
    program += "sys.exit(sorted({'scipy', 'numpy', 'jsonschema', 'torch'} & set(sys.modules)).__repr__())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60)
    assert done.stderr == "[]\n"


HOSTILE = "\x1b[2J[bold]x[/bold] [link=https://x]y[/link] :boom: \u202e"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["launches"][0].update(checks=[failed_check(HOSTILE, "flag")]),
        lambda body: body["launches"][0].update(status="failed", error=HOSTILE),
        lambda body: body["launches"][0].update(status="failed", error="x", checks=[failed_check(HOSTILE, "refuse")]),
        lambda body: body["launches"][0]["conditions"].update(precision=HOSTILE),
        lambda body: body["environment"]["cpu"].update(model=HOSTILE),
    ],
)
def test_a_hostile_name_is_shown_and_never_obeyed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[JsonObject], None],
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    body, _ = gaudi2_result()
    spoil(body)
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)), encoding="utf-8")
    assert compare.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out
    assert "\\x1b[2J[bold]x[/bold] [link=https://x]y[/link] :boom: \\u202e" in out.replace("\n", "")


def failed_check(name: str, act: str) -> JsonObject:
    return {"name": name, "act": act, "passed": False, "wanted": 1, "found": 2, "reason": None}


def test_what_a_killed_run_left_is_said_and_no_result_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, path = journal(tmp_path)
    with pytest.raises(InputError, match="No result is in"):
        compare.main([str(tmp_path)])
    # the attempt runs
    assert capsys.readouterr().err == ""
    kept.close(discard=False)
    with pytest.raises(InputError, match="No result is in"):
        compare.main([str(tmp_path)])
    assert capsys.readouterr().err.startswith(
        f"{path} is missing here: a run that was killed left 1 launch(es) of it. The next run of `bench`"
    )
