"""Follow a case over time: each set of pins is a point, and neighbours are compared by the rule of run against run. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from runner.contract.request import Request
from runner.host.judging import comparison, replications, run_changes, verdict
from runner.host.judging.measured import Measured
from runner.host.judging.replications import Cell
from runner.host.judging.run_changes import Pair, Rule, RunChange
from runner.host.judging.verdict import CHANGED, ChangeWord
from runner.host.readers.catalog import Catalog, Claim

# Points of one history: the newest. As many are judged.
MOST_POINTS = 60


@dataclass(frozen=True)
class Point:
    """All launches of one request, or one published number.

    ``name`` is the request's id or the publication. ``day`` is that of the first attempt or of the publication, YYYY-MM-DD; None where
    the publication tells none. ``latency_s`` is the geometric mean, ``interval_s`` its 90% interval, None for a single launch.
    """

    name: str
    stack: str
    day: str | None
    launches: int
    latency_s: float
    interval_s: tuple[float, float] | None


@dataclass(frozen=True)
class Step:
    """What changed from the point numbered ``before`` to the next one, as run against run says.

    ``moved`` maps what is pinned or told to what it was and is. ``ratio`` is after over before, None where times say nothing.
    """

    before: int
    word: ChangeWord
    reasons: list[str]
    ratio: float | None
    p: float | None
    moved: dict[str, list[str | None]]


@dataclass(frozen=True)
class History:
    """The points of one case in the order of time, and a ``Step`` between each two neighbours.

    ``what`` is the case and what it measures, in words. ``older`` counts the points that were left out, all older than the first;
    ``untimed`` the requests that tell no time. A ``published`` history has no steps: single numbers tell no variation to judge by.
    """

    what: str
    published: bool
    points: list[Point]
    steps: list[Step]
    older: int = 0
    untimed: int = 0

    @property
    def changes(self) -> list[Step]:
        """The steps that are changes."""
        return [step for step in self.steps if step.word == CHANGED]


def by_case(results: Iterable[Measured]) -> list[list[Measured]]:
    """Return the results of each case that was timed with two sets of pins or more, in the order in which the cases come."""
    by_cell: dict[str, list[Measured]] = {}
    for measured in results:
        by_cell.setdefault(run_changes.cell(measured.group), []).append(measured)
    return [sets for sets in by_cell.values() if sum(map(_is_timed, sets)) > 1]


def of_case(sets: list[Measured], rule: Rule | None = None) -> History:
    """Return the history of the results of one case; ``rule`` is that of run against run."""
    rule = rule or Rule(power=False)
    timed = sorted(filter(_is_timed, sets), key=lambda measured: min(measured.group.attempts))
    newest = timed[-MOST_POINTS:]
    request = sets[0].group.request
    return History(
        what=_words(request),
        published=False,
        points=[_point(measured) for measured in newest],
        steps=[
            _step(number, run_changes.between(Pair(newest[number].group, newest[number + 1].group), rule=rule))
            for number in range(len(newest) - 1)
        ],
        older=len(timed) - len(newest),
        untimed=len(sets) - len(timed),
    )


def _words(request: Request) -> str:
    """Return a case in words: devices, model and precision, a batch and made-up weights."""
    workload = request.workload
    weights = "" if request.weights.kind == "hub" else f", {request.weights.kind} weights"
    rows = "" if workload.batch_size == 1 else f", batch of {workload.batch_size}"
    return f"{request.case}: {request.devices} x {request.accelerator.name}, {request.model.name}, {workload.precision}{rows}{weights}"


def _is_timed(measured: Measured) -> bool:
    group = measured.group
    return bool(group.latencies_s) and comparison.without_times(group) is None


def _point(measured: Measured) -> Point:
    group, request = measured.group, measured.group.request
    mean, first = verdict.mean_of(group.latencies_s), min(group.attempts)
    day = f"{first[:4]}-{first[4:6]}-{first[6:8]}"
    return Point(request.id, request.stack.name, day, len(group.latencies_s), mean.latency_s, mean.interval_s)


def _step(before: int, change: RunChange) -> Step:
    return Step(before, change.word, change.reasons, change.times.ratio, change.times.p, change.moved)


def published(catalog: Catalog, cells: Collection[Cell] | None = None) -> list[History]:
    """Return each publisher's numbers of a cell over releases, where no condition but the stack differs and two numbers are unlike.

    ``cells`` are those to look at, None for all. Points are in the order of the days of their publications, where these tell one, and of
    their names as versions.
    """
    series: dict[tuple[object, ...], list[Claim]] = {}
    for claim in catalog.claims.values():
        if cells is not None and replications.cell_of(claim) not in cells:
            continue
        conditions = {key: value for key, value in comparison.claimed(catalog, claim).items() if key != "stack"}
        series.setdefault((replications.publisher(claim), claim.engine, *conditions.items()), []).append(claim)
    histories = (_of_claims(catalog, claims) for claims in series.values())
    return [history for history in histories if len({point.latency_s for point in history.points}) > 1]


def _of_claims(catalog: Catalog, claims: list[Claim]) -> History:
    def order(claim: Claim) -> tuple[str, list[tuple[int, str]]]:
        parts = re.findall(r"([0-9]+)|([^0-9]+)", claim.source)
        return catalog.claim_sources[claim.source].date or "", [(int(digits or 0), text) for digits, text in parts]

    points = []
    for claim in sorted(claims, key=order):
        mean = verdict.mean_of([claim.latency_s * claim.batch_size], claim.prior_cv)
        day = catalog.claim_sources[claim.source].date
        points.append(Point(claim.source, claim.stack, day, 1, mean.latency_s, mean.interval_s))
    batch = claims[0].batch_size
    rows = "" if batch == 1 else f", batch of {batch}"
    what = f"published by {replications.publisher(claims[0])}: {claims[0].devices} x {claims[0].accelerator}, {claims[0].model}{rows}"
    return History(what, True, points[-MOST_POINTS:], [], older=max(0, len(points) - MOST_POINTS))
