"""What makes the environment of a stack for ``make bench``: which Python, which steps in which order, and when nothing is done.

In the place of Python 3.12 stands a program that notes what it is given. That the locked files install, and that the inventory finds
nothing amiss in what they give, was seen with the real index; see docs/what-has-run.md.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import KitError, Unreachable, Unsupported, UsageError
from runner.host.readers import lockfile
from runner.host.stacks import agreement
from tests.support import samples
from tools import by_stack, stack_environment

LOCK = lockfile.read()
STACK = LOCK.stacks["cuda"]

RECORDER = """
import json, os, sys
me, *given = sys.argv[1:]
if given[:1] == ["-c"]:
    print({answer!r})
    sys.exit(0)
files = {{word: open(word).read() for word in given if word.endswith(("wheels.txt", "sources.txt"))}}
with open({calls!r}, "a") as file:
    file.write(json.dumps([given, files, os.environ.get("DS_BUILD_OPS")]) + chr(10))
if given[:2] == ["-m", "venv"]:
    os.makedirs(given[-1] + "/bin", exist_ok=True)
    if not os.path.exists(given[-1] + "/bin/python"):
        os.link(me, given[-1] + "/bin/python")
sys.exit({fails!r} if {failing!r} in given else 0)
"""


class Python:
    """A program in the place of a Python: its answer to what it is, and the word with which it fails."""

    def __init__(self, folder: Path, answer: str = "3.12 True", failing: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.calls = folder / "python3.12", folder / "calls"
        script = folder / "recorder.py"
        script.write_text(RECORDER.format(answer=answer, calls=str(self.calls), fails=1, failing=failing))
        command = shlex.join([sys.executable, "-IS", str(script)])
        self.path.write_text(f'#!/bin/sh\nexec {command} "$0" "$@"\n')
        self.path.chmod(0o755)

    def called(self) -> list[list[str]]:
        return [json.loads(line)[0] for line in self.calls.read_text().splitlines()] if self.calls.exists() else []

    def files(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        for line in self.calls.read_text().splitlines():
            texts.update({os.path.basename(path): text for path, text in json.loads(line)[1].items()})
        return texts


@pytest.fixture
def python(tmp_path: Path) -> Python:
    return Python(tmp_path / "a 'b' $c")


def environment(python: Python) -> dict[str, str]:
    return {"PYTHON312": str(python.path), "CC": "cc"}


def made(tmp_path: Path, python: Python, lock: lockfile.Lock = LOCK) -> Path:
    folder = tmp_path / "stacks" / "cuda"
    stack_environment.make(lock, "cuda", folder, environment(python))
    return folder


def test_wheels_come_before_what_is_built_beside_torch(tmp_path: Path, python: Python) -> None:
    folder = made(tmp_path, python)
    venv, tools, torch, wheels, sources = python.called()
    assert venv == ["-m", "venv", "--clear", str(folder)]
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--require-hashes", "--no-deps"]
    assert {tuple(call[:6]) for call in (tools, torch, wheels, sources)} == {tuple(pip)}
    assert tools[-1].endswith(LOCK.requirements["build"].file)
    assert torch[6:9] == ["--only-binary", ":all:", "-r"] and torch[-1].endswith("torch-cuda.txt")
    assert wheels[6:8] == ["--only-binary", ":all:"]
    assert sources[6:10] == ["--no-cache-dir", "--no-build-isolation", "--no-binary", ":all:"]
    texts = python.files()
    assert texts["sources.txt"].startswith("deepspeed==") and texts["sources.txt"].count("==") == 1
    whole = agreement.locked_text(STACK.requirements)
    assert texts["wheels.txt"].count("==") + 1 == whole.count("==")
    assert "--hash=sha256:" in texts["sources.txt"]
    assert json.loads(python.calls.read_text().splitlines()[-1])[2] == "0"


def test_an_environment_of_the_same_files_is_left_as_it_is(tmp_path: Path, python: Python) -> None:
    made(tmp_path, python)
    python.calls.unlink()
    made(tmp_path, python)
    assert python.called() == []


def test_an_environment_of_other_files_is_made_anew(tmp_path: Path, python: Python) -> None:
    folder = made(tmp_path, python)
    python.calls.unlink()
    (folder / stack_environment.STAMP).write_text("0" * 64)
    made(tmp_path, python)
    assert python.called()[0] == ["-m", "venv", "--clear", str(folder)]


def test_an_environment_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    broken = Python(tmp_path / "broken", failing="--no-build-isolation")
    with pytest.raises(Unreachable, match="pip failed with status 1, and says above why. Run the same command again"):
        made(tmp_path, broken)
    folder = tmp_path / "stacks" / "cuda"
    assert not (folder / stack_environment.STAMP).exists()
    whole = Python(tmp_path / "whole")
    (folder / "bin" / "python").unlink()
    made(tmp_path, whole)
    assert len(whole.called()) == 5


def test_a_python_without_venv_is_named(tmp_path: Path) -> None:
    broken = Python(tmp_path / "broken", failing="venv")
    with pytest.raises(Unsupported, match="cannot make an environment, and says above why"):
        made(tmp_path, broken)
    assert len(broken.called()) == 1


def test_an_interruption_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stack_environment, "make", interrupted)
    assert stack_environment.main(["cuda", str(tmp_path)]) == 130
    assert capsys.readouterr().err.startswith("make: stopped.")


def test_a_locked_file_that_was_changed_installs_nothing(tmp_path: Path, python: Python) -> None:
    changed = replace(STACK, requirements=replace(STACK.requirements, sha256="1" * 64))
    with pytest.raises(KitError, match="requirements-cuda.txt"):
        made(tmp_path, python, replace(LOCK, stacks={**LOCK.stacks, "cuda": changed}))
    assert python.called() == []


@pytest.mark.parametrize(
    "stack, error, told",
    [
        ("cuda-2023", Unsupported, "lives in an image alone"),
        ("gaudi-1.10", Unsupported, "lives in an image alone"),
        ("none", UsageError, "versions.lock has no stack none"),
    ],
)
def test_a_stack_that_no_host_can_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stack: str, error: type[KitError], told: str
) -> None:
    assert stack_environment.main([stack, str(tmp_path / "x")]) == error.exit_code
    said = capsys.readouterr().err
    assert said.startswith("make: ") and told in said
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "answer, told",
    [
        (
            "3.11 True",
            "needs Python 3.12, which was not found. Install it (pyenv install 3.12), or name it: make bench PYTHON312=",
        ),
        ("", "needs Python 3.12, which was not found."),
        ("3.12 False", "has no Python.h, which torch.compile needs. Install its headers (python3.12-dev)"),
    ],
    ids=["other", "none", "headers"],
)
def test_a_python_that_does_not_serve_is_said_before_anything_is_installed(
    tmp_path: Path, answer: str, told: str
) -> None:
    program = Python(tmp_path / "bin", answer=answer)
    with pytest.raises(Unsupported) as caught:
        made(tmp_path, program)
    assert told in str(caught.value)
    assert not (tmp_path / "stacks").exists()


def test_a_host_without_a_c_compiler_is_said_before_anything_is_installed(
    tmp_path: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unsupported, match="neither gcc nor clang is on the path"):
        stack_environment.make(LOCK, "cuda", tmp_path / "x", {"PYTHON312": str(python.path)})
    assert python.called() == []


def test_requests_are_sorted_by_their_stacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for number, name in enumerate(("cpu", "other", "cpu")):
        asked = samples.request(case=f"c{number}")
        path = tmp_path / f"a 'b' {number}.json"
        path.write_text(json.dumps(replace(asked, stack=replace(asked.stack, name=name)).to_json()))
        paths.append(str(path))
    listed = tmp_path / "requests"
    listed.write_text("".join(f"{path}\n" for path in paths))
    assert by_stack.main(str(listed)) == 0
    assert capsys.readouterr().out == "cpu\nother\n"
    assert (tmp_path / "of-cpu").read_text() == f"{paths[0]}\n{paths[2]}\n"
    assert (tmp_path / "of-other").read_text() == f"{paths[1]}\n"


def test_no_request_is_no_stack_and_a_damaged_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "requests"
    listed.touch()
    assert by_stack.main(str(listed)) == 0
    assert capsys.readouterr() == ("", "")
    listed.write_text(f"{tmp_path}/gone.json\n")
    assert by_stack.main(str(listed)) == 3
    assert "gone.json cannot be read" in capsys.readouterr().err
