"""The verb ``frames``: print results that lie in a folder as checksummed lines, so that a log carries them off a volume."""

import argparse
import os
import sys

from runner.contract import frame
from runner.contract.errors import InputError
from runner.contract.result import ATTEMPT


def parser():
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m runner frames",
        description="Print every result below FOLDER as `bench --frames` prints it, for `python -m runner collect`. Nothing is"
        " written. Without a result nothing is printed.",
        epilog="Exit codes: see `python -m runner --help`.",
    )
    described.add_argument("folder", metavar="FOLDER", help="a folder that `bench --results` wrote to")
    described.add_argument(
        "--since", metavar="TIME", default="", help="leave out attempts that began before (YYYYMMDDTHHMMSSZ)"
    )
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    found = 0
    for path in sorted(_results(options.folder)):
        attempt = os.path.splitext(os.path.basename(path))[0]
        if attempt < options.since:
            continue
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as problem:
            raise InputError(f"{path} cannot be read: {problem.strerror}. Check the volume's owner and mode.") from None
        print("\n".join(frame.write(attempt, content)), flush=True)
        found += 1
    print(f"{found} result(s) in {options.folder}", file=sys.stderr, flush=True)
    return 0


def _results(folder):
    """Yield the paths of whole results: a name is given to a file only after all of it was written."""
    for place, _, names in os.walk(folder):
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending == ".json" and ATTEMPT.fullmatch(stem):
                yield os.path.join(place, name)
