"""Why a launch ended without a measurement: what each rank left as its last words, and what a launcher's log tells.

When one rank dies, the others lose their connection to it and die of that. Such an echo is never told while a cause is known.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.contract import strictjson
from runner.contract.errors import LaunchFailed
from runner.contract.text import printable

_ROOT = Path(__file__).resolve().parents[3]
_FILE = re.compile(r"error-([0-9]+)\.json")

# What gloo, NCCL, HCCL and torch's store say when another process has gone.
_ECHO = re.compile(
    r"connection (was )?(closed|reset|refused|aborted|lost)|closed by (remote )?peer|reset by peer|broken pipe|peer is gone"
    r"|remote (process|side|peer)|socket ?timeout|recvvalue|sendbytes|recvbytes|pair closure|application timeout"
    r"|failed to (recv|send|connect)|dist(store|network|backend)error|nccl (remote )?error|hccl.*(timeout|disconnect)"
    r"|process group watchdog|timed out.*(barrier|store|collective)",
    re.I,
)
# What launchers raise because a rank died: they say that it died, and not why.
_OF_A_LAUNCHER = re.compile(r"(ChildFailedError|CalledProcessError|SignalException|SystemExit)\b")
_NOISE = re.compile(
    r"^([\w.-]+: )?(\[[0-9-]+ [0-9:,.]+\] \[(DEBUG|INFO|WARNING|ERROR)\]|[DIWEF][0-9]{4} |[=-]{8,}|\s*$|Killing subprocess)"
)
# What launchers say of each rank's end, with the whole of the rank's command; the status tells as much.
_RANK_ENDED = re.compile(r"exits with return code = -?[0-9]+$")
_COMPLAINT = re.compile(r"\[(WARNING|ERROR)\]|^([\w.-]+: )?[EF][0-9]{4} ")
_PACKED = re.compile(r"[A-Za-z0-9+/_=-]{120,}")
_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_RAISED = re.compile(
    r"(?P<place>(?:[\w.-]+: )??(?:\[rank[0-9]+\]: )?)(?P<told>[\w.]*(?:Error|Exception|Interrupt|Iteration|Exit)\b.*)"
)
_DEADLY = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTERM)


@dataclass(frozen=True)
class Death:
    """A rank's last words. ``at`` is the host's clock in seconds; ``echo`` says that another process died before."""

    rank: int
    exit_code: int
    message: str
    echo: bool
    at: float

    def to_json(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code, "message": self.message, "echo": self.echo, "at": self.at}


def of(error: BaseException, rank: int, at: float) -> Death:
    """Return the last words of a rank that an unexpected exception ends; ``error`` is the last of its chain."""
    told = _without_packed(" ".join(str(error).split()))
    reason = f"{type(error).__name__}: {printable(told, 300)}" if told else f"{type(error).__name__} without a reason"
    message = f"Rank {rank} on {os.uname().nodename} ended with {reason}{_where(error)}."
    # torch raises RuntimeError, or a class below it, for a lost rank; OSError is a server's, a hub's say, and a cause
    echo = isinstance(error, RuntimeError) and _ECHO.search(f"{type(error).__name__}: {error}") is not None
    return Death(rank, LaunchFailed.exit_code, message, echo, at)


def _where(error: BaseException) -> str:
    """Return the line of the kit that raised an exception, or called what raised it; and that line too."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_absolute() and _ROOT in Path(frame.filename).parents]
    own = [frame for frame in own if "site-packages" not in frame.filename]
    places = [*own[-1:], *(frames[-1:] if not own or frames[-1] is not own[-1] else [])]
    told = [f"{frame.name} of {_short(frame.filename)}, line {frame.lineno}" for frame in places]
    return f" (in {'; there in '.join(told)})" if told else ""


def _short(path: str) -> str:
    """Return a file's path below the kit's folder, or below the folder of installed packages."""
    for root in (os.path.join(str(_ROOT), ""), *(os.path.join(one, "") for one in sys.path if one)):
        if path.startswith(root) and "site-packages" not in path[len(root) :]:
            return path[len(root) :]
    return path


def read(folder: str) -> list[Death]:
    """Return what ranks left in the folder of a launch, causes before echoes, the earliest first."""
    found = []
    for name in os.listdir(folder):
        named = _FILE.fullmatch(name)
        if named:
            found.append(_of_json(int(named[1]), strictjson.read(os.path.join(folder, name), LaunchFailed)))
    return sorted(found, key=lambda death: (death.echo, death.at, death.rank))


def _of_json(rank: int, told: dict[str, Any]) -> Death:
    return Death(rank, told["exit_code"], told["message"], told.get("echo", False), told.get("at", 0.0))


def silent(deaths: list[Death], ranks: int, status: int) -> str | None:
    """Return in words which ranks ended first where all others tell of a lost connection alone; None where none is known."""
    quiet = sorted(set(range(ranks)) - {death.rank for death in deaths})
    if not deaths or not quiet or not all(death.echo for death in deaths):
        return None
    named = f"Rank {quiet[0]}" if len(quiet) == 1 else f"One of the ranks {', '.join(map(str, quiet))}"
    return f"{named} ended without a word{of_signal(status)}. Then: {deaths[0].message}"


def telling(log: list[str]) -> list[str]:
    """Return the lines of a launcher's log that tell what went wrong.

    That is the exception that ended the first rank: the last of its chain, and none that another process's end or the launcher
    raised while there is a better one. Without an exception these are the last lines, less what launchers say of themselves.
    """
    raised = [line for line in _raised(log) if not _OF_A_LAUNCHER.search(line)]
    causes = [line for line in raised if not _ECHO.search(line)] or raised
    plain = [line for line in log if not _NOISE.match(line)]
    plain = plain or [line for line in log if _COMPLAINT.search(line) and not _RANK_ENDED.search(line)][-1:]
    return [_without_packed(line) for line in (causes[:1] or plain[-3:])]


def _raised(log: list[str]) -> list[str]:
    """Return the line of each exception; of those that followed from each other the last alone.

    ``place`` is what a launcher puts before a rank's lines: the host, the rank.
    """
    found: list[tuple[str, str]] = []
    inside, chained = set(), set()
    for line in log:
        for place in [line[: -len(end)] for end in _CHAINED if line.endswith(end)]:
            chained.add(place)
        if line.endswith(_TRACEBACK):
            inside.add(line[: -len(_TRACEBACK)])
            continue
        known = _RAISED.match(line)
        where = known["place"] if known else _inside(line, inside)
        if where is None:
            continue
        inside.discard(where)
        if where in chained:
            chained.discard(where)
            last = max((index for index, (place, _) in enumerate(found) if place == where), default=len(found))
            found[last : last + 1] = [(where, line)]
        else:
            found.append((where, line))
    return [line for _, line in found]


def _inside(line: str, inside: set[str]) -> str | None:
    """Return whose traceback this line ends: the first line of it that is not indented names an exception of any name."""
    for place in sorted(inside, key=len, reverse=True):
        rest = line[len(place) :]
        if line.startswith(place) and rest[:1].strip() and re.match(r"[A-Za-z_][\w.]*(:|$)", rest):
            return place
    return None


def of_signal(status: int) -> str:
    """Return the signal that a rank died of, in words; launchers hand it on as -9, 137 or 247."""
    for number in _DEADLY:
        if status in (-number, 128 + number, 256 - number):
            hint = ", perhaps since memory ran out" if number == signal.SIGKILL else ""
            return f" (a rank died of {number.name}{hint})"
    return ""


def _without_packed(text: str) -> str:
    """Leave out long words that no person reads: the request that a command carries, packed."""
    return _PACKED.sub("…", text)
