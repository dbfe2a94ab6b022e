"""Read the names of files from what an earlier verb printed, one path a line, so that no shell has to take them apart.

``$(cat build/results.txt)`` loses names with blanks, runs what stands in a name, and vanishes where the file is empty: the next
verb then takes its default. A library that prints adds lines of its own; such a line must not become the name of a file.
"""

from __future__ import annotations

import argparse
import codecs
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import Pattern, Sequence

from runner.contract import files
from runner.contract.errors import InputError, UsageError
from runner.contract.result import ATTEMPT
from runner.contract.text import printable

MAX_BYTES = 64 * 1024 * 1024  # the paths of 500,000 results
MOST_TOLD = 10  # lines that are no path: a whole log may be given by mistake


@dataclass(frozen=True)
class Kind:
    """What a list names: in words, which verbs print such a list, and what stands in every path of this kind.

    ``mark`` is None for a kind whose paths have no form: then a line is a path if a file or folder has this path.
    """

    what: str
    printed_by: str
    mark: Pattern[str] | None


RESULTS = Kind("result", "`bench` or `collect`", re.compile(rf"{ATTEMPT.pattern}\.json"))
REQUESTS = Kind("request", "`request`", re.compile(r"[A-Za-z0-9]\.json"))
LOGS = Kind("log", "`submit` or `follow`", re.compile(r"\.log"))
MANIFESTS = Kind("manifest", "`render`", None)


def add_from(described: argparse.ArgumentParser, kind: Kind) -> None:
    """Add the flag ``--from FILE`` to a verb's parser; ``given`` reads what the flag names."""
    described.add_argument(
        "--from",
        dest="listed_in",
        metavar="FILE",
        help=f"take each {kind.what}'s path from FILE too, one a line, as {kind.printed_by} printed them; without a path in FILE"
        " nothing is done (exit 3)",
    )


def given(named: Sequence[str], listed_in: str | None, kind: Kind) -> list[str]:
    """Return the paths that a command line names, then those that the file of its ``--from`` lists."""
    return [*named, *(read_names(listed_in, kind) if listed_in is not None else [])]


def refuse_unlistable(folder: str | os.PathLike[str], flag: str) -> None:
    """Raise ``UsageError`` for a folder whose paths cannot stand in a list: with a line break, or what a terminal would act on.

    So is an empty name, which an unset variable of a shell gives.
    """
    if not os.fspath(folder):
        raise UsageError(f"{flag} is empty. Name a folder, or leave {flag} out.")
    if any(unicodedata.category(character) == "Cc" for character in os.fspath(folder)):
        raise UsageError(
            f"{printable(os.fspath(folder), 100)} holds a line break or another control character, and paths are printed one a line."
            f" Name another folder with {flag}."
        )


def read_names(path: str, kind: Kind) -> list[str]:
    """Return the paths that a file lists, one a line, blanks and all; a line that is no path of this kind is left out, and said.

    A line in which a path stands beside other text is returned whole: no file has that name, and the verb says so instead of
    losing what the line was about. Raises ``InputError`` where the file cannot be read or lists no path.
    """
    content = files.read_bytes(path, MAX_BYTES, InputError, f"Name the file that holds what {kind.printed_by} printed.")
    found: list[str] = []
    left_out = 0
    # an editor of Windows adds a byte order mark and carriage returns, which no verb prints
    for number, line in enumerate((content[3:] if content.startswith(codecs.BOM_UTF8) else content).split(b"\n"), 1):
        name = os.fsdecode(line.rstrip(b"\r"))
        if not name.strip():
            continue
        if "\0" not in name and (kind.mark.search(name) if kind.mark is not None else os.path.exists(name)):
            found.append(name)
        else:
            left_out += 1
            if left_out <= MOST_TOLD:
                told = f"{path}: line {number} is no path of a {kind.what} and is left out: {printable(name, 100)}"
                print(told, file=sys.stderr)
    if left_out > MOST_TOLD:
        print(
            f"{path}: {left_out - MOST_TOLD:,} more lines are no path of a {kind.what} and are left out",
            file=sys.stderr,
        )
    if not found:
        raise InputError(
            f"{path} lists no {kind.what}: {kind.printed_by}, which printed the list, had none to tell. Read what was said"
            " there, and run that step again."
        )
    return found
