"""A git repository with the names and modes that git sorts and hashes in ways of its own. For tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runner.contract.recipe import GitSource

# The time of the commit, in Unix seconds.
EPOCH = 1700000001
_IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_AUTHOR_DATE": "1700000000 +0130",
    "GIT_COMMITTER_DATE": f"{EPOCH} -0700",
}


# Attributes by which `git archive` writes other files than the commit's.
ATTRIBUTES = """a-b export-ignore
a0 text eol=crlf
a.txt export-subst working-tree-encoding=UTF-16
sub/sub/run.sh ident
"""


def make(folder: Path, attributes: str | None = None) -> GitSource:
    """Make the repository, and return its one commit as a source of a program; ``attributes`` are those that the commit holds."""
    folder.mkdir()
    _git(folder, "init", "--quiet")
    for path in ("a.txt", "a/b", "a0", "a-b/c", "\u00e9", "sub/sub/run.sh"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path, encoding="utf-8")
    (folder / "sub/sub/run.sh").chmod(0o755)
    (folder / "link").symlink_to("a/b")
    (folder / "empty").touch()
    if attributes is not None:
        (folder / "a0").write_text("a line\n")
        (folder / "a.txt").write_text("$Format:%H$\n")
        (folder / "sub/sub/run.sh").write_text("$Id$\n")
    _git(folder, "add", "--all")
    if attributes is not None:
        # only now: git would change the files that it adds
        (folder / ".gitattributes").write_text(attributes)
        _git(folder, "add", ".gitattributes")
    # a line of the message looks like the line that tells the commit's time
    _git(folder, "commit", "--quiet", "-m", "First\n\ncommitter Mallory <m@n> 1 +0000")
    _git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit, tree = _git(folder, "rev-parse", "HEAD"), _git(folder, "rev-parse", "HEAD^{tree}")
    return GitSource(f"file://{folder}", commit, tree, None)


def commit(folder: Path, day: str, message: str) -> str:
    """Add an empty commit of noon on a day, such as 2026-11-20, to a repository, and return the commit."""
    moment = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
    _git(folder, "commit", "--quiet", "--allow-empty", "-m", message, **moment)
    return _git(folder, "rev-parse", "HEAD")


def tag(folder: Path, name: str, annotated: bool = False) -> None:
    """Name the newest commit of a repository by a tag; an annotated tag is an object of its own."""
    _git(folder, "tag", *(["-a", "-m", "a release"] if annotated else []), "--end-of-options", name)


def _git(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, **_IDENTITY, **variables},
    )
    return done.stdout.strip()
