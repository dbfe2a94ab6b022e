"""Which Python and which compiler the environment of a stack is made with, where people have them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.host.readers import lockfile
from runner.host.stacks import prerequisites
from runner.host.stacks.prerequisites import Lacking
from tests.support.patience import HANG_S

CUDA = lockfile.read().stacks["cuda"]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


def put(path: Path, answer: str) -> str:
    """Put a program in the place of a Python, which says this of itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {answer}\n")
    path.chmod(0o755)
    return str(path)


def found(environment: dict[str, str] | None = None) -> str | Lacking:
    return prerequisites.find_python("3.12", environment or {}, HANG_S)


def test_a_python_is_found_where_people_have_it(tmp_path: Path) -> None:
    assert isinstance(found(), Lacking)
    older = put(tmp_path / ".pyenv/versions/3.12.1/bin/python", "3.12 True")
    # a release that does not start, and another version in its place
    put(tmp_path / ".pyenv/versions/3.12.9/bin/python", "")
    put(tmp_path / ".pyenv/versions/3.12.8/bin/python", "3.11 True")
    assert found() == older
    of_root = put(tmp_path / "root/versions/3.12.0/bin/python", "3.12 True")
    assert found({"PYENV_ROOT": str(tmp_path / "root")}) == of_root
    on_path = put(tmp_path / "bin/python3.12", "3.12 True")
    assert found({"PYENV_ROOT": str(tmp_path / "root")}) == on_path
    # pyenv puts a program on the path that fails where the version is not chosen
    (tmp_path / "bin/python3.12").write_text("#!/bin/sh\nexit 127\n")
    assert found() == older


def test_the_python_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    put(tmp_path / "bin/python3.12", "3.12 True")
    named = put(tmp_path / "named", "3.12 True")
    assert found({"PYTHON312": named}) == named
    assert isinstance(found({"PYTHON312": str(tmp_path / "gone")}), Lacking)


def test_a_python_without_headers_is_named_where_no_other_serves(tmp_path: Path) -> None:
    bare = put(tmp_path / "bin/python3.12", "3.12 False")
    lacking = found()
    assert isinstance(lacking, Lacking) and lacking.finding.startswith(f"{bare} has no Python.h")
    whole = put(tmp_path / ".pyenv/versions/3.12.1/bin/python", "3.12 True")
    assert found() == whole


def test_a_compiler_is_needed_where_torch_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    lacking = prerequisites.lacking_compiler(CUDA, {})
    assert lacking is not None and lacking.remedy == "Install gcc."
    assert prerequisites.lacking_compiler(CUDA, {"CC": "cc"}) is None
    assert prerequisites.lacking_compiler(lockfile.read().stacks["cpu"], {}) is None
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/clang" if name == "clang" else None)
    assert prerequisites.lacking_compiler(CUDA, {}) is None
