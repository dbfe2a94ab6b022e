"""What an environment's name depends on, what counts as finished, and what is said when it cannot be built. Nothing is built."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, Unreachable
from runner.host import paths
from runner.host.readers import lockfile
from runner.host.stacks import requirements
from tests.stacks import __main__ as front
from tests.stacks import build

STACK = "gaudi-1.10"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(build.OVERRIDE, raising=False)
    return tmp_path / "bloomz-bench" / "stacks"


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let an environment be made of its Python's name alone; returns the list of those made."""
    made: list[str] = []

    def fake(name: str, folder: Path, show: object) -> None:
        made.append(name)
        (folder / "bin").mkdir(parents=True)
        build.python(folder).write_text("")
        (folder / build.COMPLETE).write_text(json.dumps({"stack": name}))

    monkeypatch.setattr(build, "_build", fake)
    return made


def test_the_stacks_of_gaudi_can_be_built() -> None:
    of_gaudi = [name for name, stack in lockfile.read().stacks.items() if stack.device == "hpu"]
    assert build.names("hpu") == [name for name in of_gaudi if build._own_requirements(name).exists()]
    # the stacks of the emulation
    assert {"gaudi-1.8", "gaudi-1.9", "gaudi-1.10", "gaudi-1.24"} <= set(build.names("hpu"))


def test_the_gpu_s_stack_of_2023_can_be_built_and_needs_only_what_builds_deepspeed() -> None:
    assert build.names() == [*build.names("hpu"), *build.names("cuda")]
    assert build.names("cuda") == ["cuda-2023"]
    assert [package for package, _ in build._blocks(build._own_requirements("cuda-2023"))] == ["wheel"]
    assert build._key("cuda-2023") != build._key(STACK)
    assert set(build._stand_ins("cuda-2023", build._stack("cuda-2023"), None)) == {"GPU", "DeepSpeed's kernels"}


def test_a_second_call_finds_what_the_first_made(cache: Path, pretend: list[str]) -> None:
    assert build.find(STACK) is None
    folder = build.make(STACK)
    assert build.make(STACK) == build.find(STACK) == folder
    assert folder.parent == cache
    assert build.describe(folder) == {"stack": STACK}
    assert pretend == [STACK]


def test_what_an_interrupted_build_left_does_not_count_and_is_removed(pretend: list[str]) -> None:
    folder = build._folder(STACK)
    (folder / "bin").mkdir(parents=True)
    build.python(folder).write_text("")
    (folder / "half").write_text("")
    assert build.find(STACK) is None
    said: list[str] = []
    assert build.make(STACK, said.append) == folder
    assert not (folder / "half").exists()
    assert said == [f"{STACK}: removing what an interrupted build left"]


def test_an_environment_whose_python_is_gone_is_made_again(pretend: list[str]) -> None:
    build.python(build.make(STACK)).unlink()
    assert build.find(STACK) is None
    build.make(STACK)
    assert pretend == [STACK, STACK]


def test_the_name_changes_with_what_the_stack_is_built_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = {build._key(STACK), build._key("gaudi-1.9")}
    named = tmp_path / "deepspeed"
    (named / "deepspeed").mkdir(parents=True)
    (named / "setup.py").write_text("1")
    monkeypatch.setenv(build.OVERRIDE, str(named))
    seen.add(build._key(STACK))
    (named / "setup.py").write_text("2")
    seen.add(build._key(STACK))
    (named / ".git").mkdir()
    (named / ".git" / "HEAD").write_text("where")
    # a checkout's history is not what is built
    assert build._key(STACK) in seen
    monkeypatch.delenv(build.OVERRIDE)
    monkeypatch.setattr(build, "RECIPE", build.RECIPE + 1)
    seen.add(build._key(STACK))
    changed = tmp_path / "requirements.txt"
    changed.write_text(build._own_requirements(STACK).read_text() + "# changed\n")
    monkeypatch.setattr(build, "_own_requirements", lambda name: changed)
    seen.add(build._key(STACK))
    assert len(seen) == 6


def test_own_requirements_agree_with_the_stack_s_and_hold_hashes() -> None:
    for name in build.names():
        added = build._own_requirements(name).read_text()
        stack = (paths.ROOT / lockfile.read().stacks[name].requirements.file).read_text()
        for package, versions in requirements.hashes_by_version(added).items():
            assert all(versions.values()), package
            assert set(requirements.hashes_by_version(stack).get(package, versions)) == set(versions), package
        assert "python -m tests.stacks --compile" in added.splitlines()[0]


def test_blocks_put_together_are_the_file() -> None:
    file = build._own_requirements(STACK)
    text = "".join(text for _, text in build._blocks(file))
    assert text == "".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("#"))


def test_an_unknown_stack_and_a_missing_deepspeed_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert front.main(["cpu"]) == InputError.exit_code
    message = f"cpu is no stack that is built here. Take one of {', '.join(build.names())}."
    assert message in capsys.readouterr().err
    monkeypatch.setenv(build.OVERRIDE, "/nowhere/deepspeed")
    assert front.main([STACK]) == InputError.exit_code
    assert "BLOOMZ_BENCH_DEEPSPEED names /nowhere/deepspeed, which is not there" in capsys.readouterr().err


@pytest.mark.parametrize("version, variable", [("3.8", "PYTHON38"), ("3.7", "PYTHON37")])
def test_without_the_stack_s_python_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, variable: str
) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    # a Python, and another one
    monkeypatch.setenv(variable, sys.executable)
    with pytest.raises(InputError, match=f"No Python {version} was found.*pyenv install {version}.*in {variable}"):
        build._interpreter(version)


def test_a_python_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    monkeypatch.setenv(f"PYTHON{version.replace('.', '')}", sys.executable)
    assert build._interpreter(version) == sys.executable


def test_a_pip_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = build.python(tmp_path)
    program.write_text("#!/bin/sh\necho 'ERROR: no such hash'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Unreachable, match="gaudi-1.10 could not be built; pip says:\nERROR: no such hash"):
        build._Pip(STACK, tmp_path, tmp_path).bounded(["torch==0"], {})


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    """A build is killed while pip runs; the folder it leaves has no list of what is there."""
    try:
        build._interpreter(lockfile.read().stacks[STACK].python)
    except InputError as missing:
        pytest.skip(str(missing))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stacks", STACK],
        cwd=paths.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_RETRIES": "0"},
    )
    assert process.stderr is not None, "a pipe"
    try:
        while "1/4" not in (line := process.stderr.readline()):
            assert line, "it ended before pip ran"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
    folder = build._folder(STACK)
    assert folder.exists() and not (folder / build.COMPLETE).exists()
    assert build.find(STACK) is None


@pytest.fixture
def clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Name a folder of this host as the clone from which optimum-habana is taken."""
    folder = tmp_path / "clone"
    monkeypatch.setenv(build.CLONE, str(folder))
    return folder


def test_a_commit_that_cannot_be_had_is_told_before_anything_is_installed(clone: Path, cache: Path) -> None:
    source = lockfile.read().sources["optimum-habana-1.8"]
    with pytest.raises(Unreachable) as refused:
        build.make("gaudi-1.8")
    said = str(refused.value)
    assert said.startswith(f"gaudi-1.8 cannot be built: it takes optimum-habana from commit {source.commit[:12]} of")
    assert f"not had from {clone}" in said and said.endswith(f"Name a clone that holds the commit in {build.CLONE}.")
    assert not build._folder("gaudi-1.8").exists() and build.find("gaudi-1.8") is None


@pytest.mark.usefixtures("clone")
def test_all_stacks_are_built_but_one_whose_commit_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    make = build.make

    def fake(name: str, show: object) -> Path:
        if build.commits(name):
            return make(name)
        made.append(name)
        return Path(name)

    monkeypatch.setattr(build, "make", fake)
    assert front.main([]) == 0
    assert made == [name for name in build.names() if name != "gaudi-1.8"]
    assert "gaudi-1.8 cannot be built" in capsys.readouterr().err
    # who asks for it alone gets the code
    assert front.main(["gaudi-1.8"]) == Unreachable.exit_code


def test_the_name_of_an_environment_changes_with_the_commit_s_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    before, lock = build._key("gaudi-1.8"), lockfile.read()
    source = replace(lock.sources["optimum-habana-1.8"], tree="2" * 40)
    changed = replace(lock, sources={**lock.sources, "optimum-habana-1.8": source})
    monkeypatch.setattr(build.lockfile, "read", lambda: changed)
    assert build._key("gaudi-1.8") != before
    assert list(build.commits("gaudi-1.8")) == ["optimum-habana"] and build.commits("gaudi-1.9") == {}
