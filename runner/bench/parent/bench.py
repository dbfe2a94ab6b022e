"""The verb ``bench``: run requests in this environment, write results, print their paths."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from typing import Callable, Iterator

from runner.bench.parent import session
from runner.contract import files, names, signals, strictjson, termination, unfinished
from runner.contract.arguments import verb_parser
from runner.contract.errors import Interrupted, KitError, PublishFailed, UsageError
from runner.contract.request import read_request
from runner.contract.text import printable


def parser():
    described = verb_parser(
        "bench",
        description="Run each request with the launcher that its stack names and write one result file per attempt."
        " Progress goes to standard error, the paths of the results to standard output.",
        epilog="Ctrl-C, SIGTERM and SIGHUP stop a run, and what was measured is kept; a signal that was ignored at the start, as"
        " nohup and a script's background jobs have it, stays ignored. Exit codes: see `python -m runner --help`.",
    )
    described.add_argument(
        "requests", nargs="*", metavar="REQUEST", help="a file that `python -m runner request` wrote"
    )
    names.add_from(described, names.REQUESTS)
    described.add_argument(
        "--results", default="results", metavar="FOLDER", help="where results go (default: %(default)s)"
    )
    described.add_argument(
        "--model-dir", metavar="FOLDER", help="folder of the model's real weights, instead of the hub cache"
    )
    described.add_argument("--dataset-file", metavar="FILE", help="the local file that the request's dataset names")
    described.add_argument(
        "--hostfile",
        metavar="FILE",
        help="run on several hosts, this one first: a line ADDRESS slots=N each, as many slots in all as the request has devices",
    )
    described.add_argument(
        "--frames",
        action="store_true",
        help="write each result to standard output too, in checksummed lines that `python -m runner collect` reads",
    )
    described.add_argument(
        "--termination-message", metavar="FILE", help="leave a summary of at most 4,096 bytes there, however it ends"
    )
    return described


def main(arguments):
    """Run all requests in order and return 0; the first error ends the rest."""
    options = parser().parse_args(arguments)
    names.refuse_unlistable(options.results, "--results")
    places = session.Places(options.results, options.model_dir, options.dataset_file, options.hostfile)
    with signals.as_interrupt(), _last_words(options.termination_message) as note:

        def published(path):
            print(path, flush=True)
            if options.frames:
                # the file name is the attempt's id
                attempt = os.path.splitext(os.path.basename(path))[0]
                session.print_frames(attempt, files.read_bytes(path, strictjson.MAX_BYTES))
            note(path)

        paths = names.given(options.requests, options.listed_in, names.REQUESTS)
        if not paths:
            raise UsageError("No REQUEST is named. Name one, or the file that lists them with --from.")
        requests = [read_request(path) for path in paths]
        _take_up(options.results)
        for request in requests:
            session.run(request, places, functools.partial(_show, request.case), published)
    return 0


def _take_up(folder: str) -> None:
    """Publish what runs that were killed had measured, and say so; what cannot be taken up is said too, and stays."""
    for found in unfinished.take_up(folder):
        told = found if isinstance(found, KitError) else f"{found.path} holds what a run measured that was cut off"
        print(f"runner: {printable(str(told))}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _last_words(path: str | None) -> Iterator[Callable[[str], None]]:
    """Yield a function that takes the path of each result; leave in ``path`` what they tell, and the error that ends the block.

    Raises ``PublishFailed`` before anything is measured if nothing can be written there. Afterwards that is said, and no more.
    """
    summaries: list = []

    def note(result_path: str) -> None:
        if path is not None:
            summaries.append(termination.summary(strictjson.read(result_path)))

    def leave(ended: KitError | None = None) -> None:
        if path is not None:
            try:
                termination.leave(path, termination.write(summaries, ended))
            except PublishFailed as problem:
                print(f"runner: {problem}", file=sys.stderr, flush=True)

    if path is not None:
        termination.leave(path, "")
    try:
        yield note
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
    print(f"[{case}] {printable(text)}", file=sys.stderr, flush=True)
