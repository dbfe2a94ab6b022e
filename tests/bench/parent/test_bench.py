"""The command as a user types it: one sentence, a documented exit code, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest

from runner.__main__ import main
from runner.bench.inputs import preflight
from runner.bench.parent import attempt, bench, launcher
from runner.bench.parent.attempt_record import Paths
from runner.contract import termination
from runner.contract.errors import DoesNotFit, Interrupted, LaunchFailed, PublishFailed
from runner.contract.progress import Task
from runner.contract.request import Accelerator, Dataset, Request, Stack
from tests.support import samples
from tests.support.journals import journal
from tests.support.json_output import events
from tests.support.patience import HANG_S

DATASET = Dataset("file", "a.jsonl", None, None, None, "json", "1" * 64, "text", None)


def runner(*arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=HANG_S,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_help_lists_verbs_and_exit_codes() -> None:
    code, out, _ = runner("--help")
    assert code == 0
    for message in ("request", "bench", "collect", "compare", "lock", "130  stopped by Ctrl-C"):
        assert message in out


def test_no_verb_prints_the_help_and_is_a_mistake() -> None:
    code, out, _ = runner()
    assert code == 2
    assert "verbs, in the order of their use" in out


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["bnech"], 2, "invalid choice: 'bnech'"),
        (["bench"], 2, "No REQUEST is named."),
        (["bench", "--from", os.devnull], 3, "not a regular file"),
        (["bench", "--reslts", "x", "r.json"], 2, "unrecognized arguments: --reslts"),
        (["bench", "no-such.json"], 3, "no-such.json cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(arguments: list[str], code: int, message: str) -> None:
    status, out, err = runner(*arguments)
    assert (status, out) == (code, "")
    assert message in err


def test_requests_are_taken_from_a_list_with_blanks_and_all(tmp_path: Path) -> None:
    listed, path = tmp_path / "requests", tmp_path / "a 'b' $c.json"
    listed.write_text(f"a word of a library\n{path}\n")
    code, _, err = runner("bench", "--from", str(listed))
    assert code == 3
    assert "line 1 is no path of a request and is left out: a word of a library" in err
    assert f"{path} cannot be read" in err


def test_a_damaged_request_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"kind": "request", "kind": "request"}')
    code, _, err = runner("bench", str(path))
    assert code == 3
    assert err == f"runner: {path} is not usable JSON: key 'kind' stands twice. Make it, or fetch it, again.\n"


def test_without_a_gpu_a_request_for_one_is_refused_before_anything_is_launched(tmp_path: Path) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("there may be a GPU here")
    asked = samples.request(
        accelerator=Accelerator("h200", "cuda", 141 * 10**9, None),
        stack=Stack("cuda", "cuda", "3.12", "torchrun", {"torch": "2.13.0"}, None, None),
    )
    path = tmp_path / "r.json"
    path.write_text(json.dumps(asked.to_json()))
    code, _, err = runner("bench", str(path), "--results", str(tmp_path / "results"))
    assert code == LaunchFailed.exit_code
    assert "There is no GPU here. Run `nvidia-smi`." in err
    assert not (tmp_path / "results").exists()


def test_a_hostfile_that_does_not_fit_the_request_is_refused_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(samples.request(devices=2).to_json()))
    (tmp_path / "hostfile").write_text("a slots=8\n")
    arguments = ("bench", str(tmp_path / "r.json"), "--results", str(tmp_path / "results"), "--hostfile")
    code, _, err = runner(*arguments, str(tmp_path / "hostfile"))
    assert (code, "has 8 slot(s) on 1 host(s); the request is for 2 device(s)" in err) == (3, True)
    code, _, err = runner(*arguments, str(tmp_path / "none"))
    assert (code, "none cannot be read: No such file or directory. Check the hostfile." in err) == (3, True)
    assert not (tmp_path / "results").exists()


def test_the_last_words_tell_what_ended_it(tmp_path: Path) -> None:
    left = tmp_path / "termination-log"
    code, _, err = runner("bench", "no-such.json", "--termination-message", str(left))
    message = termination.read(left.read_text(), "here")
    assert (code, message["attempts"], message["error"]["exit_code"]) == (3, [], 3)
    assert err == f"runner: {message['error']['message']}\n"


def test_last_words_that_cannot_be_left_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    code, _, err = runner("bench", "no-such.json", "--termination-message", str(tmp_path / "none" / "log"))
    assert code == 7
    assert "cannot be written: No such file or directory. Check --termination-message" in err


def test_the_last_words_of_a_run_name_its_result_and_its_estimates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result_path, left = tmp_path / "result.json", tmp_path / "log"
    result_path.write_text(json.dumps(samples.result()))
    request = tmp_path / "r.json"
    request.write_text(json.dumps(samples.request().to_json()))

    def run(
        asked: Request,
        paths: Paths,
        show: Callable[[str], None],
        published: Callable[[str], None],
        with_operators: bool,
    ) -> None:
        published(str(result_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(attempt, "run", run)
    with pytest.raises(KeyboardInterrupt):
        bench.main([str(request), "--termination-message", str(left)])
    message = termination.read(left.read_text(), "here")
    assert message["attempts"] == [termination.summary(samples.result())]
    assert message["error"]["exit_code"] == 130


@dataclass
class Several:
    """Three requests of a test, of which each run does what the test says, in order."""

    arguments: list[str]
    ran: list[str]


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Several]:
    def prepared(*errors: BaseException | None) -> Several:
        left, ran = list(errors), []
        paths = []
        for name in ("one", "two", "three"):
            paths.append(str(tmp_path / f"{name}.json"))
            Path(paths[-1]).write_text(json.dumps(samples.request(case=name).to_json()))

        def run(
            asked: Request, paths: Paths, task: Task, published: Callable[[str], None], with_operators: bool
        ) -> None:
            ran.append(asked.case)
            error = left.pop(0)
            if error is not None:
                raise error
            published(f"{asked.case}.json")

        monkeypatch.setattr(attempt, "run", run)
        return Several(["bench", *paths, "--results", str(tmp_path / "results")], ran)

    return prepared


@pytest.mark.parametrize(
    "errors, code, told",
    [
        ([LaunchFailed("Lost."), None, None], 6, ["[one] Lost. 2 more request(s) follow.", "runner: Lost."]),
        ([None, None, LaunchFailed("Lost.")], 6, ["runner: Lost."]),
        (
            [DoesNotFit("Big."), None, LaunchFailed("Lost.")],
            5,
            [
                "[one] Big. 2 more request(s) follow.",
                "[three] Lost.",
                "runner: Big. 2 of 3 requests were lost; each is told above.",
            ],
        ),
    ],
    ids=["first", "last", "two"],
)
def test_what_one_request_lost_keeps_the_others_from_nothing(
    several: Callable[..., Several],
    capsys: pytest.CaptureFixture[str],
    errors: list[BaseException | None],
    code: int,
    told: list[str],
) -> None:
    asked = several(*errors)
    assert main(asked.arguments) == code
    out, err = capsys.readouterr()
    assert asked.ran == ["one", "two", "three"]
    assert out.split() == [f"{name}.json" for name, error in zip(asked.ran, errors) if error is None]
    assert err.splitlines() == told


def test_the_operators_of_a_dataset_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = samples.request(workload=samples.workload(name="dataset", prompt=None, dataset=DATASET))
    path = tmp_path / "request.json"
    path.write_text(json.dumps(asked.to_json()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(attempt, "run", lambda *arguments: pytest.fail("it was measured"))
    assert main(["bench", "--operators", str(path)]) == 2
    assert "--operators counts in a call of the workload's prompt, and cpu-1 completes a dataset." in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "error, code",
    [(KeyboardInterrupt(), 130), (Interrupted("Stopped."), 130), (PublishFailed("Full."), 7)],
    ids=["key", "kept", "full"],
)
def test_an_interruption_and_a_full_disk_end_the_run(
    several: Callable[..., Several], error: BaseException, code: int
) -> None:
    asked = several(None, error, None)
    assert main(asked.arguments) == code
    assert asked.ran == ["one", "two"]


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(samples.request().to_json()))
    return str(path)


@pytest.mark.parametrize("flag", [None, "--hostfile", "--termination-message", "--results"])
def test_a_fifo_is_refused_at_once_wherever_a_file_or_folder_is_named(
    tmp_path: Path,
    request_file: str,
    flag: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(preflight, "check_host", lambda *arguments: samples.inventory())
    monkeypatch.setattr(launcher, "check_launcher", lambda *arguments: None)
    arguments = [str(tmp_path / "fifo")] if flag is None else [request_file, flag, str(tmp_path / "fifo")]
    status = main(["bench", "--results", str(tmp_path / "results"), *arguments])
    assert status == (PublishFailed.exit_code if flag in ("--termination-message", "--results") else 3)
    assert f"{tmp_path / 'fifo'}" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_run_unless_it_was_ignored_at_the_start(
    tmp_path: Path, request_file: str, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ended = []

    def run(*arguments: object) -> None:
        os.kill(os.getpid(), number)
        ended.append(True)

    monkeypatch.setattr(attempt, "run", run)
    assert (main(["bench", request_file, "--results", str(tmp_path)]), ended) == (130, [])
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert (main(["bench", request_file, "--results", str(tmp_path)]), ended) == (0, [True])
    finally:
        signal.signal(number, before)


def test_help_says_what_becomes_of_signals() -> None:
    assert "a signal that was ignored at the start" in " ".join(bench.parser().format_help().split())


def test_what_a_killed_run_left_is_taken_up_by_the_next_and_said(
    tmp_path: Path, request_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, path = journal(tmp_path)
    kept.close(discard=False)
    monkeypatch.setattr(attempt, "run", lambda *arguments: None)
    assert main(["bench", request_file, "--results", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"runner: {path} holds what a run measured that was cut off\n")
    assert path.exists()


def test_a_result_is_a_line_of_json_for_programs(
    tmp_path: Path, request_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "20261122T100000Z-0123abcd.json")

    def run(request: Request, paths: Paths, task: Task, published: Callable[[str], None], with_operators: bool) -> None:
        task.line("launch 1/1")
        published(path)

    monkeypatch.setattr(attempt, "run", run)
    assert main(["bench", request_file, "--results", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    asked = samples.request()
    assert err == f"[{asked.case}] launch 1/1\n"
    assert events(out, "bench") == [
        {
            "event": "result",
            "path": path,
            "attempt": "20261122T100000Z-0123abcd",
            "request": asked.id,
            "case": asked.case,
        }
    ]


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), LaunchFailed("a rank died."), ValueError("a defect"), None])
def test_last_words_that_can_no_longer_be_left_hide_no_other_ending(
    tmp_path: Path,
    request_file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: BaseException | None,
) -> None:
    left = tmp_path / "log"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # a defect's traceback is kept there

    def run(*arguments: object) -> None:
        left.unlink()
        left.mkdir()
        if ending is not None:
            raise ending

    monkeypatch.setattr(attempt, "run", run)
    status = main(["bench", request_file, "--results", str(tmp_path / "results"), "--termination-message", str(left)])
    assert status == {KeyboardInterrupt: 130, LaunchFailed: 6, ValueError: 70, type(None): 0}[type(ending)]
    assert "cannot be written: Is a directory. Check --termination-message" in capsys.readouterr().err


def test_no_secret_stands_in_the_last_words(tmp_path: Path, request_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: object) -> None:
        raise LaunchFailed("HF_TOKEN=planted123 was refused.")

    monkeypatch.setattr(attempt, "run", run)
    left = tmp_path / "log"
    assert main(["bench", request_file, "--results", str(tmp_path), "--termination-message", str(left)]) == 6
    assert "planted" not in left.read_text()
