"""Find in a launcher's log the lines that say why the launch ended."""

from __future__ import annotations

import re
from typing import NamedTuple, Sequence

# The words of gloo, NCCL, HCCL and torch's store when another process has ended.
_ECHO = re.compile(
    r"connection (was )?(closed|reset|refused|aborted|lost)|closed by (remote )?peer|reset by peer|broken pipe|peer is gone"
    r"|remote (process|side|peer)|socket ?timeout|recvvalue|sendbytes|recvbytes|pair closure|application timeout"
    r"|failed to (recv|send|connect)|dist(store|network|backend)error|nccl (remote )?error|hccl.*(timeout|disconnect)"
    r"|process group watchdog|timed out.*(barrier|store|collective)",
    re.IGNORECASE,
)
# Exceptions that launchers raise because a rank died, without the reason why the rank died.
_LAUNCHER_EXCEPTION = re.compile(r"(ChildFailedError|CalledProcessError|SignalException|SystemExit)\b")
_NOISE = re.compile(
    r"^([\w.-]+: )?(\[[0-9-]+ [0-9:,.]+\] \[(DEBUG|INFO|WARNING|ERROR)\]|[DIWEF][0-9]{4} |[=-]{8,}|\s*$|Killing subprocess)"
)
# The report of a launcher on each rank's end, with the whole of the rank's command. The launcher's status says the same.
_RANK_ENDED = re.compile(r"exits with return code = -?[0-9]+$")
_COMPLAINT = re.compile(r"\[(WARNING|ERROR)\]|^([\w.-]+: )?[EF][0-9]{4} ")
_PACKED = re.compile(r"[A-Za-z0-9+/_=-]{120,}")
_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_RAISED = re.compile(
    r"(?P<prefix>(?:[\w.-]+: )??(?:\[rank[0-9]+\]: )?)[\w.]*(?:Error|Exception|Interrupt|Iteration|Exit)\b.*"
)
# An exception of any name: the first line of a traceback that is not indented.
_EXCEPTION_LINE = re.compile(r"[A-Za-z_][\w.]*(:|$)")
_LAST_LINES = 3


class _Raised(NamedTuple):
    """The line of an exception, and the prefix that a launcher puts before a rank's lines: the host, the rank."""

    prefix: str
    line: str


def is_echo(text: str) -> bool:
    """Return whether an exception's text says that a connection to another process was lost."""
    return _ECHO.search(text) is not None


def telling(log: Sequence[str]) -> list[str]:
    """Return the lines of a launcher's log that say what went wrong.

    That is the exception that ended the first rank: the last exception of its chain. An exception that another
    process's end caused, or that the launcher raised, is returned only where there is no other. Without an exception
    the last lines are returned, without the lines that launchers print on themselves.
    """
    raised = [line for line in _exception_lines(log) if not _LAUNCHER_EXCEPTION.search(line)]
    causes = [line for line in raised if not is_echo(line)] or raised
    plain = [line for line in log if not _NOISE.match(line)]
    plain = plain or [line for line in log if _COMPLAINT.search(line) and not _RANK_ENDED.search(line)][-1:]
    return [without_packed(line) for line in (causes[:1] or plain[-_LAST_LINES:])]


def _exception_lines(log: Sequence[str]) -> list[str]:
    """Return the line of each exception, in the log's order; of the exceptions of one chain only the last."""
    raised: list[_Raised] = []
    inside: set[str] = set()
    chained: set[str] = set()
    for line in log:
        chained.update(line[: -len(end)] for end in _CHAINED if line.endswith(end))
        if line.endswith(_TRACEBACK):
            inside.add(line[: -len(_TRACEBACK)])
            continue
        match = _RAISED.match(line)
        prefix = match["prefix"] if match else _prefix_of_traceback(line, inside)
        if prefix is None:
            continue
        inside.discard(prefix)
        if prefix in chained:
            chained.discard(prefix)
            last = max(
                (index for index, exception in enumerate(raised) if exception.prefix == prefix), default=len(raised)
            )
            raised[last : last + 1] = [_Raised(prefix, line)]
        else:
            raised.append(_Raised(prefix, line))
    return [exception.line for exception in raised]


def _prefix_of_traceback(line: str, prefixes: set[str]) -> str | None:
    """Return the prefix of the traceback that this line ends; None for a line that ends none of them."""
    for prefix in sorted(prefixes, key=len, reverse=True):
        rest = line[len(prefix) :]
        if line.startswith(prefix) and rest[:1].strip() and _EXCEPTION_LINE.match(rest):
            return prefix
    return None


def without_packed(text: str) -> str:
    """Return a text without long words that no person reads: a command carries the request, packed."""
    return _PACKED.sub("…", text)
