from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from runner.contract import frame, strictjson
from runner.contract import result as contract
from runner.contract.errors import DamagedResult, InputError, KitError, UsageError
from runner.contract.records import JsonObject
from runner.host import paths
from runner.host.results import result_files
from runner.host.verbs import collect
from tests.support import samples

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"


def framed(attempt: str = FIRST, value: JsonObject | None = None) -> tuple[list[str], bytes]:
    content = strictjson.pretty(value or samples.result(attempt_id=attempt)).encode()
    return frame.write(attempt, content), content


def log(tmp_path: Path, *parts: Iterable[str], name: str = "pod.log") -> str:
    path = tmp_path / name
    path.write_text("\n".join(["loading", *(line for part in parts for line in part), "done"]) + "\n")
    return str(path)


def run(tmp_path: Path, *logs: str) -> int:
    return collect.main([*logs, "--results", str(tmp_path / "results")])


def test_a_result_of_a_log_is_the_file_that_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, content = framed()
    assert run(tmp_path, log(tmp_path, lines)) == 0
    path = tmp_path / "results" / samples.request().id / f"{FIRST}.json"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes() == content
    assert result_files.read_one(path)[1] == samples.request()


def test_collecting_again_changes_nothing_and_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, framed()[0], framed(SECOND)[0])
    outputs = []
    for _ in range(2):
        assert run(tmp_path, path, path) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert len(list((tmp_path / "results").rglob("*"))) == 3


def test_what_one_log_lost_another_has_whole_and_each_result_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = log(tmp_path, framed()[0][:-2], name="cut.log")
    whole = log(tmp_path, framed()[0], name="whole.log")
    for logs in ([cut, whole], [whole, cut], [whole, whole]):
        assert run(tmp_path, *logs) == 0
        out, err = capsys.readouterr()
        assert out.count(FIRST) == 1 and err == ""


def test_a_log_without_a_result_beside_one_that_has_some_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = log(tmp_path, name="empty.log")
    assert run(tmp_path, log(tmp_path, framed()[0]), empty) == 0
    output, errors = capsys.readouterr()
    assert FIRST in output and errors == f"no result is in {empty}\n"


def test_standard_input_is_a_log_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(framed()[0]).encode())))
    assert run(tmp_path, "-") == 0
    assert FIRST in capsys.readouterr().out


def test_a_log_by_pipe_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    lines, _ = framed()
    given = b"\xff\xfe noise\n" + "\n".join(lines).encode() + b"\n"
    command = [sys.executable, "-m", "runner", "collect", "-", "--results", str(tmp_path)]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    said = subprocess.run(command, input=given, capture_output=True, env=strict, cwd=paths.ROOT)
    assert said.returncode == 0, said.stderr
    assert FIRST.encode() in said.stdout


def test_a_cut_frame_is_refused_with_one_sentence_and_the_rest_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, log(tmp_path, framed()[0][:-2], framed(SECOND)[0])) == DamagedResult.exit_code
    out, err = capsys.readouterr()
    assert SECOND in out and FIRST not in out
    assert err.startswith(f"refused: {tmp_path}/pod.log: the frame of attempt {FIRST} lost 1 of its ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "value, words",
    [
        ({"kind": "result", "schema": 1}, "does not match its own sha256"),
        ({"kind": "other"}, "is not a result of this kit"),
        (contract.seal({**samples.body(), "extra": 1}), "does not follow the result schema at its top"),
    ],
)
def test_a_whole_frame_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: JsonObject, words: str
) -> None:
    assert run(tmp_path, log(tmp_path, framed(value=value)[0])) == DamagedResult.exit_code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_another_result_of_the_same_attempt_never_replaces_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, log(tmp_path, framed()[0])) == 0
    body = samples.body()
    body["attempt"]["duration_s"] = 21.0
    lines, _ = framed(value=contract.seal(body))
    assert run(tmp_path, log(tmp_path, lines, name="other.log")) == DamagedResult.exit_code
    assert "is another result than" in capsys.readouterr().err
    (kept,) = (tmp_path / "results").rglob("*.json")
    assert result_files.read_one(kept)[0]["attempt"]["duration_s"] == 20.0


def test_the_name_comes_from_the_checked_content_and_never_from_the_log(tmp_path: Path) -> None:
    lines, _ = framed(value=samples.result(attempt_id=SECOND))
    assert run(tmp_path, log(tmp_path, lines)) == 0
    (kept,) = (tmp_path / "results").rglob("*.json")
    assert kept.name == f"{SECOND}.json"


def test_a_log_without_a_result_and_one_that_is_not_there_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"noise")))
    with pytest.raises(InputError, match="No result is in standard input"):
        run(tmp_path, "-")
    with pytest.raises(InputError, match="No result is in .*Was it the log of `python -m runner bench --frames`"):
        run(tmp_path, log(tmp_path))
    with pytest.raises(InputError, match="cannot be read: No such file or directory"):
        run(tmp_path, str(tmp_path / "none.log"))
    assert run(tmp_path, log(tmp_path, framed()[0], name="pod2.log")) == 0


def test_a_log_that_cannot_be_read_keeps_nobody_else_from_being_collected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    good, gone = log(tmp_path, framed()[0]), str(tmp_path / "none.log")
    with pytest.raises(InputError, match="none.log cannot be read"):
        run(tmp_path, str(tmp_path / "fifo"), gone, good)
    out, err = capsys.readouterr()
    assert FIRST in out
    assert "fifo cannot be read: it is a FIFO (a named pipe), not a regular file" in err


def test_standard_input_that_is_named_twice_is_read_once_and_closed_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(framed()[0]).encode())))
    assert run(tmp_path, "-", "-") == 0
    assert capsys.readouterr().out.count(FIRST) == 1
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="Standard input is closed"):
        run(tmp_path, "-")
    with pytest.raises(UsageError, match="No LOG is named"):
        run(tmp_path)


@pytest.mark.parametrize("kind", ["fifo", "folder", "dangling"])
def test_a_target_that_is_no_file_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    target = tmp_path / "results" / samples.request().id / f"{FIRST}.json"
    target.parent.mkdir(parents=True)
    {"fifo": os.mkfifo, "folder": os.mkdir, "dangling": lambda path: path.symlink_to("gone")}[kind](target)
    try:
        assert run(tmp_path, log(tmp_path, framed()[0])) == DamagedResult.exit_code
        message = capsys.readouterr().err
    except KitError as refusal:
        message = str(refusal)
    assert f"{target} " in message


def test_a_folder_of_results_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(KitError, match="results"):
        run(tmp_path, log(tmp_path, framed()[0]))


def test_every_result_of_a_long_log_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their number was bounded, and what came after was lost in silence."""
    whole = framed()[0]
    foreign = [line for number in range(10_001) for line in frame.write(f"20261122T{number:06d}Z-00000000", b"{}")]
    assert run(tmp_path, log(tmp_path, foreign, whole)) == DamagedResult.exit_code
    out, err = capsys.readouterr()
    assert FIRST in out
    assert err.count("refused: ") == 10_001
