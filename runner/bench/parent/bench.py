"""The verb ``bench``: run requests in this environment, write results, print their paths."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from dataclasses import dataclass, field
from typing import Callable, Iterator, Sequence

from runner.bench.parent import attempt
from runner.bench.parent.attempt_record import Paths, print_frames
from runner.contract import files, path_lists, progress, signals, strictjson, termination, unfinished
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import Interrupted, KitError, PublishFailed, UsageError
from runner.contract.request import Request, read_request
from runner.contract.text import printable


@dataclass(frozen=True)
class ResultWritten(Event, word="result"):
    """An attempt has ended, and its result was written."""

    path: str = field(metadata=fact("path of the result's file"))
    attempt: str = field(metadata=fact("id of the attempt"))
    request: str = field(metadata=fact("id of the request"))
    case: str = field(metadata=fact("name of the case"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.path


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "bench",
        description="Run each request with the launcher that its stack names and write one result file per attempt."
        " Progress goes to standard error, the paths of the results to standard output.",
        epilog="Ctrl-C, SIGTERM and SIGHUP stop a run, and what was measured is kept; a signal that was ignored at the start, as"
        " nohup and a script's background jobs have it, stays ignored. Exit codes: see `python -m runner --help`.",
    )
    flags.add_argument("requests", nargs="*", metavar="REQUEST", help="a file that `python -m runner request` wrote")
    path_lists.add_from(flags, path_lists.REQUESTS)
    flags.add_argument("--results", default="results", metavar="FOLDER", help="where results go (default: %(default)s)")
    flags.add_argument(
        "--model-dir", metavar="FOLDER", help="folder of the model's real weights, instead of the hub cache"
    )
    flags.add_argument("--dataset-file", metavar="FILE", help="the local file that the request's dataset names")
    flags.add_argument(
        "--hostfile",
        metavar="FILE",
        help="run on several hosts, this one first: a line ADDRESS slots=N each, as many slots in all as the request has devices",
    )
    flags.add_argument(
        "--frames",
        action="store_true",
        help="write each result to standard output too, in checksummed lines that `python -m runner collect` reads",
    )
    flags.add_argument(
        "--operators",
        action="store_true",
        help="count operators and kernels: after all that is measured, each launch makes one more call under torch's profiler, which"
        " ends after four tokens and costs about as long as they take. The result tells the counts; a Gaudi tells none",
    )
    add_json(flags, "each result")
    flags.add_argument(
        "--termination-message", metavar="FILE", help="leave a summary of at most 4,096 bytes there, however it ends"
    )
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run all requests in order and return 0.

    What one request lost keeps the others from nothing: the error of each is printed, and the first is raised again at the end. An
    interruption, and a result that cannot be written, end the verb at once.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    if options.json and options.frames:
        raise UsageError("--frames prints lines of a log, and --json nothing but JSON. Leave one of them out.")
    path_lists.refuse_unlistable(options.results, "--results")
    paths = Paths(options.results, options.model_dir, options.dataset_file, options.hostfile)
    with signals.as_interrupt(), _termination_message(options.termination_message) as add_to_message:
        requests = _requests(options.requests, options.listed_in)
        if options.operators:
            _refuse_datasets(requests)
        _publish_killed_attempts(options.results)
        failed: list[KitError] = []
        for number, request in enumerate(requests, 1):
            published = functools.partial(_published, announcer, request, options.frames, add_to_message)
            task = progress.begin(request.case, functools.partial(_show, request.case))
            try:
                attempt.run(request, paths, task, published, options.operators)
            except (Interrupted, PublishFailed):
                raise
            except KitError as problem:
                failed.append(problem)
                task.end()
                left = len(requests) - number
                if left or len(failed) > 1:
                    _show(request.case, f"{problem}{f' {left} more request(s) follow.' if left else ''}")
        if len(failed) > 1:
            raise type(failed[0])(
                f"{failed[0]} {len(failed)} of {len(requests)} requests were lost; each is told above."
            )
        if failed:
            raise failed[0]
    return 0


def _requests(named: Sequence[str], listed_in: str | None) -> list[Request]:
    """Return the requests of the files that the command line names, and of those that the file of --from lists.

    Raises ``UsageError`` where no file is named, ``InputError`` for a file that is not a request.
    """
    paths = path_lists.given(named, listed_in, path_lists.REQUESTS)
    if not paths:
        raise UsageError("No REQUEST is named. Name one, or the file that lists them with --from.")
    return [read_request(path) for path in paths]


def _refuse_datasets(requests: Sequence[Request]) -> None:
    """Raise ``UsageError`` for a request that completes a dataset: it has no call that another launch repeats."""
    for request in requests:
        if request.workload.dataset is not None:
            raise UsageError(
                f"--operators counts in a call of the workload's prompt, and {request.case} completes a dataset. Leave --operators"
                " out, or name requests of the workload latency."
            )


def _publish_killed_attempts(folder: str) -> None:
    """Publish what killed runs had measured; print the path of each, or the error of one that cannot be published."""
    for left in unfinished.take_up(folder):
        line = str(left) if isinstance(left, KitError) else f"{left.path} holds what a run measured that was cut off"
        print(f"runner: {printable(line)}", file=sys.stderr, flush=True)


def _published(
    announcer: Announcer, request: Request, with_frames: bool, add_to_message: Callable[[str], None], path: str
) -> None:
    """Print the path of a result, and its frames where they are wanted; add the result to the termination message."""
    # A result's file is named by the attempt's id.
    attempt_id = os.path.splitext(os.path.basename(path))[0]
    announcer.announce(ResultWritten(path, attempt_id, request.id, request.case))
    if with_frames:
        print_frames(attempt_id, files.read_bytes(path, strictjson.MAX_BYTES))
    add_to_message(path)


@contextlib.contextmanager
def _termination_message(path: str | None) -> Iterator[Callable[[str], None]]:
    """Yield a function that takes the path of each result, and write a summary of all results to ``path`` at the end.

    The summary also has the error that ended the block. Without a ``path`` nothing is written.
    Raises ``PublishFailed`` before the block if ``path`` cannot be written. After the block such an error is only
    printed.
    """
    summaries: list[termination.Summary] = []

    def add(result_path: str) -> None:
        if path is not None:
            summaries.append(termination.summary(strictjson.read(result_path)))

    def leave(error: KitError | None = None) -> None:
        if path is not None:
            try:
                termination.leave(path, termination.write(summaries, error))
            except PublishFailed as problem:
                print(f"runner: {problem}", file=sys.stderr, flush=True)

    if path is not None:
        termination.leave(path, "")
    try:
        yield add
    except KitError as error:
        leave(error)
        raise
    except KeyboardInterrupt:
        leave(Interrupted("Stopped before anything was measured."))
        raise
    except Exception as problem:
        leave(KitError(f"A defect of the kit: {type(problem).__name__}: {problem}"))
        raise
    leave()


def _show(case: str, text: str) -> None:
    """Print one line of progress on standard error."""
    print(f"[{case}] {printable(text)}", file=sys.stderr, flush=True)
