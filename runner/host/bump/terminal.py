"""What people read of a list of newer things: a table of 80 columns, and a line for each thing that is in no table."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from rich.table import Table

from runner.contract import patterns
from runner.contract.announce import Event
from runner.contract.text import printable
from runner.host import tables
from runner.host.bump.findings import (
    DayNotAsked,
    Finding,
    NewerFound,
    NotComparable,
    PythonTooOld,
    RowNotReached,
    RowNotThere,
    StackToAdd,
    VersionHeld,
)

COLUMNS = 80
# As many digits of a commit or digest as git and docker show.
_SHORT = 12
# A message of an origin fits three lines, the cause in it one.
_MESSAGE_CHARACTERS = 240
_CAUSE_CHARACTERS = 60
# How programs and Python name the causes of silence; the first in a message is the cause of what follows.
_CAUSE = re.compile(
    r"no such host|[Cc]ould not resolve host|Name or service not known|Temporary failure in name resolution|[Cc]onnection refused"
    r"|[Cc]onnection reset by peer|[Nn]o route to host|[Nn]etwork is unreachable|i/o timeout|timed out|context deadline exceeded"
)


def table(findings: Sequence[Finding]) -> Table | None:
    """Return the table of what is newer, held or for another Python, in the order of ``findings``; None for an empty one."""
    drawn = tables.plain("row", "current", "newer", "day", "from")
    for one in findings:
        if isinstance(one, (NewerFound, VersionHeld, PythonTooOld)):
            mark = "" if isinstance(one, NewerFound) else " (held)" if isinstance(one, VersionHeld) else " (Python)"
            same_tag = isinstance(one, NewerFound) and one.version == one.current
            version = (
                f"{one.version}@{_short(one.pin or '')}" if same_tag and isinstance(one, NewerFound) else one.version
            )
            _add(drawn, one.name, one.current, f"{_short(version)}{mark}", one.day, one.source)
        elif isinstance(one, StackToAdd):
            _add(drawn, one.name or "a new stack", one.current, one.version, one.day, one.source)
    return drawn if drawn.row_count else None


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return the lines of what stands below the table: why a version is held, what a new stack is for, and what was not asked."""
    told = [line for one in findings if (line := _line(one)) is not None]
    days = [one for one in findings if isinstance(one, DayNotAsked)]
    if days:
        names = ", ".join(one.name for one in days)
        since = ", ".join(dict.fromkeys(one.current for one in days))
        told.append(
            f"not asked: {names}: packages up to {since}; `bump NAME` compiles one up to {days[0].version} and says what moves"
        )
    return [line for text in told for line in wrapped(text)]


def complaints(found: Iterable[RowNotReached | RowNotThere]) -> list[str]:
    """Return lines of 80 columns for each row that is not there, and for each origin that did not answer, with its rows."""
    told: list[str] = []
    silent: dict[str, list[RowNotReached]] = {}
    for one in found:
        if isinstance(one, RowNotReached):
            silent.setdefault(one.source, []).append(one)
        else:
            told.append(f"not there: {one.name}: {_message(one.message)}")
    for source, missed in silent.items():
        names = ", ".join(one.name for one in missed)
        told.append(f"not reached: {_host(source)}: {cause(missed[0].message)}; {len(missed)} of the rows: {names}")
    return [line for text in told for line in wrapped(text)]


def cause(message: str) -> str:
    """Return the shortest part of a message that tells why an origin did not answer, such as "no such host".

    The whole message stands in the event. A program's own words stand in brackets in a message, its cause at the end of them.
    """
    known = _CAUSE.search(message)
    if known is not None:
        return known[0]
    words = re.search(r"\((.*)\)", message)
    text = words[1] if words is not None else message.partition(". ")[0]
    return printable(text.rpartition(": ")[2].strip(" \\\"'<>()"), _CAUSE_CHARACTERS) or "it did not answer"


def _line(one: Event) -> str | None:
    if isinstance(one, VersionHeld):
        return f"held: {one.name} {one.version}: may move to {one.hold} alone" + (f": {one.note}" if one.note else "")
    if isinstance(one, PythonTooOld):
        return (
            f"another Python: {one.name} {one.version} asks for Python {one.requires_python}, and the row has"
            f" {', '.join(one.pythons)}"
        )
    if isinstance(one, NotComparable):
        return f"unresolved: {one.name}: {one.message}"
    if isinstance(one, NewerFound) and one.why is not None:
        return f"{one.name}: {one.why}"
    if isinstance(one, StackToAdd):
        release = f"SynapseAI {one.release}" if one.release else "a release of SynapseAI that nothing tells"
        return (
            f"new stack: {one.part} {one.version} is for {release}: `bump {one.name or 'NEWSTACK'} --like {one.like}`"
        )
    return None


def _add(drawn: Table, name: str, current: str, version: str, day: str | None, source: str) -> None:
    drawn.add_row(
        tables.cell(name),
        tables.cell(_short(current)),
        tables.cell(version),
        tables.cell(day or "not told"),
        tables.cell(_host(source)),
    )


def _short(text: str) -> str:
    """Return a commit or digest by its first digits, and any other text as it is."""
    if patterns.COMMIT.fullmatch(text):
        return text[:_SHORT]
    return re.sub(r"sha256:([0-9a-f]{12})[0-9a-f]{52}", r"\1", text)


def _host(source: str) -> str:
    """Return the host of an address or of an image's repository; a folder as it is."""
    return re.sub(r"^[a-z]+://(?=[^/])", "", source).partition("/")[0] or source


def wrapped(text: str) -> list[str]:
    """Return a sentence in lines of 80 columns; the foreign text in it is made printable before it is cut."""
    return textwrap.wrap(
        printable(text, 4 * _MESSAGE_CHARACTERS), COLUMNS, subsequent_indent="  ", break_on_hyphens=False
    )


def _message(text: str) -> str:
    return printable(text, _MESSAGE_CHARACTERS)
