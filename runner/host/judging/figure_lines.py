"""Turn rows beside published cells, and run against run, into the lines of a figure in text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from runner.host.judging.comparison import Row
from runner.host.judging.groups import Group
from runner.host.judging.run_changes import RunChange
from runner.host.judging.text_figures import Line
from runner.host.judging.verdict import COUNTED

WALK_THROUGH = "walk-through, not a reproduction"


def of_rows(groups: Iterable[Group], rows: Sequence[Row]) -> list[list[Line]]:
    """Return the lines of up to two figures, measured over published: of verdicts, and of what reproduces or compares with no cell.

    The second has an axis of its own, since its ratios may be far from 1. A row without a ratio has no line.
    """
    judged: list[Line] = []
    others: list[Line] = []
    for group in groups:
        own = [row for row in rows if row.request == group.request.id]
        judged += _lines(group, [row for row in own if _is_judged(row)])
        others += _lines(group, [row for row in own if not _is_judged(row)])
    return [lines for lines in (judged, others) if lines]


def of_changes(changes: Iterable[RunChange]) -> list[Line]:
    """Return a line for each pair of runs whose times have an interval: the ratio of after to before, and its interval."""
    return [
        Line(change.case, times.word or "not judged", [times.ratio], times.interval, _band(times.margin))
        for change in changes
        for times in [change.times]
        if times.ratio is not None and times.interval is not None and times.margin is not None
    ]


def _is_judged(row: Row) -> bool:
    return not row.walk_through and row.verdict.word in COUNTED


def _lines(group: Group, rows: Sequence[Row]) -> Iterator[Line]:
    """Yield the lines of one group; the first says what was measured where that is not the published cell itself."""
    heading = f"{rows[0].measured}, beside" if any(row.published != row.measured for row in rows) else None
    for row in rows:
        verdict = row.verdict
        if verdict.interval is None or verdict.margin is None:
            continue
        yield Line(
            label=row.published,
            word=WALK_THROUGH if row.walk_through else verdict.word,
            points=[latency_s / float(row.published_s) for latency_s in group.latencies_s],
            interval=verdict.interval,
            band=_band(verdict.margin),
            heading=heading,
        )
        heading = None


def _band(margin: float) -> tuple[float, float]:
    """Return the ratios within a margin, which a verdict takes on the logarithm."""
    return 1 / (1 + margin), 1 + margin
