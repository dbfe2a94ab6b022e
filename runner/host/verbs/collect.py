"""The verb ``collect``: take results out of the logs of pods or processes, whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

from runner.contract import files, names, publish, strictjson
from runner.contract import result as contract
from runner.contract.arguments import verb_parser
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.text import printable
from runner.host.readers import saved_logs
from runner.host.results import result_files


def parser():
    described = verb_parser(
        "collect",
        description="Find the results that `bench --frames` wrote into each LOG and write them as files, as if they had been"
        " measured here. A log may be packed (gzip, bzip2, xz), in UTF-16, or as Docker, containerd or a log store wrote it."
        " The paths go to standard output. A result that is there already stays; one that is cut or altered is refused, and"
        " the rest is taken.",
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
    names.refuse_unlistable(options.results, "--results")
    # a log that is named twice is read once; standard input has nothing left the second time
    named = list(dict.fromkeys(names.given(options.logs, options.listed_in, names.LOGS)))
    if not named:
        raise UsageError("No LOG is named. Name one, or the file that lists them with --from.")
    refused: list[DamagedResult] = []
    missing: list[InputError] = []
    taken: set[str] = set()
    broken: dict[str, DamagedResult] = {}
    empty: list[str] = []
    for log in named:
        try:
            whole, problems, rest = saved_logs.read(log)
        except InputError as unread:  # the other logs are read all the same
            missing.append(unread)
            continue
        broken |= problems
        refused += [rest] if rest is not None else []
        if not whole and not problems and rest is None:
            empty.append(printable(saved_logs.shown(log)))
        for attempt, content in whole.items():
            try:
                path = _keep(content, f"{printable(saved_logs.shown(log))}: attempt {attempt}", options.results)
            except DamagedResult as refusal:
                refused.append(refusal)
            else:
                if attempt not in taken:
                    print(path)
                taken.add(attempt)
    # what one log lost another may have whole: that of the Job which takes results off the volume
    refused += [problem for attempt, problem in broken.items() if attempt not in taken]
    for problem in refused:
        print(f"refused: {printable(str(problem))}", file=sys.stderr)
    if missing:
        for gone in missing[:-1]:
            print(f"runner: {gone}", file=sys.stderr)
        raise missing[-1]
    if not taken and not refused:
        raise InputError(f"No result is in {', '.join(empty)}. Was it the log of `python -m runner bench --frames`?")
    # the log of a run whose result was taken off the volume has none, so that this is no error
    for log in empty:
        print(f"no result is in {log}", file=sys.stderr)
    return DamagedResult.exit_code if refused else 0


def _keep(content: bytes, where: str, folder: Path) -> Path:
    """Write one result under its own name and return the path; the same result twice is one."""
    result, request = result_files.of_bytes(content, where)
    path = folder / contract.file_name(request.id, result["attempt"]["id"])
    if path.exists():
        there = files.read_bytes(path, strictjson.MAX_BYTES, DamagedResult, "Remove it, and collect again.")
        if there != content:
            raise DamagedResult(
                f"{where} is another result than {path}, of the same attempt. Keep both apart and look."
            )
        return path
    publish.publish(str(path), content)
    return path
