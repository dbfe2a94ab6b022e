"""The installed command ``bloomz-bench``, its completion, and errors as JSON."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import bloomz_bench
from runner import __version__
from runner.__main__ import VERBS, main
from runner.completion import whole_command
from runner.contract import arguments
from runner.contract.errors import InputError, UsageError
from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[1]


def run(
    *command: object, cwd: Path | None = None, env: dict[str, str] | None = None, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
        check=False,
        cwd=cwd,
        env=env,
        input=input,
    )


def _not_of_the_kit(folder: str, names: list[str]) -> list[str]:
    """Return the names at the root of the repository that a build of the package does not read."""
    if Path(folder) != ROOT:
        return [name for name in names if name == "__pycache__"]
    return [name for name in names if name.startswith(".") or name in ("build", "results", "tests")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a wheel of the kit into an environment that sees this one's packages; return the environment's bin folder."""
    folder = tmp_path_factory.mktemp("installed")
    copy = folder / "source"
    shutil.copytree(
        ROOT,
        copy,
        ignore=_not_of_the_kit,
    )
    wheel = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
    ]
    done = run(*wheel, copy)
    assert done.returncode == 0, done.stderr
    assert run(sys.executable, "-m", "venv", "--without-pip", folder / "venv").returncode == 0
    python = folder / "venv" / "bin" / "python"
    (built,) = folder.glob("bloomz_bench-*.whl")
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", built)
    assert done.returncode == 0, done.stderr
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "of-the-tests.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin"


@pytest.mark.slow
def test_the_installed_command_works_without_the_repository(installed: Path, tmp_path: Path) -> None:
    def console(*words: str) -> subprocess.CompletedProcess[str]:
        return run(installed / "bloomz-bench", *words, cwd=tmp_path, env={"PATH": os.environ["PATH"]})

    assert console("--version").stdout == f"bloomz-bench {__version__}\n"
    made = console("request", "cpu-1")
    assert made.returncode == 0, made.stderr
    request = json.loads((tmp_path / made.stdout.strip()).read_text())
    assert main(["request", "cpu-1", "--out", str(tmp_path / "clone")]) == 0
    assert (tmp_path / "clone" / f"{request['id']}.json").exists()  # the same pins, and so the same id
    assert "usage: bloomz-bench claims" in console("claims", "--help").stdout
    assert console("claims").returncode == 0
    refused = console("lock", "--check")
    assert refused.returncode == UsageError.exit_code
    assert "The verb lock works on the repository's own files" in refused.stderr
    assert console("render", "cpu", "--out", "manifests").returncode == 0
    script = "import bloomz_bench; print(bloomz_bench.make_request('cpu-1').id, len(bloomz_bench.claims()), bloomz_bench.__file__)"
    api = run(installed / "python", "-c", script, cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert api.stdout.split()[:2] == [request["id"], str(len(bloomz_bench.claims()))], api.stderr
    package = Path(api.stdout.split()[2]).parent
    assert package.is_relative_to(installed.parent) and (package / "py.typed").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "clone", "manifests"]


def test_every_verb_and_every_flag_is_completed() -> None:
    script = run(sys.executable, "-m", "runner", "completion", "bash", cwd=ROOT)
    assert script.returncode == 0, script.stderr
    assert run("bash", "-n", input=script.stdout).returncode == 0
    words = f"{script.stdout}\nCOMP_WORDS=(bloomz-bench com); COMP_CWORD=1; _shtab_bloomz_bench; echo ${{COMPREPLY[@]}}"
    assert sorted(run("bash", "-c", words).stdout.split()) == ["compare", "completion"]
    (choices,) = (action.choices for action in whole_command()._actions if action.choices)
    assert isinstance(choices, dict) and list(choices) == list(VERBS)
    for verb, described in choices.items():
        for action in described._actions:
            for flag in action.option_strings:
                assert flag in script.stdout, f"{verb} {flag}"


def test_an_error_is_json_where_a_program_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--json", "nothing-here"]) == InputError.exit_code
    error = json.loads(capsys.readouterr().err)
    assert (error["event"], error["error"], error["exit_code"]) == ("error", "InputError", 3)
    assert error["message"].startswith("nothing-here does not exist. Run")
    assert main(["compare", "nothing-here"]) == InputError.exit_code
    assert capsys.readouterr().err.startswith("runner: nothing-here does not exist. Run")


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"completion", "frames", "sshd"}))
def test_every_verb_that_prints_for_people_prints_for_programs_too(verb: str) -> None:
    (flag,) = [
        action
        for action in importlib.import_module(VERBS[verb].module).parser()._actions
        if "--json" in action.option_strings
    ]
    assert flag.nargs == 0 and "as JSON, for programs" in str(flag.help)


@pytest.mark.parametrize(
    "line, asked", [(["--json"], True), (["x", "--json", "--bad"], True), (["--", "--json"], False), ([], False)]
)
def test_json_is_asked_for_by_the_flag_alone(line: list[str], asked: bool) -> None:
    assert arguments.asks_for_json(line) is asked
