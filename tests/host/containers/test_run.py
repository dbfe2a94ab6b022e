"""The verb ``run`` with programs in the place of podman and docker: what comes back, what is kept, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from runner.__main__ import main
from runner.contract import strictjson
from runner.contract.errors import (
    DoesNotFit,
    InputError,
    Interrupted,
    JobFailed,
    LaunchFailed,
    ResultLost,
    Unreachable,
    Unsupported,
    UsageError,
)
from runner.contract.request import read_request
from runner.host import cases
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile
from tests.host.containers.program import Program
from tests.support import samples
from tests.support.patience import HANG_S

IMAGE = f"registry.example/team/bloomz-bench-cpu@sha256:{'12' * 32}"
# A container that says what bench says, and publishes its result.
WELL = "say('[cpu-1] launch 1/1: starting')\nprint('/results/x.json')\npublish()\nframes()\n"
# One that runs until a signal comes, and keeps what it has then, as bench does.
UNTIL_STOPPED = "def end(*_):\n    publish(); frames(); sys.exit(130)\nsignal.signal(signal.SIGTERM, end)\nsay('measuring')\nwait()\n"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('measuring')\nwait()\n"
# One that is killed after a launch: the journal of its attempt holds the launch.
KILLED = (
    "head = {key: value for key, value in result.items() if key not in ('launches', 'sha256', 'outputs')}\n"
    "journal = unfinished.Journal(path, {**head, 'rows': False})\n"
    "journal.add({'attempt': {**result['attempt'], 'status': 'interrupted'}, 'launch': result['launches'][0]})\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def logs(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]


class Door:
    """Runs `run` on one request in a folder of its own."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder, self._capfd = folder, capfd
        self.result = samples.result()
        self.program = Program(folder / "programs", self.result)
        self.program.play(WELL)
        patch.chdir(folder)
        for name in set(os.environ) - set(self.program.variables):
            patch.delenv(name)
        patch.setenv("PATH", self.program.variables["PATH"])
        self.request = self.write("cpu-1")

    def write(self, case: str) -> Path:
        made = cases.make(catalogs.read(), lockfile.read(), case, draft=not case.startswith("cpu"))
        return cases.write(made, self.folder / "requests", "")

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        given = arguments or (self.request,)
        return self.program.start("run", *given, "--image", f"cpu={IMAGE}", cwd=self.folder)

    def __call__(self, *arguments: str | Path, verb: str = "run") -> Ran:
        """Run a verb in this process, which is quicker."""
        images = ("--image", f"cpu={IMAGE}") if verb == "run" else ()
        code = main([verb, *map(str, arguments or (self.request,)), *images])
        return Ran(code, *self._capfd.readouterr())

    def collected(self, log: Path | str) -> list[str]:
        ran = self(self.folder / log, verb="collect")
        assert ran.code == 0, ran.err
        return [Path(line).stem for line in ran.out.splitlines()]


@pytest.fixture
def door(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Door:
    return Door(tmp_path, capfd, monkeypatch)


def until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_request_goes_into_its_image_and_comes_back_as_from_a_job(door: Door) -> None:
    ran = door()
    assert ran.code == 0, ran.err
    (log,) = ran.logs
    assert "[cpu-1] launch 1/1: starting" in ran.err and "@frame" not in ran.err and "/results/x.json" not in ran.err
    assert door.collected(log) == [door.result["attempt"]["id"]]
    assert not door.program.containers()
    (words,) = door.program.calls("run")
    assert words[0] == "podman" and IMAGE in words
    config = next(door.folder.joinpath(log).parent.glob("config/*.json"))
    measured = read_request(str(config))
    assert measured.stack.image == IMAGE and config.name == "cpu-1.json"
    assert f"bloomz-bench.dev/request-id={measured.id}" in words


def test_the_folder_of_a_run_is_its_owner_s_and_the_container_can_write_in_it(door: Door) -> None:
    (log,) = door().logs
    folder = (door.folder / log).parent
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir(), *folder.glob("results/*"))
    }
    request_id = read_request(str(next(folder.glob("config/*.json")))).id
    assert modes[folder.name] == 0o700
    assert modes["results"] == modes[request_id] == 0o777 and modes["termination-message.json"] == 0o666


def test_several_requests_run_one_after_the_other_and_one_loses_no_other(door: Door) -> None:
    door.program.play("publish(); frames()\nif name == 'cpu-1.json': sys.exit(1)\n")
    ran = door(door.request, door.write("cpu-2"))
    assert ran.code == JobFailed.exit_code
    assert len(ran.logs) == 2 and len(door.program.calls("run")) == 2
    assert "[cpu-1] The container of cpu-1 ended with exit code 1" in ran.err


def test_requests_are_taken_from_what_request_printed(door: Door) -> None:
    listed = door.folder / "listed"
    listed.write_text(f"{door.request}\n")
    assert door("--from", listed).code == 0
    assert door("--dry-run", "--from", listed).code == 0
    assert "No REQUEST is named" in door("--dry-run").err


@pytest.mark.parametrize("error", [DoesNotFit, LaunchFailed], ids=lambda kind: kind.__name__)
def test_the_exit_code_and_the_sentence_of_the_bench_inside_come_out(door: Door, error: type[Exception]) -> None:
    door.program.play(f"leave({error.__name__}('bloomz needs 352 GB.'))\n")
    ran = door()
    assert ran.code == error.exit_code  # type: ignore[attr-defined]
    assert ran.out == ""
    assert "[cpu-1] In the container of cpu-1: bloomz needs 352 GB. Nothing had been measured; the log is" in ran.err


@pytest.mark.parametrize(
    "code, sentence",
    [
        (125, "podman did not start cpu-1: it could not make the container: Error: no space left on device"),
        (127, "podman did not start cpu-1: the image lacks the command"),
        (3, "The container of cpu-1 ended with exit code 3: Error: no space left on device"),
    ],
)
def test_a_container_that_does_not_start_is_told(door: Door, code: int, sentence: str) -> None:
    door.program.play(f"say('Error: no space left on device'); sys.exit({code})\n")
    ran = door()
    assert ran.code == JobFailed.exit_code
    assert sentence in ran.err


def test_a_container_that_ends_well_without_a_result_is_told(door: Door) -> None:
    door.program.play("say('done')\n")
    ran = door()
    assert ran.code == ResultLost.exit_code and "left no result" in ran.err


def test_a_result_that_never_reached_the_log_is_taken_from_the_folder(door: Door) -> None:
    door.program.play("publish()\nprint('half a line', end='')\n")
    ran = door()
    assert ran.code == 0, ran.err
    assert door.collected(ran.logs[0]) == [door.result["attempt"]["id"]]


def test_what_a_killed_container_had_measured_is_kept(door: Door) -> None:
    door.program.play(KILLED)
    ran = door()
    assert ran.code == JobFailed.exit_code
    assert "was killed (SIGKILL)" in ran.err and "What was measured is in" in ran.err
    (attempt,) = door.collected(ran.logs[0])
    kept = strictjson.read(str(next((door.folder / "results").rglob(f"{attempt}.json"))))
    assert kept["attempt"]["status"] == "interrupted" and len(kept["launches"]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_lets_the_container_end_and_keeps_what_was_measured(door: Door, number: signal.Signals) -> None:
    door.program.play(UNTIL_STOPPED)
    running = door.start(door.request, door.write("cpu-2"))
    assert running.stderr is not None
    until(lambda: "measuring" in running.stderr.readline())
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=HANG_S)
    assert running.returncode == Interrupted.exit_code
    assert "stopped: the container of cpu-1 was ended. What was measured is in" in err
    assert door.collected(out.strip()) == [door.result["attempt"]["id"]]
    assert [words[1] for words in door.program.calls("stop")] == ["stop"] and not door.program.calls("kill")
    assert len(door.program.calls("run")) == 1 and not door.program.containers()


def test_a_second_signal_kills_the_container(door: Door) -> None:
    door.program.play(STUBBORN)
    running = door.start()
    assert running.stderr is not None
    until(lambda: "measuring" in running.stderr.readline())
    os.kill(running.pid, signal.SIGINT)
    until(lambda: door.program.calls("stop"))
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=HANG_S)
    assert running.returncode == Interrupted.exit_code and "Nothing had been measured" in err
    assert door.program.calls("kill") and not door.program.containers()


def test_a_signal_that_comes_before_there_is_a_container_ends_its_client(door: Door) -> None:
    (door.program.folder / "slow").touch()
    running = door.start(door.request)
    until(lambda: (door.program.folder / "calls").exists() and door.program.calls("run"))
    os.kill(running.pid, signal.SIGTERM)
    _, err = running.communicate(timeout=HANG_S)
    assert running.returncode == Interrupted.exit_code and "Nothing had been measured" in err
    assert not door.program.containers()


def test_the_time_limit_stops_the_container(door: Door) -> None:
    door.program.play(UNTIL_STOPPED)
    ran = door(door.request, "--deadline-s", "1")
    assert ran.code == JobFailed.exit_code
    assert "cpu-1 took longer than its 1 s and was stopped. What was measured is in" in ran.err
    assert ran.logs and not door.program.containers()


def test_a_run_that_is_killed_leaves_no_container(door: Door) -> None:
    """The kernel sends the client SIGTERM, and the client hands the signal on: the result lies in the folder of the run."""
    door.program.play(UNTIL_STOPPED)
    running = door.start()
    assert running.stderr is not None
    until(lambda: "measuring" in running.stderr.readline())
    running.kill()
    running.communicate(timeout=HANG_S)
    until(lambda: not door.program.containers())
    assert list(door.folder.glob("build/runs/containers/*/results/*/*.json"))


def test_the_command_is_shown_and_nothing_started(door: Door) -> None:
    ran = door(door.request, "--dry-run")
    assert ran.code == 0 and ran.out.startswith("podman run --rm")
    assert not door.program.calls("run") and not (door.folder / "build").exists()


def test_the_program_that_is_named_runs_it(door: Door) -> None:
    ran = door(door.request, "--with", "docker", "--variable", "HCCL_SOCKET_IFNAME=lo", "--json")
    assert ran.code == 0, ran.err
    (words,) = door.program.calls("run")
    assert words[0] == "docker" and "HCCL_SOCKET_IFNAME=lo" in words
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["event"] for event in told] == ["container", "log"]
    assert told[1]["attempts"] == [door.result["attempt"]["id"]]


def test_an_image_that_is_not_here_is_fetched(door: Door) -> None:
    (door.program.folder / "has-image").unlink()
    (door.program.folder / "pull").write_text("0")
    assert door().code == 0
    assert door.program.calls("pull") == [["podman", "pull", IMAGE]]
    (door.program.folder / "pull").write_text("1")
    ran = door()
    assert ran.code == Unreachable.exit_code and "could not fetch" in ran.err and ran.out == ""


def test_a_case_whose_devices_no_program_can_hand_out_is_refused_before_any_container_starts(door: Door) -> None:
    request = door.write("a100-1-bloomz-7b1")
    image = f"cuda-2023=registry.example/x@sha256:{'34' * 32}"
    running = door.program.start(
        "run", door.request, request, "--image", image, "--image", f"cpu={IMAGE}", cwd=door.folder
    )
    _, err = running.communicate(timeout=HANG_S)
    assert running.returncode == Unsupported.exit_code
    assert "podman finds no CDI specification of nvidia.com/gpu" in err and "docker has no hook for NVIDIA GPUs" in err
    assert not door.program.calls("run")


@pytest.mark.parametrize(
    "arguments, error, sentence",
    [
        (["gone.json"], InputError, "gone.json"),
        (["REQUEST", "--image", "other=x"], UsageError, "--image must be STACK=REFERENCE@sha256:64 hex digits"),
        (["REQUEST", "--image", f"other={IMAGE}"], UsageError, "--image: there is no stack 'other'"),
        (["REQUEST", "--variable", "HOME=/root"], UsageError, "--variable HOME: the kit sets it itself"),
        (["REQUEST", "--deadline-s", "soon"], UsageError, "'soon' is no number of seconds"),
        (["REQUEST", "--runs", "a,b"], UsageError, "holds a comma"),
        (["REQUEST", "--runs", "a\nb"], UsageError, "holds a line break"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_what_cannot_be_is_refused_before_a_container_starts(
    door: Door, arguments: list[str], error: type[Exception], sentence: str
) -> None:
    ran = door(*(str(door.request) if word == "REQUEST" else word for word in arguments))
    assert ran.code == error.exit_code, ran.err  # type: ignore[attr-defined]
    assert sentence in ran.err
    assert not (door.program.folder / "calls").exists() or not door.program.calls("run")
