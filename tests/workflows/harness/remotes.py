"""A bare repository on this machine, which stands for the forge's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
_WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.hooksPath=/dev/null")

# The forge refuses a push with the token of a job that may not write contents. Over a path git brings no token, so a hook refuses.
_HOOK = """#!/bin/sh
[ -e "$(git rev-parse --absolute-git-dir)/may-write" ] && exit 0
echo "remote: Permission to team/bloomz-bench.git denied to github-actions[bot]." >&2
exit 1
"""


class Remote:
    """A bare repository with one branch, main, whose first commit holds the files of ``source``: by default of this work tree.

    ``scratch`` is a clone in which a test changes files before it commits them.
    """

    def __init__(self, folder: Path, source: Path | None = ROOT) -> None:
        self.bare = folder / "bare"
        self.address = f"file://{self.bare}"
        self.scratch = folder / "scratch"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        hook = self.bare / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        git(folder, "init", "--quiet", "--initial-branch=main", str(self.scratch))
        git(self.scratch, "remote", "add", "origin", self.address)
        if source is not None:
            self._copy(source)
        self.commit("The kit")

    def _copy(self, source: Path) -> None:
        """Copy what git knows of a work tree, and what it would add, into the scratch clone."""
        for name in git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
            if name and (source / name).is_file():
                (self.scratch / name).parent.mkdir(parents=True, exist_ok=True)
                # with its mode, and a link as a link
                shutil.copy2(source / name, self.scratch / name, follow_symlinks=False)

    def commit(self, message: str, change: Callable[[Path], None] | None = None) -> str:
        """Commit what ``change`` makes of the scratch clone as the newest commit of main, and return the commit."""
        if change is not None:
            change(self.scratch)
        git(self.scratch, "add", "--all")
        git(self.scratch, *_WHO, "commit", "--quiet", "--allow-empty", "-m", message)
        self.allow(True)
        git(self.scratch, "push", "--quiet", "origin", "HEAD:main")
        self.allow(False)
        return self.main

    def allow(self, writing: bool) -> None:
        """Let pushes through, or refuse them, as the token of the job that runs may."""
        flag = self.bare / "may-write"
        flag.touch() if writing else flag.unlink(missing_ok=True)

    @property
    def main(self) -> str:
        """The newest commit of main."""
        return self.branches()["main"]

    def branches(self) -> dict[str, str]:
        """Return the newest commit of each branch."""
        told = git(self.bare, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")
        return dict(line.split() for line in told.splitlines())

    def file(self, commit: str, path: str) -> str:
        """Return the text of a file of a commit."""
        return git(self.bare, "show", f"{commit}:{path}")

    def changed(self, before: str, after: str) -> list[str]:
        """Return the paths that differ between two commits."""
        return git(self.bare, "diff", "--name-only", before, after).splitlines()


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints. Raises ``CalledProcessError`` with what git says."""
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done.stdout
