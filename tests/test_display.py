"""Bars of progress on a terminal, as a person sees them: on a pty, read as a screen shows it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import __main__ as runner
from runner import display
from runner.bench.processes import messages
from runner.contract import progress, secrets, streams, strictjson
from runner.contract.progress import Part, PlainTask, Step
from runner.contract.request import Model, Weights
from runner.contract.streams import Output
from runner.display import LiveDisplay, LiveTask
from tests.support import hub, planted, samples, terminal
from tests.support.patience import HANG_S
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[1]
ESCAPE = "\x1b[2J\x1b]0;owned\x07\r\u202e"
# So long that no test sees a drawing that it did not ask for.
NEVER_S = 3600.0


@pytest.fixture
def seen() -> Iterator[Terminal]:
    with terminal.opened(80) as opened:
        yield opened


def stream(opened: Terminal, encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(open(opened.program, "wb", closefd=False), encoding=encoding)


def output(opened: Terminal, encoding: str = "utf-8") -> Output:
    return Output(stream(opened, encoding), "standard error")


def live(errors: Output) -> LiveDisplay:
    return LiveDisplay(errors, NEVER_S)


def nothing(text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (40, "cpu-1: launch 1/5: …  35%       0:00:00"),
        (60, "cpu-1: launch 1/5: loadin…  123.0 of 352.0 GB       0:00:00"),
        (80, "cpu-1: launch 1/5: loading weights  ━━━         123.0 of 352.0 GB       0:00:00"),
        (
            200,
            f"cpu-1: launch 1/5: loading weights{' ' * 107}━━━━━━━━╸                  123.0 of 352.0 GB       0:00:00",
        ),
    ],
)
def test_a_bar_fits_terminals_of_any_width(columns: int, shown: str) -> None:
    with terminal.opened(columns) as opened:
        drawn = live(output(opened))
        task = Part(drawn.begin("cpu-1", nothing), "launch 1/5")
        task.update(Step("loading weights", 123_000_000_000, 352_000_000_000, "bytes"))
        assert opened.screen() == [shown]
        assert len(shown) == columns - 1
        drawn.close()
        assert opened.screen() == []


def test_bars_of_an_ascii_terminal_are_ascii(seen: Terminal) -> None:
    drawn = live(output(seen, "ascii"))
    drawn.begin("modèle", nothing).update(Step("completing rows", 2, 4, "rows"))
    (line,) = seen.screen()
    drawn.close()
    assert line.startswith(r"mod\xe8le: completing rows") and " ----- " in line and line.isascii()


def test_the_time_that_is_left_is_known_from_the_second_count_on(seen: Terminal) -> None:
    now_s = iter(range(1000, 2000, 10))
    drawn = live(output(seen))
    drawn._progress.get_time = lambda: float(next(now_s))
    task = drawn.begin("a", nothing)
    task.update(Step("completing rows", 1, 100, "rows"))
    assert "left" not in seen.screen()[0]
    task.update(Step("completing rows", 2, 100, "rows"))
    task.update(Step("completing rows", 3, 100, "rows"))
    assert " left" in seen.screen()[0]
    drawn.close()


def test_other_text_of_both_streams_stands_above_the_bars(seen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream(seen))
    monkeypatch.setattr(sys, "stderr", stream(seen))
    with streams.guarded() as (out, errors):
        drawn = live(errors)
        first, second = drawn.begin("a", errors.write), drawn.begin("b", errors.write)
        first.update(Step("one"))
        second.update(Step("two"))
        print("a path")
        first.line("a line\n")
        assert seen.screen()[:2] == ["a path", "a line"]
        assert [line.split()[:2] for line in seen.screen()[2:]] == [["a:", "one"], ["b:", "two"]]
        first.end()
        out.write("begun")
        out.flush()
        assert seen.screen() == ["a path", "a line", "begun"]
        out.write(" and ended\n")
        assert [line.split()[0] for line in seen.screen()] == ["a", "a", "begun", "b:"]
        second.end()
        assert seen.screen() == ["a path", "a line", "begun and ended"]


def test_sentences_of_uncounted_steps_stay_and_of_those_of_a_counted_step_the_last(seen: Terminal) -> None:
    errors = output(seen)
    drawn = live(errors)
    task = drawn.begin("a", lambda text: print(text, file=errors))
    task.update(Step("loading", sentence="loading a model"))
    for done in (1, 2):
        task.update(Step("loading weights", done, 2, "bytes", f"loaded {done} of 2"))
    drawn.close()
    assert seen.screen() == ["loading a model", "loaded 2 of 2"]


def test_more_tasks_than_lines_are_counted() -> None:
    with terminal.opened(80, lines=6) as opened:
        drawn = live(output(opened))
        for number in range(9):
            drawn.begin(f"run-{number}", nothing).update(Step("waits"))
        assert [line.split()[0] for line in opened.screen()] == ["run-0:", "run-1:", "run-2:", "and"]
        assert opened.screen()[-1] == "and 6 more"
        drawn.close()
        assert opened.screen() == []


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_neither_a_secret_nor_a_control_character_of_foreign_text_reaches_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_remembered", {planted.OTHER})
    foreign = f"{ESCAPE}{planted.TOKEN} token={planted.API_KEY} {planted.OTHER} [bold red]x[/] 100 %"
    with terminal.opened(columns) as opened:
        errors = output(opened)
        drawn = live(errors)
        task = drawn.begin(foreign, lambda text: print(text, file=errors))
        task.update(Step(foreign, 1, 3, "calls"))
        task.line(foreign)
        # also one that the end of the line cuts, in which a token no longer looks like a token
        for blanks in range(columns):
            task.update(Step(" " * blanks + planted.TOKEN, sentence=f"{ESCAPE}{planted.TOKEN}"))
        # a display that hands over anything is held to the same
        errors.show_live([foreign])
        drawn.close()
        written = opened.read()
        # raises for any sequence but those that erase lines
        opened.screen()
    assert planted.found_in(written) == []
    assert b"PlAnTeD" not in written and b"owned" in written
    assert not [piece for piece in (b"\x1b[2J", b"\x1b]", b"\x07", "\u202e".encode()) if piece in written]


def test_a_terminal_is_lent_to_another_program(seen: Terminal) -> None:
    errors = output(seen)
    drawn = live(errors)
    drawn.begin("a", nothing).update(Step("waits"))
    with errors.lent():
        assert seen.screen() == []
        drawn.draw()
        os.write(seen.program, b"Password: \n")
        assert seen.screen() == ["Password:"]
    assert [line.split()[0] for line in seen.screen()] == ["Password:", "a:"]
    drawn.close()


def test_a_thread_draws_only_while_a_step_is_shown(seen: Terminal) -> None:
    """A launch forks with code of Python's own between fork and exec."""
    drawn = LiveDisplay(output(seen), 0.01)
    task = drawn.begin("a", nothing)
    assert drawn._ticker is None
    task.update(Step("waits"))
    written = len(seen.read())
    seen.read_until(lambda text: len(text) > written)
    ticker = drawn._ticker
    task.end()
    assert ticker is not None and not ticker._thread.is_alive() and drawn._ticker is None
    drawn.close()


def test_a_measurement_is_disturbed_rarely(seen: Terminal) -> None:
    drawn = LiveDisplay(output(seen), 0.5)
    assert drawn.pause_s() == 0.5
    task = drawn.begin("a", nothing)
    task.update(Step("timed calls: 5", quiet=True))
    assert drawn.pause_s() == display.QUIET_DRAW_S
    task.end()
    assert drawn.pause_s() == 0.5


@pytest.mark.parametrize(
    ("environment", "arguments", "kind"),
    [
        ({"TERM": "xterm"}, ["bench"], LiveTask),
        ({"TERM": "xterm", "NO_COLOR": "1"}, ["bench"], PlainTask),
        ({"TERM": "xterm", "CI": "true"}, ["bench"], PlainTask),
        ({"TERM": "dumb"}, ["bench"], PlainTask),
        ({}, ["bench"], PlainTask),
        ({"TERM": "xterm"}, ["lock", "--json"], PlainTask),
    ],
)
def test_bars_are_for_terminals_that_want_them(
    environment: dict[str, str], arguments: list[str], kind: type, seen: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with runner._display(output(seen), arguments):
        assert type(progress.begin("a", nothing)) is kind


def test_a_file_gets_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    with (tmp_path / "log").open("w") as file, runner._display(Output(file, "standard error"), ["bench"]):
        assert type(progress.begin("a", nothing)) is PlainTask


INTERRUPTED = """
import sys, types
from runner import __main__ as runner
from runner.contract import progress
from runner.contract.progress import Step

def main(arguments):
    task = progress.begin("cpu-1", lambda text: print(text, file=sys.stderr))
    task.update(Step("timed calls: 5"))
    task.line("ready")
    sys.stdin.read()

verb = sys.modules["runner.bench.interrupted"] = types.ModuleType("runner.bench.interrupted")
verb.main = main
runner.VERBS["frames"] = runner.Verb("runner.bench.interrupted", "", "")
sys.exit(runner.main(["frames"]))
"""


def without_ci() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}


def test_ctrl_c_leaves_the_terminal_clean(seen: Terminal) -> None:
    process = terminal.start([sys.executable, "-c", INTERRUPTED], seen, {**without_ci(), "PYTHONPATH": str(ROOT)})
    seen.read_until(lambda text: b"ready\r\ncpu-1: timed calls" in text)
    seen.type(b"\x03")
    assert process.wait(HANG_S) == 130
    assert seen.screen() == ["ready", "runner: stopped."]
    assert b"\x1b[?" not in seen.read()


@pytest.mark.torch  # the hub's client comes with the stacks
def test_prefetch_draws_what_it_fetches(seen: Terminal, tmp_path: Path) -> None:
    name, revision = "bigscience/bloomz", "7" * 40
    files = {"model_00001-of-00001.safetensors": b"1" * 3_000_000, "config.json": b"{}"}
    request = samples.request(
        model=Model("bloomz", samples.TINY, name, revision, {}), weights=Weights("hub", None, None)
    )
    path = tmp_path / "request.json"
    path.write_text(strictjson.pretty(request.to_json()))
    with hub.serve({("model", name): (revision, files)}) as (endpoint, _):
        variables = {"HF_ENDPOINT": endpoint, "HF_TOKEN": planted.TOKEN}
        command = [sys.executable, "-m", "runner", "prefetch", str(path), "--models", str(tmp_path / planted.TOKEN)]
        process = terminal.start(command, seen, {**without_ci(), **variables})
        assert process.wait(HANG_S) == 0, seen.read()
    assert b"bloomz: fetching model_00001" in seen.read() and b"of 0.0 GB" in seen.read()
    lines = "".join(seen.screen())
    assert "2/2 model_00001-of-00001.safetensors is whole" in lines and "bloomz: fetching" not in lines
    assert planted.found_in(seen.read()) == []


def test_a_step_of_a_rank_becomes_a_bar(seen: Terminal) -> None:
    drawn = live(output(seen))
    step = messages.step_of(messages.step_line(Step("completing rows", 3, 8, "rows", "completed 3 of 8 rows")))
    assert step is not None
    drawn.begin("cpu-1", nothing).update(step)
    assert "3 of 8 rows" in seen.screen()[0]
    drawn.close()
