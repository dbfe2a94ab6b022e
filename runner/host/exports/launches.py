"""One record for each launch, with all conditions of its request: the rows of the formats that are tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.host.exports import conditions
from runner.host.exports.conditions import RequestConditions
from runner.host.judging.measured import Measured, Sample, SourceFile


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """One complete launch of a latency workload; the fields are the columns of CSV and Parquet, in their order.

    ``attempt`` names the attempt and begins with the UTC time of its start, ``launch`` is the launch's number in the attempt, from 0. The
    conditions are those of ``RequestConditions``.

    ``latency_s`` is the published estimator's, for ``output_tokens`` a row; ``ttft_s`` and ``tpot_s`` are medians of the instrumented
    calls; ``energy_j`` is what one timed call took on all devices together. ``flagged`` names the checks that did not pass. A time is
    None where the launch does not tell it, and where something stood in for the device (``emulated``).

    ``claims`` names the published cells beside the request; ``published_s``, ``ratios`` (measured over published, over all launches of the
    request) and ``verdicts`` belong to them in the same order. A ratio is None where nothing was compared. ``path`` and ``sha256`` are the
    result's file as read, and its seal.
    """

    attempt: str
    request: str
    case: str
    launch: int
    accelerator: str
    devices: int
    model: str
    revision: str | None
    weights: str
    stack: str
    precision: str
    engine: str
    protocol: str
    batch_size: int
    input_tokens: int
    output_tokens: int
    walk_through: bool
    emulated: bool
    latency_s: float | None
    ttft_s: float | None
    tpot_s: float | None
    energy_j: float | None
    flagged: list[str]
    claims: list[str]
    published_s: list[float]
    ratios: list[float | None]
    verdicts: list[str]
    path: str
    sha256: str


def records(measured: Sequence[Measured]) -> Iterator[LaunchRecord]:
    """Yield the launches of all requests: in the order of the requests, then of time."""
    for of_request in measured:
        files = {file.attempt: file for file in of_request.files}
        asked = conditions.of(of_request)
        for sample in of_request.samples:
            yield _record(of_request, asked, sample, files[sample.attempt])


def _record(measured: Measured, asked: RequestConditions, sample: Sample, file: SourceFile) -> LaunchRecord:
    emulated = asked["emulated"]
    return LaunchRecord(
        **asked,
        attempt=sample.attempt,
        launch=sample.index,
        latency_s=None if emulated else sample.latency_s,
        ttft_s=None if emulated else sample.ttft_s,
        tpot_s=None if emulated else sample.tpot_s,
        energy_j=None if emulated else sample.energy_j,
        flagged=list(sample.flagged),
        claims=[row.claim for row in measured.rows],
        published_s=[float(row.published_s) for row in measured.rows],
        ratios=[row.verdict.ratio for row in measured.rows],
        verdicts=[row.verdict.word for row in measured.rows],
        path=file.path,
        sha256=file.sha256,
    )
