"""Read lists of paths that an earlier verb printed, one path a line, so that no shell has to split them.

``$(cat build/results.txt)`` splits paths with blanks, runs commands that a path may hold, and vanishes where the file is empty: the
next verb then takes its default. A library may print lines of its own among the paths; such a line must not become a path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import Pattern, Sequence

from runner.contract import file_kinds, files
from runner.contract.errors import InputError, UsageError
from runner.contract.result import ATTEMPT
from runner.contract.text import printable

# The paths of 500,000 results.
MAX_BYTES = 64 * 1024 * 1024
# Lines without a path that are reported: a whole log may be given by mistake.
MAX_SHOWN = 10


@dataclass(frozen=True)
class PathKind:
    """A kind of path: the noun for messages, the verbs that print such a list, and a pattern that is found in every such path.

    ``event`` is the event that those verbs print of a path with ``--json``. ``mark`` is None for a kind whose paths have no pattern:
    then a line is a path if a file or folder has this path.
    """

    what: str
    event: str
    printed_by: str
    mark: Pattern[str] | None


RESULTS = PathKind("result", "result", "`bench` or `collect`", re.compile(rf"{ATTEMPT.pattern}\.json"))
REQUESTS = PathKind("request", "request", "`request`", re.compile(r"[A-Za-z0-9]\.json"))
LOGS = PathKind("log", "log", "`submit` or `follow`", re.compile(r"\.log"))
MANIFESTS = PathKind("manifest", "folder", "`render`", None)


def add_from(described: argparse.ArgumentParser, kind: PathKind) -> None:
    """Add the flag ``--from FILE`` to a verb's parser; ``given`` reads the file that the flag names."""
    described.add_argument(
        "--from",
        dest="listed_in",
        metavar="FILE",
        help=f"take each {kind.what}'s path from FILE too, one a line, as {kind.printed_by} printed them; without a path in FILE"
        " nothing is done (exit 3)",
    )


def given(named: Sequence[str], listed_in: str | None, kind: PathKind) -> list[str]:
    """Return the paths that a command line names, then the paths in the file that its ``--from`` names.

    Raises ``InputError`` as ``read_paths`` does.
    """
    return [*named, *(read_paths(listed_in, kind) if listed_in is not None else [])]


def refuse_unlistable(folder: str | os.PathLike[str], flag: str) -> None:
    """Raise ``UsageError`` for a folder whose paths cannot stand in a list: with a line break or another control character.

    An empty name, as an unset variable of a shell gives, is refused too.
    """
    if not os.fspath(folder):
        raise UsageError(f"{flag} is empty. Name a folder, or leave {flag} out.")
    if any(unicodedata.category(character) == "Cc" for character in os.fspath(folder)):
        raise UsageError(
            f"{printable(os.fspath(folder), 100)} holds a line break or another control character, and paths are printed one a line."
            f" Name another folder with {flag}."
        )


def read_paths(path: str, kind: PathKind) -> list[str]:
    """Return the paths in a file, one a line, their blanks kept; a line that is no path of this kind is left out and reported.

    A line may also be the JSON object that the same verb prints with ``--json``. A line with a path and other text is returned
    whole: no file has that name, and the verb then says so. Raises ``InputError`` where the file cannot be read or lists no path.
    """
    content = files.read_bytes(path, MAX_BYTES, InputError, f"Name the file that holds what {kind.printed_by} printed.")
    paths: list[str] = []
    left_out = 0
    # an editor of Windows adds a byte order mark and carriage returns, which no verb prints
    for number, line in enumerate(file_kinds.without_utf8_mark(content).split(b"\n"), 1):
        name = _path_in(os.fsdecode(line.rstrip(b"\r")), kind)
        if not name.strip():
            continue
        if "\0" not in name and (kind.mark.search(name) if kind.mark is not None else os.path.exists(name)):
            paths.append(name)
        else:
            left_out += 1
            if left_out <= MAX_SHOWN:
                print(
                    f"{path}: line {number} is no path of a {kind.what} and is left out: {printable(name, 100)}",
                    file=sys.stderr,
                )
    if left_out > MAX_SHOWN:
        print(
            f"{path}: {left_out - MAX_SHOWN:,} more lines are no path of a {kind.what} and are left out",
            file=sys.stderr,
        )
    if not paths:
        raise InputError(
            f"{path} lists no {kind.what}: {kind.printed_by}, which printed the list, had none to tell. Read what was said"
            " there, and run that step again."
        )
    return paths


def _path_in(line: str, kind: PathKind) -> str:
    """Return the path of the JSON object that a verb printed of a path of this kind; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        event = json.loads(line)
        path = event.get("path")
        if event.get("event") != kind.event or not isinstance(path, str):
            return line
        os.fsencode(path)
    # ValueError comes for no JSON, and for a path that no file can have; RecursionError for brackets in many levels
    except (ValueError, RecursionError):
        return line
    return path
