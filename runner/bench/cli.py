"""The verb ``bench``: run requests in this environment, write results, print their paths."""

import argparse
import signal
import sys

from runner.bench import session
from runner.contract.request import read_request
from runner.contract.text import printable


def parser():
    described = argparse.ArgumentParser(
        prog="python -m runner bench",
        description="Run each request with the launcher that its stack names and write one result file per attempt."
        " Progress goes to standard error, the paths of the results to standard output.",
        epilog="Exit codes: see `python -m runner --help`.",
    )
    described.add_argument(
        "requests", nargs="+", metavar="REQUEST", help="a file that `python -m runner request` wrote"
    )
    described.add_argument(
        "--results", default="results", metavar="FOLDER", help="where results go (default: %(default)s)"
    )
    described.add_argument(
        "--model-dir", metavar="FOLDER", help="folder of the model's real weights, instead of the hub cache"
    )
    described.add_argument("--dataset-file", metavar="FILE", help="the local file that the request's dataset names")
    return described


def main(arguments):
    """Run all requests in order and return 0; the first error ends the rest."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _as_interrupt)
    places = session.Places(options.results, options.model_dir, options.dataset_file)
    requests = [read_request(path) for path in options.requests]
    for request in requests:
        print(session.run(request, places, lambda text, case=request.case: _show(case, text)), flush=True)
    return 0


def _show(case, text):
    print(f"[{case}] {printable(text)}", file=sys.stderr, flush=True)


def _as_interrupt(number, frame):
    """Let SIGTERM end a run as Ctrl-C does: what was measured is kept."""
    raise KeyboardInterrupt
