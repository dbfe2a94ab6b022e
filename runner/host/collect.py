"""The verb ``collect``: take results out of the logs of pods or processes, whole or not at all."""

import argparse
import io
import sys
from pathlib import Path

from runner.contract import frame, names, publish
from runner.contract import result as contract
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.text import printable
from runner.host import results


def parser():
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m runner collect",
        description="Find the results that `bench --frames` wrote into each LOG and write them as files, as if they had been"
        " measured here. The paths go to standard output. A result that is there already stays; one that is cut or altered"
        " is refused, and the rest is taken.",
        epilog="Exit codes: 8 if a result was refused; see `python -m runner --help`.",
    )
    described.add_argument("logs", nargs="*", metavar="LOG", help="a file with a log, or - for standard input")
    names.add_from(described, names.LOGS)
    described.add_argument(
        "--results", default="results", metavar="FOLDER", type=Path, help="where results go (default: %(default)s)"
    )
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    logs = names.given(options.logs, options.listed_in, names.LOGS)
    if not logs:
        raise UsageError("No LOG is named. Name one, or the file that lists them with --from.")
    refused: list[DamagedResult] = []
    taken: dict[str, Path] = {}
    broken: dict[str, DamagedResult] = {}
    for log in logs:
        whole, problems = _read(log)
        broken |= problems
        for attempt, content in whole.items():
            try:
                path = _keep(content, f"{_named(log)}: attempt {attempt}", options.results)
            except DamagedResult as problem:
                refused.append(problem)
            else:
                if attempt not in taken:
                    print(path)
                taken[attempt] = path
    # what one log lost another may have whole: that of the Job which takes results off the volume
    refused += [problem for attempt, problem in broken.items() if attempt not in taken]
    for refusal in refused:
        print(f"refused: {printable(str(refusal))}", file=sys.stderr)
    if not taken and not refused:
        raise InputError(
            f"No result is in {', '.join(map(_named, logs))}. Was it the log of `python -m runner bench --frames`?"
        )
    return DamagedResult.exit_code if refused else 0


def _named(log):
    return "standard input" if log == "-" else printable(log)


def _read(log):
    if log == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):  # a log may hold bytes that are no text
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        return frame.read(sys.stdin, _named(log))
    try:
        with Path(log).open(encoding="utf-8", errors="replace") as lines:
            return frame.read(lines, log)
    except OSError as problem:
        raise InputError(f"{log} cannot be read: {problem.strerror}. Check the path.") from None


def _keep(content, where, folder):
    """Write one result under its own name and return the path; the same result twice is one."""
    result, request = results.of_bytes(content, where)
    path = folder / contract.file_name(request.id, result["attempt"]["id"])
    if path.exists():
        if path.read_bytes() != content:
            raise DamagedResult(
                f"{where} is another result than {path}, of the same attempt. Keep both apart and look."
            )
        return path
    publish.publish(str(path), content)
    return path
