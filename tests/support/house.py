"""A person's own home for a test of the whole path: the verbs run as programs, and everything that they write is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runner.contract.records import Result
from runner.host.results import result_files
from tests.support import planted
from tests.support.patience import HANG_S


class House:
    """A home, a place for temporary files and a results folder of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results"
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        self.environment = {**os.environ, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
        self.environment.update(planted.VARIABLES)
        self.environment.pop("HF_HOME", None)

    def runner(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runner", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=self.environment, timeout=HANG_S)
        assert planted.found_in(done.stdout + done.stderr) == []
        return done

    def requests(self, *arguments: object) -> list[str]:
        """Write requests; return the paths of their files."""
        done = self.runner("request", *arguments, "--out", self.folder / "requests")
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def bench(self, *arguments: object) -> list[Result]:
        """Run ``bench``; return the results. Its output is kept in ``log``."""
        done = self.runner("bench", "--results", self.results, *arguments)
        assert done.returncode == 0, done.stderr
        self.log = done.stdout
        paths = [line for line in done.stdout.splitlines() if not line.startswith("@frame ")]
        return [result_files.read_one(path)[0] for path in paths]

    def left_behind(self) -> list[Path]:
        """Return all files below home and the place for temporary files."""
        return [path for name in ("home", "tmp") for path in (self.folder / name).rglob("*") if path.is_file()]


def output_ids(result: Result) -> list[list[int]]:
    return result["launches"][0]["tokens"]["output_ids"]
