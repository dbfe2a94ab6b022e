"""The two sides of a comparison, and how a program of a side's own code is run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.contract import errors
from runner.contract.text import first_line, printable

# Variables that would bring foreign code into a side, hide the side's own, or act on the make that a side's program may start.
_FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONSAFEPATH",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
)


class SideFailed(Exception):
    """A side cannot be measured at all: its environment cannot be made, or its own code makes no request. ``problem`` says why."""

    def __init__(self, side: str, problem: errors.KitError) -> None:
        super().__init__(str(problem))
        self.side, self.problem = side, problem


@dataclass(frozen=True)
class Side:
    """A tree with its lock and its environment. ``name`` is a word such as base, ``python`` the Python of the environment."""

    name: str
    tree: Path
    python: Path

    def command(self, module: str, *arguments: str) -> list[str]:
        """Return the command line that runs a module of the side's own code; it is run in ``tree``."""
        return [str(self.python), "-m", module, *arguments]

    def run(self, module: str, *arguments: str) -> str:
        """Run a module of the side's own code, and return what the module prints.

        Raises the error of the module's exit code, with the module's last words, where the module fails.
        """
        return self.ran(module, *arguments).stdout

    def ran(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module as ``run`` does, and return what the module prints on standard output and on standard error."""
        done = subprocess.run(
            self.command(module, *arguments),
            cwd=self.tree,
            env=variables(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise failure(f"{self.name}: {module} {' '.join(arguments[:1])}".strip(), done.returncode, done.stderr)
        return done


def variables(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's variables for a program of a side: without those that bring in foreign code, and with ``more``."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**kept, **(more or {})}


def failure(what: str, status: int, words: str) -> errors.KitError:
    """Return the error of a program that ended with ``status``: of the class that has this exit code, with the program's last line."""
    said = last_words(words) or f"it ended with status {status} and said nothing"
    return errors.by_exit_code(status)(f"{printable(what, 200)}: {said}.")


def last_words(words: str, most: int = 300) -> str:
    """Return the last line that a program printed, at most ``most`` characters of it; of an error's event its message."""
    lines = [line for line in words.splitlines() if line.strip()]
    if not lines:
        return ""
    with contextlib.suppress(ValueError):
        event = json.loads(lines[-1])
        if isinstance(event, dict) and event.get("event") == "error" and isinstance(event.get("message"), str):
            return first_line(event["message"], most)
    return first_line(lines[-1], most)
