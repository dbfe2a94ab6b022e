"""The times of single tokens as distributions, and the passes over datasets."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from runner.host.figures import distribution as distribution_figure
from runner.host.figures import distributions as distributions_figure
from runner.host.figures.distribution import DistributionFigure, Mark
from runner.host.figures.distributions import DistributionRow, DistributionsFigure
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure
from runner.host.figures.words import counted
from runner.host.judging import bins, comparison, percentiles, replications
from runner.host.judging.bins import Bin
from runner.host.judging.measured import Measured
from runner.host.report.material import Material, WholeFile

HEADING: str | None = "Time to first token, and between tokens"

# Requests whose distributions are drawn, the newest. Values that are drawn as dots; more are drawn as bins.
MOST_REQUESTS, MOST_DOTS = 20, 120
# Passes over datasets that the table shows, the newest.
MOST_PASSES = 50
# The letters of a request's hash that tell requests of one name apart.
_SHORT = 6


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

    ``itl_calls`` counts the calls of ``itl_files`` that the gaps come from, the request's newest results. ``newest`` says whether no other
    request of the cell is newer.
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
    newest: bool
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
    newest = {replications.cell_of_request(each.group.request): each.group.request.id for each in reversed(timed)}
    requests = [_token_times(material, measured, set(newest.values())) for measured in timed[:MOST_REQUESTS]]
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


def _token_times(material: Material, measured: Measured, newest: set[str]) -> TokenTimes:
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
        newest=request.id in newest,
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
    """Return a figure of TTFT and one of TPOT with a row for each request, and one of ITL for each request."""
    requests = cast(Times, content).requests
    named = Counter(_name(request) for request in requests)
    rows = [(_name(request) + _tail(request) * (named[_name(request)] > 1), request) for request in requests]
    shared = [
        _shared("ttft", "Time to first token", [(name, each, each.ttft) for name, each in rows]),
        _shared("tpot", "Time per output token", [(name, each, each.tpot) for name, each in rows if each.tpot]),
    ]
    return [*filter(None, shared), *(_gaps_figure(name, each, each.itl) for name, each in rows if each.itl)]


def _name(request: TokenTimes) -> str:
    return f"{request.measured}, {request.stack}"


def _tail(request: TokenTimes) -> str:
    return f" ({request.request.rpartition('-')[2][:_SHORT]})"


def _shared(name: str, title: str, rows: list[tuple[str, TokenTimes, Spread | None]]) -> Figure | None:
    """Return one figure with a row for each request; None for no rows."""
    made = tuple(
        DistributionRow(
            label=label,
            what=counted(request.launches, "launch", "launches"),
            dots=_dots(spread),
            bars=_bars(spread),
            median=1e3 * spread.percentiles["median"],
            note=request.note,
        )
        for label, request, spread in rows
        if spread is not None
    )
    line = "a dot is the median of the calls of one launch; line and number are the median of launches"
    figure = DistributionsFigure(name, title, line, "milliseconds", "ms", made)
    return distributions_figure.draw(figure) if made else None


def _gaps_figure(name: str, request: TokenTimes, gaps: Spread) -> Figure:
    marks = list(gaps.percentiles.items())
    return distribution_figure.draw(
        DistributionFigure(
            name=f"itl-{request.request}",
            title="Time between tokens",
            lines=(name, f"{gaps.count} gaps of {counted(request.itl_calls, 'call')}"),
            note=request.note,
            what="milliseconds",
            unit="ms",
            dots=_dots(gaps),
            bars=_bars(gaps),
            marks=tuple(Mark(key, 1e3 * value) for key, value in (*marks[:1], *marks[1:][-1:])),
        )
    )


def _dots(spread: Spread) -> tuple[Dot, ...]:
    return tuple(Dot(1e3 * value, f"{1e3 * value:.6g} ms") for value in spread.values_s)


def _bars(spread: Spread) -> tuple[Bar, ...]:
    return tuple(Bar(1e3 * bin.low, 1e3 * bin.high, bin.count) for bin in spread.bins_s)
