"""Clean clones of this tree, whose lock leads to servers on this machine, and `make` in such a clone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.contract import first_answer
from runner.host import paths
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock
from tests.support.patience import HANG_S

# Older than any layer of the environment, which make would else install again.
LONG_AGO = 1577836800

_STEP = re.compile(r"^(resolve|build|push) ([a-z0-9.-]*) *(done|to do|blocked)  ", re.MULTILINE)


@dataclass(frozen=True)
class Made:
    """What a `make` printed, both streams in their order, and its exit status; None for one that was ended on the way."""

    status: int | None
    output: str

    def steps(self) -> list[str]:
        """Return the steps of preparing that were told: the step, the stack and the state."""
        return [" ".join(" ".join(parts).split()) for parts in _STEP.findall(self.output)]


class Clone:
    """A git repository with the files of this tree, clean; what ``change`` makes of the folder is part of its one commit."""

    def __init__(self, folder: Path, change: Callable[[Path], object]) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            check=True, capture_output=True, encoding="utf-8", cwd=paths.ROOT,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            source, target = paths.ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
                os.utime(target, (LONG_AGO, LONG_AGO))
        change(folder)
        os.utime(folder / "versions.lock", (LONG_AGO, LONG_AGO))
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "A clean clone")
        self.commit = self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()

    @property
    def lock(self) -> Lock:
        return lockfile.read(self.folder / "versions.lock")

    def make(self, target: str, *variables: str, until: str | None = None, ended_by: int = signal.SIGINT) -> Made:
        """Run `make`; with ``until`` end all that it started, by a signal, once a line begins with these words."""
        command = ["make", "--no-print-directory", f"VENV={sys.prefix}", target, *variables]
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", start_new_session=True,
            env={**_without_make(), "PYTHONUNBUFFERED": "1", first_answer.VARIABLE: str(HANG_S)},
        )  # fmt: skip
        output = ""
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                output += line
                if until is not None and line.startswith(until):
                    os.killpg(process.pid, ended_by)
                    process.wait(HANG_S)
                    return Made(None, output)
            status = process.wait(HANG_S)
        assert until is None, f"no line begins with {until!r}: {output}"
        return Made(status, output)


def _without_make() -> dict[str, str]:
    """Return this process's variables without those by which a make that runs the tests would give its own variables to another."""
    of_make = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "MAKECMDGOALS", "IMAGES"}
    return {name: value for name, value in os.environ.items() if name not in of_make}
