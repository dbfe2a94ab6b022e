"""However a verb ends, it ends with one sentence and an exit code of its own, never with a traceback."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from runner.__main__ import VERBS, main
from runner.contract.errors import KitError, UsageError

ROOT = Path(__file__).parents[1]
TOKEN = "hf_" + "aBcD" * 8


@pytest.mark.parametrize("verb", VERBS)
def test_a_defect_in_any_verb_is_one_sentence_with_its_traceback_in_a_file(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(arguments: object) -> NoReturn:
        raise ZeroDivisionError(f"no one expects \x1b[31m this, nor {TOKEN}")

    monkeypatch.setattr(importlib.import_module(VERBS[verb][0]), "main", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main([verb]) == KitError.exit_code == 70
    output, errors = capsys.readouterr()
    (kept,) = tmp_path.iterdir()
    assert output == ""
    assert errors == (
        "runner: this is a defect of the kit: ZeroDivisionError: no one expects \\x1b[31m this, nor ***."
        f" The traceback is kept in {kept}; send it with a report.\n"
    )
    text = kept.read_text()
    assert "in broken" in text and "ZeroDivisionError" in text and TOKEN not in text


def test_a_defect_on_a_full_disk_prints_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.import_module("runner.host.verbs.claims"), "main", lambda arguments: 1 // 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert main(["claims"]) == KitError.exit_code
    errors = capsys.readouterr().err
    assert "Traceback" in errors and "no file could be written (No such file or directory)" in errors


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_names_a_flag_that_it_does_not_have(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    assert f"usage: python -m runner {verb}" in capsys.readouterr().out
    assert main([verb, "--no-such-flag"]) == UsageError.exit_code
    errors = capsys.readouterr().err
    assert f"python -m runner {verb}: error:" in errors and "Traceback" not in errors


@pytest.mark.parametrize("verb", VERBS)
def test_two_hyphens_are_no_value_of_a_flag(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--out=--"]) == UsageError.exit_code
    assert capsys.readouterr().err == "runner: --out=--: -- is no value. Name one after the =.\n"


def test_a_missing_package_is_named_with_the_python_that_lacks_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(arguments: object) -> NoReturn:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr(importlib.import_module("runner.host.verbs.claims"), "main", without)
    assert main(["claims"]) == 10
    assert capsys.readouterr().err.startswith(f"runner: the package rich is not installed for {sys.executable}. Run")


def test_a_file_that_stands_before_a_library_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "random.py").touch()
    command = [sys.executable, "-m", "runner", "claims"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (10, False)
    assert str(tmp_path / "random.py") in done.stderr

    def main_of(path: str) -> Callable[[object], NoReturn]:
        def main(arguments: object) -> NoReturn:
            raise ImportError("cannot import name 'x'", name="yaml", path=path)

        return main

    monkeypatch.setattr(importlib.import_module("runner.host.verbs.claims"), "main", main_of(str(tmp_path / "yaml.py")))
    assert main(["claims"]) == 10
    assert f"runner: Python takes yaml from {tmp_path}/yaml.py, which" in capsys.readouterr().err
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(importlib.import_module("runner.host.verbs.claims"), "main", main_of(str(ROOT / "runner/x.py")))
    assert main(["claims"]) == KitError.exit_code


@pytest.mark.parametrize("streams", ["", ">&- 2>&- <&-", "> /dev/full 2> /dev/full", ">&- 2>/dev/full"])
@pytest.mark.parametrize("verb", ["claims", "request --list", "compare nothing-here", "no-such-verb"])
def test_no_state_of_the_standard_streams_makes_a_traceback(verb: str, streams: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "latin-1"}
    command = f"{sys.executable} -m runner {verb} {streams}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment)
    assert b"Traceback" not in done.stdout + done.stderr
    assert done.returncode in (0, 2, 3, 15)
    assert not list(tmp_path.iterdir())
