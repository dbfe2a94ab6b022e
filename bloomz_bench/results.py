"""Read results and judge them, as the verb ``compare`` does."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from runner.contract.errors import DamagedResult
from runner.host.judging import comparison, groups, run_changes
from runner.host.judging.comparison import Row
from runner.host.judging.run_changes import Rule, RunChange
from runner.host.judging.verdict import CHANGE_MARGIN
from runner.host.readers import catalog as catalogs
from runner.host.results import result_files
from runner.host.results.index import Index
from runner.host.results.result_files import ReadResult


def read_results(*paths: str | os.PathLike[str], refused: list[DamagedResult] | None = None) -> list[ReadResult]:
    """Return the results in files and folders, each attempt once; ``attempt`` of a result holds its launches.

    A file that is no whole, unedited result is refused: its ``DamagedResult`` is added to the list ``refused``, or raised where no list
    is given. Raises ``InputError`` for a path that does not exist.

    >>> from bloomz_bench import read_results
    >>> (result,) = read_results("tests/data/result-2.json")
    >>> result.request.case, result.attempt.status
    ('cpu-2', 'complete')
    >>> [launch.timed.estimator for launch in result.attempt.launches if launch.timed is not None]
    ['nominal']
    """
    refusals: list[DamagedResult] = []
    results = list(result_files.read_whole(paths, Index(None), refusals))
    if refused is not None:
        refused += refusals
    elif refusals:
        raise refusals[0]
    return results


def verdicts(results: Iterable[ReadResult]) -> list[Row]:
    """Return a row for each published number that the cases of the results name, with the verdict on the number.

    All results of one request count together. A row's ``verdict`` has a word (REPRODUCED, FASTER, SLOWER, INCONCLUSIVE, PROVISIONAL,
    NOT-COMPARABLE, INVALID or NO-RESULT) and the reasons for the word; ``differences`` lists the conditions that differ.
    Raises ``InputError`` for a damaged catalog.

    >>> from bloomz_bench import read_results, verdicts
    >>> row = verdicts(read_results("tests/data/result-2.json"))[0]
    >>> row.published, row.published_s, row.verdict.word
    ('8 x gaudi2, bloomz', '3.103', 'NOT-COMPARABLE')
    """
    return comparison.rows(catalogs.read(), groups.of_results(results))


def changes(
    before: Iterable[ReadResult],
    after: Iterable[ReadResult],
    fresh: tuple[Iterable[ReadResult], Iterable[ReadResult]] | None = None,
    margin: float = CHANGE_MARGIN,
    judge_cpu: bool = False,
) -> list[RunChange]:
    """Return what changed between two sets of results, for each cell that both have.

    A change has a word (CHANGED, UNCHANGED or INCONCLUSIVE) and the reasons for the word; ``times`` holds seconds and their ratio, after
    over before, and ``counts`` what was counted. ``margin`` is the fraction up to which a change of the time does not matter. The times
    of a CPU are judged only with ``judge_cpu``.

    ``fresh`` holds results before and after that were measured once more: a change that they do not show too is INCONCLUSIVE. Warns where
    an attempt is on both sides. Raises ``InputError`` where two sides share no cell, and for a fresh attempt that is part of the
    comparison already; ``ValueError`` for a margin that is not above 0 and below 1.

    >>> from bloomz_bench import changes, read_results
    >>> (change,) = changes(read_results("tests/data/result-1.json"), read_results("tests/data/result-2.json"))
    >>> change.word, change.reasons
    ('CHANGED', ['result schema: 1 before, 2 after'])
    >>> change.times.word, change.times.reason
    (None, 'times of a CPU are shown and not judged')
    """
    if not 0 < margin < 1:
        raise ValueError(f"a margin is a fraction above 0 and below 1, and not {margin}")
    sides = groups.of_results(before), groups.of_results(after)
    warning = run_changes.shared_attempts(*sides)
    if warning is not None:
        warnings.warn(warning, stacklevel=2)
    fresh_sides = None if fresh is None else (groups.of_results(fresh[0]), groups.of_results(fresh[1]))
    return run_changes.changes(*sides, fresh_sides, Rule(margin, judge_cpu))
