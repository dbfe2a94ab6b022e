"""The verb ``bench``: run requests in this environment, write results, print their paths."""

import argparse
import contextlib
import os
import signal
import sys

from runner.bench import session
from runner.contract import frame, names, strictjson, termination
from runner.contract.errors import Interrupted, KitError, PublishFailed, UsageError
from runner.contract.request import read_request
from runner.contract.text import printable


def parser():
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m runner bench",
        description="Run each request with the launcher that its stack names and write one result file per attempt."
        " Progress goes to standard error, the paths of the results to standard output.",
        epilog="Exit codes: see `python -m runner --help`.",
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
    signal.signal(signal.SIGTERM, _as_interrupt)
    places = session.Places(options.results, options.model_dir, options.dataset_file, options.hostfile)
    with _last_words(options.termination_message) as note:

        def published(path):
            (_print_path_and_frames if options.frames else _print_path)(path)
            note(path)

        paths = names.given(options.requests, options.listed_in, names.REQUESTS)
        if not paths:
            raise UsageError("No REQUEST is named. Name one, or the file that lists them with --from.")
        requests = [read_request(path) for path in paths]
        for request in requests:
            session.run(request, places, lambda text, case=request.case: _show(case, text), published)
    return 0


@contextlib.contextmanager
def _last_words(path):
    """Yield a function that takes the path of each result; leave in ``path`` what they tell, and the error that ends the block.

    Raises ``PublishFailed`` before anything is measured if nothing can be written there.
    """
    summaries, ended = [], None
    _leave(path, "")

    def note(result_path):
        summaries.append(termination.summary(strictjson.read(result_path)))

    try:
        yield note
    except KitError as error:
        ended = error
        raise
    except KeyboardInterrupt:
        ended = Interrupted("Stopped before anything was measured.")
        raise
    finally:
        _leave(path, termination.write(summaries, ended))


def _leave(path, text):
    if path is None:
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise PublishFailed(
            f"{path} cannot be written: {problem.strerror}. Check --termination-message, or leave it out."
        ) from None


def _print_path(path):
    print(path, flush=True)


def _print_path_and_frames(path):
    """Print the result itself too, so that a log alone carries it; its file name is the attempt's id."""
    print(path)
    with open(path, "rb") as file:
        content = file.read()
    print("\n".join(frame.write(os.path.splitext(os.path.basename(path))[0], content)), flush=True)


def _show(case, text):
    print(f"[{case}] {printable(text)}", file=sys.stderr, flush=True)


def _as_interrupt(number, frame):
    """Let SIGTERM end a run as Ctrl-C does: what was measured is kept."""
    raise KeyboardInterrupt
