"""The times of single tokens as distributions, and the passes over datasets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from runner.host.figures import distribution as distribution_figure
from runner.host.figures.distribution import DistributionFigure, Mark
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure
from runner.host.figures.words import counted
from runner.host.judging import bins, comparison, percentiles
from runner.host.judging.bins import Bin
from runner.host.judging.measured import Measured
from runner.host.report.material import Material, WholeFile

HEADING: str | None = "Time to first token, and between tokens"

# Requests whose distributions are drawn, the newest. Values that are drawn as dots; more are drawn as bins.
MOST_REQUESTS, MOST_DOTS = 8, 120
# Passes over datasets that the table shows, the newest.
MOST_PASSES = 50


@dataclass(frozen=True)
class Spread:
    """Many times in seconds: ``values_s`` where there are at most ``MOST_DOTS``, else ``bins_s``.

    ``percentiles`` holds the median, and p90, p95 and p99 where there are enough values.
    """

    count: int
    least_s: float
    greatest_s: float
    percentiles: dict[str, float]
    values_s: list[float]
    bins_s: list[Bin]


@dataclass(frozen=True)
class TokenTimes:
    """The token times of one request: a median of each launch for TTFT and TPOT, each single gap between tokens for ITL.

    ``itl_calls`` counts the calls of ``itl_files`` that the gaps come from, the request's newest results.
    """

    request: str
    measured: str
    stack: str
    launches: int
    ttft: Spread
    tpot: Spread | None
    itl: Spread | None
    itl_calls: int
    itl_files: list[str]
    note: str | None


@dataclass(frozen=True)
class DatasetPass:
    """One launch's pass over the rows of a dataset."""

    request: str
    measured: str
    attempt: str
    launch: int
    rows: int
    rows_total: int
    seconds: float
    rows_per_s: float | None


@dataclass(frozen=True)
class Times:
    """Token times of the newest requests and the newest passes over datasets, each with how many more there are.

    ``untold`` names what was measured whose times say nothing, with the reason: something stood in for the device, say.
    """

    requests: list[TokenTimes]
    left_out: int
    passes: list[DatasetPass]
    passes_left_out: int
    untold: list[str]


def content(material: Material) -> Times | None:
    """Return the token times and dataset passes; None where there are none."""
    reasons = [comparison.without_times(measured.group) for measured in material.measured]
    told = [measured for measured, why in zip(material.measured, reasons, strict=True) if why is None]
    timed = [measured for measured in told if measured.samples]
    requests = [_token_times(material, measured) for measured in timed[:MOST_REQUESTS]]
    passes = [made for measured in told for made in _passes(measured)]
    untold = [
        f"{measured.group.words}: {why}"
        for measured, why in zip(material.measured, reasons, strict=True)
        if why is not None
    ]
    if not requests and not passes and not untold:
        return None
    return Times(
        requests=requests,
        left_out=len(timed) - len(requests),
        passes=passes[:MOST_PASSES],
        passes_left_out=max(0, len(passes) - MOST_PASSES),
        untold=list(dict.fromkeys(untold)),
    )


def _token_times(material: Material, measured: Measured) -> TokenTimes:
    request, samples = measured.group.request, measured.samples
    files = material.whole.get(request.id, [])
    calls = [call for file in files for call in _gaps(file)]
    gaps = list(itertools.chain.from_iterable(calls))
    tpot = [sample.tpot_s for sample in samples if sample.tpot_s is not None]
    return TokenTimes(
        request=request.id,
        measured=measured.group.words,
        stack=request.stack.name,
        launches=len(samples),
        ttft=_spread([sample.ttft_s for sample in samples]),
        tpot=_spread(tpot) if tpot else None,
        itl=_spread(gaps) if gaps else None,
        itl_calls=len(calls),
        itl_files=[file.path for file in files],
        note=material.note(measured),
    )


def _gaps(file: WholeFile) -> list[list[float]]:
    """Return the gaps between tokens of each instrumented call of a result's complete launches."""
    launches = [launch for launch in file.result["launches"] if launch["status"] == "complete"]
    return [call for launch in launches if "instrumented" in launch for call in launch["instrumented"]["itl_s"]]


def _spread(values: Sequence[float]) -> Spread:
    many = len(values) > MOST_DOTS
    return Spread(
        count=len(values),
        least_s=min(values),
        greatest_s=max(values),
        percentiles=percentiles.told(values),
        values_s=[] if many else list(values),
        bins_s=bins.of(values) if many else [],
    )


def _passes(measured: Measured) -> list[DatasetPass]:
    """Return the passes over a dataset of a request's newest results."""
    return [
        DatasetPass(
            request=attempt.request,
            measured=measured.group.words,
            attempt=attempt.id,
            launch=launch.index + 1,
            rows=launch.completed.rows,
            rows_total=launch.completed.rows_total,
            seconds=launch.completed.batches_s,
            rows_per_s=launch.completed.rows / launch.completed.batches_s if launch.completed.batches_s > 0 else None,
        )
        for attempt in measured.group.shown(None)
        for launch in attempt.launches
        if launch.completed is not None
    ]


def figures(content: object) -> list[Figure]:
    """Return up to three figures for each request: TTFT, TPOT and ITL."""
    return [figure for request in cast(Times, content).requests for figure in _figures(request)]


def _figures(request: TokenTimes) -> list[Figure]:
    launches = f"{counted(request.launches, 'launch', 'launches')}, the median of the calls of each"
    gaps = f"{request.itl.count if request.itl else 0} gaps of {counted(request.itl_calls, 'call')}"
    shown = [
        ("ttft", "Time to first token", launches, request.ttft),
        ("tpot", "Time per output token", launches, request.tpot),
        ("itl", "Time between tokens", gaps, request.itl),
    ]
    return [
        distribution_figure.draw(_figure(request, name, title, of_what, spread))
        for name, title, of_what, spread in shown
        if spread is not None
    ]


def _figure(request: TokenTimes, name: str, title: str, of_what: str, spread: Spread) -> DistributionFigure:
    marks = list(spread.percentiles.items())
    return DistributionFigure(
        name=f"{name}-{request.request}",
        title=title,
        lines=(f"{request.measured}, stack {request.stack}", of_what),
        note=request.note,
        what="milliseconds",
        unit="ms",
        dots=tuple(Dot(1e3 * value, f"{1e3 * value:.6g} ms") for value in spread.values_s),
        bars=tuple(Bar(1e3 * bin.low, 1e3 * bin.high, bin.count) for bin in spread.bins_s),
        marks=tuple(Mark(*pair) for pair in ((key, 1e3 * value) for key, value in (*marks[:1], *marks[1:][-1:]))),
    )
