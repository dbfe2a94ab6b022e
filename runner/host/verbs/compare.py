"""The verb ``compare``: set results beside the published numbers with a verdict each, or beside earlier results."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from runner.contract import path_lists, secrets, unfinished
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import Changed, DamagedResult, Inconclusive, InputError, UsageError
from runner.contract.text import printable
from runner.host import writing
from runner.host.judging import comparison, groups, markdown, run_changes, terminal, verdict
from runner.host.judging.groups import Group
from runner.host.judging.run_changes import Rule, RunChange
from runner.host.readers import catalog as catalogs
from runner.host.results import index as indexes
from runner.host.results import refusals, result_files
from runner.host.results.index import Index

# How much is printed without --all, for a reader who has just measured.
REQUESTS_SHOWN, ATTEMPTS_SHOWN = 20, 3


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's command line."""
    described = verb_parser(
        "compare",
        description="Print each request's results beside the published cells that its case names, with the verdict on each:"
        " REPRODUCED, FASTER, SLOWER, INCONCLUSIVE, PROVISIONAL (one launch), NOT-COMPARABLE, INVALID or NO-RESULT. All launches"
        " of a request count, those of interrupted attempts too. A figure in text sets the launches of all cells on one axis.",
        epilog="Exit codes: 8 if a result was refused (the rest is printed); with --fail-on 17 if a change was found that it names,"
        " and 18 if launches cannot tell and it names inconclusive; see `python -m runner --help`.",
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
        help="with --against: fresh launches of both sides, measured after a change was found; a change that they do not show"
        " too is INCONCLUSIVE",
    )
    described.add_argument(
        "--margin",
        type=_margin,
        metavar="MARGIN",
        help=f"with --against: the change that does not matter, as a fraction, a percentage such as 2%%, or strict, standard, loose"
        f" or host-bound (default: {verdict.CHANGE_MARGIN})",
    )
    described.add_argument(
        "--judge-cpu",
        action="store_true",
        help="with --against: judge the times of a CPU too, which are only shown otherwise",
    )
    described.add_argument(
        "--fail-on",
        type=_words,
        metavar="WORDS",
        help=f"with --against: end with 17 or 18 if one of these was found, a comma between them: {', '.join(run_changes.FAIL_ON)}"
        " (changed: counts, slower or faster)",
    )
    described.add_argument(
        "--markdown", metavar="FILE", help="with --against: write the comparison as Markdown too, for a pull request"
    )
    add_json(described, "all rows")
    described.add_argument(
        "--all",
        action="store_true",
        help=f"show every request, attempt and refusal, and not the newest {REQUESTS_SHOWN} requests with {ATTEMPTS_SHOWN}"
        f" attempts each and {refusals.SHOWN} refusals; all of them count either way",
    )
    return described


def _margin(text: str) -> float:
    """Return a margin as a fraction. Raises ``ArgumentTypeError``."""
    try:
        return run_changes.margin(text, catalogs.read().margins)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _words(text: str) -> list[str]:
    """Return the words of ``--fail-on``. Raises ``ArgumentTypeError``."""
    try:
        return run_changes.fail_on_words(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def main(arguments: Sequence[str]) -> int:
    """Print the comparison, and return the exit code: that of ``DamagedResult`` if a result was refused.

    Raises ``UsageError``; ``InputError`` for a path that does not exist, where no result was found, where two sides share no cell, and
    for a file that cannot be written; ``Changed`` and ``Inconclusive`` where ``--fail-on`` names what was found.
    """
    options = parser().parse_args(arguments)
    _refuse_without_against(options)
    kept = None if options.all else ATTEMPTS_SHOWN
    refused: list[DamagedResult] = []
    changes: list[RunChange] = []
    try:
        with Index(indexes.PATH) as index:
            paths = path_lists.given(options.results, options.listed_in, path_lists.RESULTS) or ["results"]
            measured = _read(paths, index, kept, refused)
            if options.against is not None:
                changes = _run_against_run(options, measured, refused, index)
            else:
                _against_published(options, measured, refused, kept)
    # printed after an error too: a refused result is often the reason why the rest could not be compared
    finally:
        _print_refusals(refused, every=options.all)
    if refused:
        return DamagedResult.exit_code
    _fail_on(options.fail_on or [], changes)
    return 0


def _refuse_without_against(options: argparse.Namespace) -> None:
    if options.against is not None:
        return
    given = {
        "--confirm": options.confirm,
        "--margin": options.margin,
        "--judge-cpu": options.judge_cpu or None,
        "--fail-on": options.fail_on,
        "--markdown": options.markdown,
    }
    for flag, value in given.items():
        if value is not None:
            raise UsageError(f"{flag} is for run against run; give --against too.")


def _fail_on(words: Sequence[str], changes: Iterable[RunChange]) -> None:
    """Raise ``Changed`` for a pair that was found to be what ``words`` name, ``Inconclusive`` if only that was found."""
    named = {found for word in words for found in run_changes.FAIL_ON[word]}
    hits = {change.case: [found for found in change.found if found in named] for change in changes}
    changed = {case: [found for found in hit if found != run_changes.UNSURE] for case, hit in hits.items()}
    told = "; ".join(f"{printable(case, 100)}: {', '.join(hit)}" for case, hit in changed.items() if hit)
    if told:
        raise Changed(
            f"Run against run found what --fail-on names: {told}. The comparison above says why and what moved; measure both sides"
            " once more and give them with --confirm."
        )
    unsure = [printable(case, 100) for case, hit in hits.items() if hit]
    if unsure:
        raise Inconclusive(
            f"The launches cannot tell whether something changed, for {', '.join(unsure)}. The comparison above says why; measure more"
            " launches of both sides."
        )


def _print_refusals(refused: list[DamagedResult], every: bool) -> None:
    shown = refused if every else refused[: refusals.SHOWN]
    for problem in shown:
        print(f"refused: {printable(str(problem))}", file=sys.stderr)
    if len(shown) < len(refused):
        print(f"refused: {len(refused) - len(shown):,} more; --all says why of each", file=sys.stderr)


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
    """Print and return the changes since ``--against``, confirmed by ``--confirm`` where it is given; add to ``refused``."""

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
    rule = Rule(options.margin or verdict.CHANGE_MARGIN, options.judge_cpu)
    changes = run_changes.changes(before, measured, fresh, rule)
    alone = {"before": run_changes.alone(before, measured), "after": run_changes.alone(measured, before)}
    if options.json:
        _print_json({"changes": [asdict(change) for change in changes], "alone": alone}, refused)
    else:
        terminal.show_changes(changes)
        terminal.show_alone(alone)
    if options.markdown is not None:
        text = secrets.mask(markdown.of_changes(changes, alone))
        writing.write_text(Path(options.markdown), text, "Name another file with --markdown.")
    return changes


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
