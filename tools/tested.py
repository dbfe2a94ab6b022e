"""Record that all tests passed on the commit that is checked out: ``python -m tools.tested``, the last step of ``make test-all``.

The record is the file build/tested: the hash of the commit and, where a Python 3.8 was missing, a second line that says so.
``make release`` reads the record. No record is written where the tests ran on something else than a commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_PYTHON38 = "without Python 3.8"


@dataclass(frozen=True)
class Record:
    """A commit on which all tests passed. ``python38`` is False where the tests on Python 3.8 were skipped."""

    commit: str
    python38: bool


def read(root: Path) -> Record | None:
    """Return the record of the last ``make test-all`` that passed, None where there is none."""
    try:
        commit, *notes = _path(root).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return Record(commit, WITHOUT_PYTHON38 not in notes)


def record(root: Path, environment: Path) -> str:
    """Write the record for the commit of ``root``, and return one sentence that says what was written, or why nothing was.

    ``environment`` is make's VENV; its file .py38-skipped says that no Python 3.8 was found.
    """
    path = _path(root)
    path.unlink(missing_ok=True)
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD^{commit}").strip()
        changes = git(root, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "All tests passed. Nothing is recorded for a release: this folder is no git repository with a commit."
    if changes:
        return "All tests passed. Nothing is recorded for a release: some files are not committed."
    skipped = (environment / ".py38-skipped").exists()
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([commit, *([WITHOUT_PYTHON38] if skipped else []), ""]), encoding="utf-8")
    return f"All tests passed on commit {commit[:12]}{', ' + WITHOUT_PYTHON38 if skipped else ''}."


def git(root: Path, *arguments: str) -> str:
    """Return what git prints. Raises ``subprocess.CalledProcessError`` where git fails, ``OSError`` where git is missing."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout


def _path(root: Path) -> Path:
    return root / "build" / "tested"


if __name__ == "__main__":
    print(record(ROOT, Path(os.environ.get("VENV", ".venv"))))
    sys.exit(0)
