"""The tools of workflows end with a sentence and the code of the error, whatever keeps them from their work."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from runner.contract.errors import InputError, Interrupted, KitError, UsageError
from tests.support.forge import Forge
from tools import endings, image_evidence
from tools.forge import __main__ as forge_line
from tools.workflow import __main__ as workflow_line
from tools.workflow import steps

SECRET = "ghp_aTokenThatNobodyMaySee0000000000"


@pytest.mark.parametrize(
    ("problem", "told", "code"),
    [
        (InputError(f"{SECRET} cannot be read. Check it."), "kit: *** cannot be read. Check it.\n", InputError.exit_code),
        (KeyboardInterrupt(), "kit: stopped. Run the same command again.\n", Interrupted.exit_code),
        (PermissionError(13, "Permission denied", "/a/b"), "kit: /a/b: Permission denied. Make room or name another place.\n", 3),
    ],
    ids=["kit", "interrupt", "place"],
)  # fmt: skip
def test_an_error_becomes_one_line_and_its_code(
    problem: BaseException, told: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise problem

    assert endings.status_of("kit", work) == code
    assert capsys.readouterr().err == told


def test_a_defect_keeps_its_traceback() -> None:
    def work() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        endings.status_of("kit", work)


@pytest.mark.parametrize(
    "arguments",
    [
        ["step", "--name", "a", "--notes", "FILE/notes", "--", "true"],
        ["report", "--title", "x", "--notes", "none", "--out", "FILE/report"],
        ["take", "--title", "x", "--report", "none", "--out", "FILE/report"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_a_place_that_takes_no_file_is_told_in_a_sentence(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    given = [word.replace("FILE", str(tmp_path / "file")).replace("none", str(tmp_path / "none")) for word in arguments]
    assert workflow_line.main(given) == InputError.exit_code
    assert capsys.readouterr().err.startswith(f"workflow: {tmp_path / 'file'}/")


def test_a_wrong_output_changes_nothing_on_the_forge(tmp_path: Path) -> None:
    """Said before the forge is asked: a job that fails behind a change would be run again for nothing."""
    (tmp_path / "body.md").write_text("text\n")
    with Forge() as forge:
        forge.somebody_comments(1, "hello")
        for name, more in (("a b", {"GITHUB_OUTPUT": str(tmp_path / "output")}), ("number", {})):
            arguments = [
                "--output",
                name,
                "issue",
                "--marker",
                "x",
                "--title",
                "t",
                "--body-file",
                str(tmp_path / "body.md"),
            ]
            with pytest.raises(UsageError):
                forge_line.run(arguments, {**forge.environment(), **more})
    assert forge.calls == []


def test_a_log_that_cannot_be_kept_is_no_program_that_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "a.log").mkdir()
    with pytest.raises(OSError, match="a.log") as caught:
        steps.run(tmp_path, "a", [sys.executable, "-c", ""])
    assert not isinstance(caught.value, KitError)


def test_help_of_every_tool_names_its_codes() -> None:
    for tool in ("tools.forge", "tools.workflow", "tools.image_evidence"):
        done = subprocess.run([sys.executable, "-m", tool, "--help"], capture_output=True, text=True, check=True)
        assert "Exit codes: 2 command line" in done.stdout and "130 stopped" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("tool", [forge_line, workflow_line, image_evidence], ids=lambda tool: str(tool.__name__))
def test_every_flag_of_every_verb_is_explained(tool: ModuleType) -> None:
    (verbs,) = [action for action in tool.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    flags = [(name, action) for name, verb in verbs.choices.items() for action in verb._actions]
    assert len(flags) >= 5
    assert [f"{name} {action.dest}" for name, action in flags if not action.help] == []


def test_a_pipeline_without_a_number_asks_nobody() -> None:
    with Forge("gitlab") as forge, pytest.raises(UsageError, match="--pipeline"):
        arguments = ["publish", "--row", "cpu/x", "--base", "1" * 39 + "2", "--pipeline", "0", "--into", "main"]
        workflow_line.run(arguments, forge.environment())
    assert forge.calls == []
