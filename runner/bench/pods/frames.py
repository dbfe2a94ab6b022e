"""The verb ``frames``: print results that lie in a folder as checksummed lines, so that a log carries them off a volume."""

from __future__ import annotations

import os
import re
import sys
from typing import Iterator

from runner.contract import files, frame, strictjson, unfinished
from runner.contract.arguments import verb_parser
from runner.contract.errors import DamagedResult, InputError, KitError, UsageError
from runner.contract.result import ATTEMPT

TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
ADVICE = "Check the volume's owner and mode."


def parser():
    described = verb_parser(
        "frames",
        description="Print every result below FOLDER as `bench --frames` prints it, for `python -m runner collect`; of a run that was"
        " killed, what it had measured. Nothing is written. Without a result nothing is printed.",
        epilog="Exit codes: 8 if a folder could not be looked into; see `python -m runner --help`.",
    )
    described.add_argument("folder", metavar="FOLDER", help="a folder that `bench --results` wrote to")
    described.add_argument(
        "--since", metavar="TIME", default="", help="leave out attempts that began before (YYYYMMDDTHHMMSSZ)"
    )
    return described


def main(arguments):
    """Print all results that can be read and return 0; raise the first ``KitError`` of what cannot, after all others are said."""
    options = parser().parse_args(arguments)
    if options.since and not TIME.fullmatch(options.since):
        raise UsageError(f"--since {options.since} is no time. Write YYYYMMDDTHHMMSSZ, such as 20261122T100000Z.")
    printed, problems = 0, []
    for attempt, found in _results(options.folder):
        if attempt and attempt < options.since:
            continue
        if isinstance(found, KitError):
            problems.append(found)
            continue
        print("\n".join(frame.write(attempt, found)), flush=True)
        printed += 1
    print(f"{printed} result(s) in {options.folder}", file=sys.stderr, flush=True)
    if problems:
        # a folder that nobody has looked into may hold any number of results: that is told by the exit code
        last = next((one for one in problems if isinstance(one, DamagedResult)), problems[0])
        for problem in problems:
            if problem is not last:
                print(f"runner: {problem}", file=sys.stderr, flush=True)
        raise last
    return 0


def _results(folder: str) -> Iterator[tuple[str, bytes | KitError]]:
    """Yield attempt and content of all whole results, or why they cannot be read; the attempt of a folder is empty.

    A name is given to a file only after all of it was written. What a run left that was killed comes last.
    """
    refused: list[OSError] = []
    paths = []
    for place, _, names in os.walk(folder, onerror=refused.append):
        stems = [os.path.splitext(name)[0] for name in names if name.endswith(".json")]
        paths += [os.path.join(place, f"{stem}.json") for stem in stems if ATTEMPT.fullmatch(stem)]
    for path in sorted(paths):
        attempt = os.path.splitext(os.path.basename(path))[0]
        try:
            yield attempt, files.read_bytes(path, strictjson.MAX_BYTES, InputError, ADVICE)
        except InputError as problem:
            yield attempt, problem
    for refusal in refused:
        if os.path.lexists(refusal.filename):
            yield "", DamagedResult(f"{refusal.filename} cannot be read: {files.reason(refusal)}. {ADVICE}")
    for one in unfinished.left(folder):
        if isinstance(one, KitError):
            yield "", one
        elif one.measured and not one.published:
            yield one.attempt, one.content
