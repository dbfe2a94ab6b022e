"""Results with all that a report or an export says of them: groups, every launch as a sample, files, and rows beside published cells.

Pure: results that were read come in, one ``Measured`` for each request comes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from runner.host.judging import comparison, groups
from runner.host.judging.comparison import Row
from runner.host.judging.groups import Group
from runner.host.judging.verdict import COUNTED
from runner.host.readers.catalog import Catalog
from runner.host.results.attempts import AttemptSummary, LaunchSummary
from runner.host.results.result_files import ReadResult

# What pages and exports say of a request for the CPU.
WALK_THROUGH = "walk-through on a CPU: reproduces no published cell"


@dataclass(frozen=True, slots=True)
class Sample:
    """One complete launch of a latency workload: a sample of the request's latency.

    ``attempt`` is the id of the attempt and begins with the UTC time of its start, ``index`` the launch's number in the attempt, from 0.
    ``latency_s`` is the published estimator's, ``ttft_s`` and ``tpot_s`` are medians of the instrumented calls, ``energy_j`` is what one
    timed call took on all devices: the last two are None where the launch does not tell them. ``flagged`` names the checks that did not
    pass. ``call_tokens`` is how many tokens one timed call made, of all rows together, on average: None where the launch does not tell.
    """

    attempt: str
    index: int
    latency_s: float
    ttft_s: float
    tpot_s: float | None
    energy_j: float | None
    flagged: tuple[str, ...]
    call_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file of one result: its path as read, the attempt's id, and the sha256 with which the result is sealed."""

    path: str
    attempt: str
    sha256: str


@dataclass(frozen=True)
class Measured:
    """All results of one request: their ``Group``, each launch as a ``Sample``, their files, and a row for each published cell beside them.

    ``files`` and ``samples`` are in the order of the attempts' ids, which is that of time.
    """

    group: Group
    samples: list[Sample] = field(default_factory=list)
    files: list[SourceFile] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def walk_through(self) -> bool:
        """Whether the request is for the CPU, which reproduces no cell."""
        return self.group.request.accelerator.is_the_host


def of_results(
    results: Iterable[ReadResult], catalog: Catalog, kept: int | None = 1, sources: Collection[str] = ()
) -> list[Measured]:
    """Return one ``Measured`` for each request, the newest first; ``kept`` is how many attempts each group keeps whole, None for all.

    ``sources`` names publications: each ``Measured`` gets a row for their claims about its cell too, after those that its case names.
    """
    samples: dict[str, list[Sample]] = {}
    files: dict[str, list[SourceFile]] = {}

    def noted() -> Iterator[ReadResult]:
        for result in results:
            attempt = result.attempt
            samples.setdefault(attempt.request, []).extend(_samples(attempt))
            files.setdefault(attempt.request, []).append(SourceFile(result.path, attempt.id, attempt.sha256))
            yield result

    return [
        Measured(
            group,
            sorted(samples[group.request.id], key=lambda sample: (sample.attempt, sample.index)),
            sorted(files[group.request.id], key=lambda file: file.attempt),
            comparison.against_claims(catalog, group, comparison.claims_of_the_cell(catalog, group.request, sources)),
        )
        for group in groups.of_results(noted(), kept)
    ]


def beside(measured: Iterable[Measured], claim: str) -> list[tuple[Measured, Row]]:
    """Return what was measured beside a published cell, with the row of each.

    Comparable ones come first and walk-throughs last, each in the order given.
    """
    pairs = [(of_request, row) for of_request in measured for row in of_request.rows if row.claim == claim]
    return sorted(pairs, key=lambda pair: (pair[1].verdict.word not in COUNTED, pair[1].walk_through))


def _samples(attempt: AttemptSummary) -> Iterator[Sample]:
    """Yield the launches of an attempt that count as samples, as ``Group.latencies_s`` does."""
    yield from (_sample(attempt, launch) for launch in attempt.launches if launch.timed is not None)


def _sample(attempt: AttemptSummary, launch: LaunchSummary) -> Sample:
    timed = launch.timed
    assert timed is not None
    tokens = launch.counts.output_tokens if launch.counts is not None else None
    return Sample(
        attempt=attempt.id,
        index=launch.index,
        latency_s=timed.latency_s,
        ttft_s=timed.ttft_s,
        tpot_s=timed.tpot_s,
        energy_j=timed.energy_j,
        flagged=launch.flagged,
        call_tokens=tokens / len(timed.iterations_s) if tokens and timed.iterations_s else None,
    )
