"""The verb ``frames``: print the results of a folder as checksummed lines, so that a log carries them off a volume."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Iterator, NamedTuple, Sequence

from runner.contract import files, frame, strictjson, unfinished
from runner.contract.arguments import verb_parser
from runner.contract.errors import DamagedResult, InputError, KitError, UsageError
from runner.contract.result import ATTEMPT

_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_ADVICE = "Check the volume's owner and mode."


class _Entry(NamedTuple):
    """A result in the folder: the bytes of its file, or why they cannot be read. Without an attempt for a folder."""

    attempt: str | None
    content: bytes | KitError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "frames",
        description="Print every result below FOLDER as `bench --frames` prints it, for `python -m runner collect`; of a run that was"
        " killed, what it had measured. Nothing is written. Without a result nothing is printed.",
        epilog="Exit codes: 8 if a folder could not be looked into; see `python -m runner --help`.",
    )
    flags.add_argument("folder", metavar="FOLDER", help="a folder that `bench --results` wrote to")
    flags.add_argument(
        "--since", metavar="TIME", default="", help="leave out attempts that began before (YYYYMMDDTHHMMSSZ)"
    )
    return flags


def main(arguments: Sequence[str]) -> int:
    """Print the frames of all results that can be read and return 0.

    Where a file or folder cannot be read, all other results are printed first. Then one error is raised and the others
    are printed: a ``DamagedResult`` if there is one, since a folder that cannot be read may hold any number of results.
    Raises ``UsageError`` for a ``--since`` that is no time.
    """
    options = parser().parse_args(arguments)
    if options.since and not _TIME.fullmatch(options.since):
        raise UsageError(f"--since {options.since} is no time. Write YYYYMMDDTHHMMSSZ, such as 20261122T100000Z.")
    printed, problems = 0, []
    for entry in _entries(options.folder):
        if entry.attempt and entry.attempt < options.since:
            continue
        if isinstance(entry.content, KitError):
            problems.append(entry.content)
            continue
        # Only a folder has no attempt, and a folder has no content.
        assert entry.attempt is not None
        print("\n".join(frame.write(entry.attempt, entry.content)), flush=True)
        printed += 1
    print(f"{printed} result(s) in {options.folder}", file=sys.stderr, flush=True)
    if problems:
        raised = next((problem for problem in problems if isinstance(problem, DamagedResult)), problems[0])
        for problem in problems:
            if problem is not raised:
                print(f"runner: {problem}", file=sys.stderr, flush=True)
        raise raised
    return 0


def _entries(folder: str) -> Iterator[_Entry]:
    """Yield all results below a folder, in the order of their paths, and at last what killed runs had measured.

    A file has the name of a result only after all of it was written.
    """
    refusals: list[OSError] = []
    paths = []
    for parent, _, names in os.walk(folder, onerror=refusals.append):
        stems = [os.path.splitext(name)[0] for name in names if name.endswith(".json")]
        paths += [os.path.join(parent, f"{stem}.json") for stem in stems if ATTEMPT.fullmatch(stem)]
    for path in sorted(paths):
        attempt = os.path.splitext(os.path.basename(path))[0]
        try:
            yield _Entry(attempt, files.read_bytes(path, strictjson.MAX_BYTES, InputError, _ADVICE))
        except InputError as problem:
            yield _Entry(attempt, problem)
    for refusal in refusals:
        if os.path.lexists(refusal.filename):
            message = f"{refusal.filename} cannot be read: {files.reason(refusal)}. {_ADVICE}"
            yield _Entry(None, DamagedResult(message))
    for left in unfinished.left(folder):
        if isinstance(left, KitError):
            yield _Entry(None, left)
        elif left.measured and not left.published:
            yield _Entry(left.attempt, left.content)
