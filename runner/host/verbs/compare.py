"""The verb ``compare``: set results beside the published numbers with a verdict each, or beside earlier results."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from runner.contract import path_lists, unfinished
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.text import printable
from runner.host.judging import comparison, groups, run_changes, terminal
from runner.host.judging.groups import Group
from runner.host.judging.run_changes import RunChange
from runner.host.readers import catalog as catalogs
from runner.host.results import index as indexes
from runner.host.results import result_files
from runner.host.results.index import Index

# How much is printed without --all, for a reader who has just measured.
REQUESTS_SHOWN, ATTEMPTS_SHOWN, REFUSALS_SHOWN = 20, 3, 20


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's command line."""
    described = verb_parser(
        "compare",
        description="Print each request's results beside the published cells that its case names, with the verdict on each:"
        " REPRODUCED, FASTER, SLOWER, INCONCLUSIVE, PROVISIONAL (one launch), NOT-COMPARABLE, INVALID or NO-RESULT. All launches"
        " of a request count, those of interrupted attempts too.",
        epilog="Exit codes: 8 if a result was refused (the rest is printed); see `python -m runner --help`.",
    )
    described.add_argument(
        "results", nargs="*", metavar="RESULT", help="result files or folders (default, without --from too: results)"
    )
    path_lists.add_from(described, path_lists.RESULTS)
    described.add_argument(
        "--against", metavar="RESULT", help="compare run against run: what changed since these results"
    )
    described.add_argument(
        "--confirm",
        nargs=2,
        metavar=("FRESH", "FRESH_AGAINST"),
        help="with --against: fresh launches of both sides, measured after a change was flagged; only a change that they"
        " show too is confirmed",
    )
    add_json(described, "all rows")
    described.add_argument(
        "--all",
        action="store_true",
        help=f"show every request, attempt and refusal, and not the newest {REQUESTS_SHOWN} requests with {ATTEMPTS_SHOWN}"
        f" attempts each and {REFUSALS_SHOWN} refusals; all of them count either way",
    )
    return described


def main(arguments: Sequence[str]) -> int:
    """Print the comparison, and return the exit code: that of ``DamagedResult`` if a result was refused.

    Raises ``UsageError``; ``InputError`` for a path that does not exist, where no result was found, and where two sides share no cell.
    """
    options = parser().parse_args(arguments)
    if options.confirm is not None and options.against is None:
        raise UsageError("--confirm is for run against run; give --against too.")
    kept = None if options.all else ATTEMPTS_SHOWN
    refused: list[DamagedResult] = []
    try:
        with Index(indexes.PATH) as index:
            paths = path_lists.given(options.results, options.listed_in, path_lists.RESULTS) or ["results"]
            measured = _read(paths, index, kept, refused)
            if options.against is not None:
                changes = _run_against_run(options, measured, refused, index)
                _print_changes(changes, refused, as_json=options.json)
            else:
                _against_published(options, measured, refused, kept)
    # printed after an error too: a refused result is often the reason why the rest could not be compared
    finally:
        _print_refusals(refused, every=options.all)
    return DamagedResult.exit_code if refused else 0


def _print_refusals(refused: list[DamagedResult], every: bool) -> None:
    shown = refused if every else refused[:REFUSALS_SHOWN]
    for problem in shown:
        print(f"refused: {printable(str(problem))}", file=sys.stderr)
    if len(shown) < len(refused):
        print(f"refused: {len(refused) - len(shown):,} more; --all says why of each", file=sys.stderr)


def _print_changes(changes: list[RunChange], refused: list[DamagedResult], as_json: bool) -> None:
    if as_json:
        _print_json({"changes": [asdict(change) for change in changes]}, refused)
    else:
        terminal.show_changes(changes)


def _against_published(
    options: argparse.Namespace, measured: list[Group], refused: list[DamagedResult], kept: int | None
) -> None:
    catalog = catalogs.read()
    rows = comparison.rows(catalog, measured)
    if options.json:
        _print_json({"rows": [asdict(row) for row in rows]}, refused)
    else:
        shown = measured if options.all else measured[:REQUESTS_SHOWN]
        terminal.show([(group, group.shown(kept)) for group in shown], rows, comparison.headline(rows))
        if len(shown) < len(measured):
            attempts = sum(len(group.attempts) for group in measured[len(shown) :])
            terminal.show_left_out(len(measured) - len(shown), attempts)


def _run_against_run(
    options: argparse.Namespace, measured: list[Group], refused: list[DamagedResult], index: Index
) -> list[RunChange]:
    """Return the changes since ``--against``, confirmed by ``--confirm`` where it is given; add to ``refused``."""

    def read(path: str) -> list[Group]:
        return _read([path], index, 0, refused)

    before = read(options.against)
    warning = run_changes.shared_attempts(before, measured)
    if warning is not None:
        print(warning, file=sys.stderr)
    fresh: tuple[list[Group], list[Group]] | None = None
    if options.confirm is not None:
        fresh_after, fresh_before = map(read, options.confirm)
        fresh = fresh_before, fresh_after
    return run_changes.changes(before, measured, fresh)


def _read(paths: Iterable[str], index: Index, kept: int | None, refused: list[DamagedResult]) -> list[Group]:
    """Return the groups of all results in files and folders, the newest first; add refusals to ``refused``.

    Raises ``InputError`` where there is neither a result nor a refusal, and for a path that does not exist.
    """
    refused_before = len(refused)
    _warn_of_unfinished(paths)
    measured = groups.of_results(result_files.read_whole(paths, index, refused), kept)
    if not measured and len(refused) == refused_before:
        raise InputError(
            f"No result is in {', '.join(map(printable, paths))}. Run `make bench` first, or name the folder that results went to."
        )
    return measured


def _warn_of_unfinished(paths: Iterable[str]) -> None:
    """Print a warning for each attempt in a folder of results that was killed, and whose launches are no result yet."""
    for folder in filter(os.path.isdir, paths):
        for attempt in unfinished.left(folder):
            if isinstance(attempt, unfinished.Left) and attempt.measured and not attempt.published:
                print(
                    f"{printable(attempt.path)} is missing here: a run that was killed left {attempt.launches} launch(es) of it. The"
                    f" next run of `bench` with --results {printable(folder)} writes it.",
                    file=sys.stderr,
                )


def _print_json(value: Mapping[str, object], refused: list[DamagedResult]) -> None:
    print(json.dumps({**value, "refused": [str(problem) for problem in refused]}, indent=2))
