"""The cause of a rank's end without a measurement: the last words that each rank leaves for the parent.

When one rank dies, the other ranks lose their connection to it and die of that loss. The death of such a rank is an
echo. An echo is never told while a cause is known.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from runner.bench.processes import launcher_log
from runner.bench.processes.messages import LastWords
from runner.contract import strictjson
from runner.contract.errors import KitError, LaunchFailed, by_exit_code
from runner.contract.text import printable

_ROOT = Path(__file__).resolve().parents[3]
_FILE = re.compile(r"error-([0-9]+)\.json")
_FATAL_SIGNALS = (
    *(signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE),
    signal.SIGTERM,
)
_REASON_CHARACTERS = 300


@dataclass(frozen=True)
class Death:
    """A rank's last words. ``at_s`` is the host's clock in seconds; ``echo`` says that another process died before."""

    rank: int
    exit_code: int
    message: str
    echo: bool
    at_s: float

    def to_json(self) -> LastWords:
        """Return the JSON that the rank leaves."""
        return {"exit_code": self.exit_code, "message": self.message, "echo": self.echo, "at": self.at_s}


def of(error: BaseException, rank: int, at_s: float) -> Death:
    """Return the last words of a rank that an unexpected exception ends, the last exception of its chain."""
    reason = launcher_log.without_packed(" ".join(str(error).split()))
    name = type(error).__name__
    named = f"{name}: {printable(reason, _REASON_CHARACTERS)}" if reason else f"{name} without a reason"
    message = f"Rank {rank} on {os.uname().nodename} ended with {named}{_places(error)}."
    # torch raises RuntimeError, or a class below it, for a lost rank. OSError comes from a server, such as a hub, and
    # is a cause.
    echo = isinstance(error, RuntimeError) and launcher_log.is_echo(f"{name}: {error}")
    return Death(rank, LaunchFailed.exit_code, message, echo, at_s)


def _places(error: BaseException) -> str:
    """Return in words the last line of the kit in an exception's traceback, and the line that raised the exception."""
    frames = traceback.extract_tb(error.__traceback__)
    kit_frames = [
        frame
        for frame in frames
        if Path(frame.filename).is_absolute()
        and _ROOT in Path(frame.filename).parents
        and "site-packages" not in frame.filename
    ]
    frames_told = [*kit_frames[-1:], *(frames[-1:] if not kit_frames or frames[-1] is not kit_frames[-1] else [])]
    places = [f"{frame.name} of {_short_path(frame.filename)}, line {frame.lineno}" for frame in frames_told]
    return f" (in {'; there in '.join(places)})" if places else ""


def _short_path(path: str) -> str:
    """Return a file's path below the kit's folder, or below the folder of installed packages."""
    for root in (os.path.join(str(_ROOT), ""), *(os.path.join(folder, "") for folder in sys.path if folder)):
        if path.startswith(root) and "site-packages" not in path[len(root) :]:
            return path[len(root) :]
    return path


def read(folder: str) -> list[Death]:
    """Return the last words that ranks left in the folder of a launch: causes before echoes, the earliest first.

    Raises ``LaunchFailed`` for a file that cannot be read.
    """
    deaths = []
    for name in os.listdir(folder):
        match = _FILE.fullmatch(name)
        if match:
            words: LastWords = strictjson.read(os.path.join(folder, name), LaunchFailed)
            echo, at_s = words.get("echo", False), words.get("at", 0.0)
            deaths.append(Death(int(match[1]), words["exit_code"], words["message"], echo, at_s))
    return sorted(deaths, key=lambda death: (death.echo, death.at_s, death.rank))


def error_of(exit_code: int, message: str) -> KitError:
    """Return the error that a rank ended with."""
    return by_exit_code(exit_code)(message)


def silent_ranks(deaths: Sequence[Death], ranks: int, status: int) -> str | None:
    """Return a sentence on the ranks that ended without last words, where the last words of all other ranks are echoes.

    ``status`` is the launcher's exit status. Return None where a cause is known, and where no rank left last words.
    """
    silent = sorted(set(range(ranks)) - {death.rank for death in deaths})
    if not deaths or not silent or not all(death.echo for death in deaths):
        return None
    named = f"Rank {silent[0]}" if len(silent) == 1 else f"One of the ranks {', '.join(map(str, silent))}"
    return f"{named} ended without a word{signal_phrase(status)}. Then: {deaths[0].message}"


def signal_phrase(status: int) -> str:
    """Return in words the signal that a rank died of, empty without one; launchers report it as -9, 137 or 247."""
    for number in _FATAL_SIGNALS:
        if status in (-number, 128 + number, 256 - number):
            hint = ", perhaps since memory ran out" if number == signal.SIGKILL else ""
            return f" (a rank died of {number.name}{hint})"
    return ""
