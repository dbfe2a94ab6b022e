"""Verbs that work on the repository's own files, where these files are not all there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from runner.contract.errors import InputError
from runner.host import paths


def test_a_clone_without_its_lock_says_that_the_file_is_missing(tmp_path: Path) -> None:
    shutil.copytree(paths.PACKAGE, tmp_path / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(paths.ROOT / "pyproject.toml", tmp_path)
    words = [sys.executable, "-m", "runner", "bump"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == InputError.exit_code
    assert f"{tmp_path} has no versions.lock" in done.stderr and "`git checkout -- versions.lock`" in done.stderr
    assert "installed package" not in done.stderr
    # without pyproject.toml beside it the kit is an installed package
    (tmp_path / "pyproject.toml").unlink()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and "this is an installed package" in done.stderr
