"""The verb ``collect``: take results out of the logs of pods or processes, whole or not at all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import files, path_lists, publish, strictjson
from runner.contract import result as contract
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.text import printable
from runner.host.readers import saved_logs
from runner.host.results import result_files, run_images
from runner.host.results.run_images import RunImage


@dataclass(frozen=True)
class ResultCollected(Event, word="result"):
    """A result was written, or was there already."""

    path: str = field(metadata=fact("path of the result's file"))
    attempt: str = field(metadata=fact("id of the attempt"))
    request: str = field(metadata=fact("id of the request"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.path


@dataclass(frozen=True)
class ResultRefused(Complaint, word="refused"):
    """A result in a log was refused; the others are taken."""

    message: str = field(metadata=fact("why, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"refused: {self.message}"


@dataclass(frozen=True)
class LogUnreadable(Complaint, word="unreadable"):
    """A log could not be read; the others are read. The last such log ends the verb with an error."""

    message: str = field(metadata=fact("why, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"runner: {self.message}"


@dataclass(frozen=True)
class ImagesUnknown(Complaint, word="images-unknown"):
    """What was seen of a run cannot be read, so that nothing is noted of the images that the run was started from."""

    message: str = field(metadata=fact("why, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"runner: {self.message}"


@dataclass(frozen=True)
class LogEmpty(Complaint, word="no-result"):
    """A log holds no result, as that of a run whose result was taken off its volume."""

    log: str = field(metadata=fact("path of the log, or `standard input`"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"no result is in {self.log}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's command line."""
    described = verb_parser(
        "collect",
        description="Find the results that `bench --frames` wrote into each LOG and write them as files, as if they had been"
        " measured here. A log may be packed (gzip, bzip2, xz), in UTF-16, or as Docker, containerd or a log store wrote it."
        " The paths go to standard output. A result that is there already stays; one that is cut or altered is refused, and"
        " the rest is taken.",
        epilog="Exit codes: 8 if a result was refused; see `python -m runner --help`.",
    )
    described.add_argument("logs", nargs="*", metavar="LOG", help="a file with a log, or - for standard input")
    path_lists.add_from(described, path_lists.LOGS)
    described.add_argument(
        "--results", default="results", metavar="FOLDER", type=Path, help="where results go (default: %(default)s)"
    )
    add_json(described, "each result")
    return described


def main(arguments: Sequence[str]) -> int:
    """Write the results in the named logs as files, and print their paths. Returns the exit code.

    Raises ``UsageError``; ``InputError`` for a log that cannot be read, after the other logs, and where no log holds a result;
    ``PublishFailed`` where a result cannot be written. The images that a kubelet reported go beside the result, see ``run_images``.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    path_lists.refuse_unlistable(options.results, "--results")
    # a log that is named twice is read once; standard input has nothing left the second time
    logs = list(dict.fromkeys(path_lists.given(options.logs, options.listed_in, path_lists.LOGS)))
    if not logs:
        raise UsageError("No LOG is named. Name one, or the file that lists them with --from.")
    refused: list[DamagedResult] = []
    unreadable: list[InputError] = []
    taken: set[str] = set()
    damaged: dict[str, DamagedResult] = {}
    empty: list[str] = []
    for log in logs:
        try:
            saved = saved_logs.read(log)
        # the other logs are read all the same
        except InputError as problem:
            unreadable.append(problem)
            continue
        damaged |= saved.damaged
        refused += [saved.unread] if saved.unread is not None else []
        if not saved.whole and not saved.damaged and saved.unread is None:
            empty.append(printable(saved_logs.shown(log)))
        images = _images(announcer, log) if saved.whole else []
        for attempt, content in saved.whole.items():
            try:
                collected = _keep(content, f"{printable(saved_logs.shown(log))}: attempt {attempt}", options.results)
            except DamagedResult as refusal:
                refused.append(refusal)
            else:
                if images:
                    run_images.write(collected.path, images)
                if attempt not in taken:
                    announcer.announce(collected)
                taken.add(attempt)
    # a result that one log lost another log may hold whole: that of the Job which takes results off the volume
    refused += [damage for attempt, damage in damaged.items() if attempt not in taken]
    for reason in refused:
        announcer.announce(ResultRefused(printable(str(reason))))
    if unreadable:
        for earlier in unreadable[:-1]:
            announcer.announce(LogUnreadable(str(earlier)))
        raise unreadable[-1]
    if not taken and not refused:
        raise InputError(f"No result is in {', '.join(empty)}. Was it the log of `python -m runner bench --frames`?")
    # no error: the log of a run whose result was taken off the volume holds no result
    for log in empty:
        announcer.announce(LogEmpty(log))
    return DamagedResult.exit_code if refused else 0


def _images(announcer: Announcer, log: str) -> list[RunImage]:
    """Return the images of the run that wrote a log, none where its client did not keep them."""
    try:
        return [] if log == "-" else run_images.of_log(log)
    except InputError as problem:
        announcer.announce(ImagesUnknown(printable(str(problem), 500)))
        return []


def _keep(content: bytes, where: str, folder: Path) -> ResultCollected:
    """Write one result under its own name; the same result a second time changes nothing.

    Raises ``DamagedResult`` for a damaged result, and for another one of an attempt that is in the folder; ``PublishFailed``.
    """
    result, request = result_files.of_bytes(content, where)
    path = folder / contract.file_name(request.id, result["attempt"]["id"])
    collected = ResultCollected(str(path), result["attempt"]["id"], request.id)
    if path.exists():
        existing = files.read_bytes(path, strictjson.MAX_BYTES, DamagedResult, "Remove it, and collect again.")
        if existing != content:
            raise DamagedResult(
                f"{where} is another result than {path}, of the same attempt. Keep both apart and look."
            )
        return collected
    publish.publish(str(path), content)
    return collected
