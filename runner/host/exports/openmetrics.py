"""OpenMetrics text 1.0: launches, published cells and verdicts as gauges. A value that is unknown has no sample.

Each sample says of its request whether it is a walk-through and which weights it has; the info metric holds all conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

from runner.host.exports import conditions
from runner.host.judging.comparison import Row
from runner.host.judging.measured import Measured, Sample
from runner.host.judging.verdict import VerdictWord

_PREFIX = "bloomz_bench"
Labels = Mapping[str, object]
Samples = Iterator[tuple[Labels, float]]


class _OfLaunch(NamedTuple):
    """A gauge with a sample for each launch that tells it: its name, which ends with its unit, and what it is."""

    name: str
    unit: str
    help: str
    value: Callable[[Sample], float | None]


class _OfCell(NamedTuple):
    """A gauge with a sample for each published cell beside a request."""

    name: str
    unit: str
    help: str
    value: Callable[[Row], float | None]


_OF_LAUNCHES = (
    _OfLaunch(
        "launch_latency_seconds",
        "seconds",
        "Latency of one launch by the published estimator.",
        lambda sample: sample.latency_s,
    ),
    _OfLaunch(
        "launch_time_to_first_token_seconds",
        "seconds",
        "Median over the instrumented calls of one launch.",
        lambda sample: sample.ttft_s,
    ),
    _OfLaunch(
        "launch_time_per_output_token_seconds",
        "seconds",
        "Median over the instrumented calls of one launch.",
        lambda sample: sample.tpot_s,
    ),
    _OfLaunch(
        "launch_energy_joules",
        "joules",
        "Energy of one timed call on all devices, mean of one launch.",
        lambda sample: sample.energy_j,
    ),
)
_OF_CELLS = (
    _OfCell("published_seconds", "seconds", "The published number.", lambda row: float(row.published_s)),
    _OfCell(
        "measured_over_published_ratio",
        "ratio",
        "Geometric mean of all launches over the published number.",
        lambda row: row.verdict.ratio,
    ),
    _OfCell(
        "measured_over_published_low_ratio",
        "ratio",
        "Lower end of the ratio's 90% interval.",
        lambda row: None if row.verdict.interval is None else row.verdict.interval[0],
    ),
    _OfCell(
        "measured_over_published_high_ratio",
        "ratio",
        "Upper end of the ratio's 90% interval.",
        lambda row: None if row.verdict.interval is None else row.verdict.interval[1],
    ),
)


def text(measured: Sequence[Measured]) -> str:
    """Return the metrics of all requests, in UTF-8; times of what ran on a stand-in are left out."""
    lines = [*_family("request", "info", None, "What a request asks for.", _info(measured), "_info")]
    for metric in _OF_LAUNCHES:
        lines += _family(metric.name, "gauge", metric.unit, metric.help, _of_launches(measured, metric))
    for gauge in _OF_CELLS:
        lines += _family(gauge.name, "gauge", gauge.unit, gauge.help, _of_cells(measured, gauge))
    lines += _family("verdict", "stateset", None, "The verdict on a published cell.", _verdicts(measured))
    return "\n".join([*lines, "# EOF"]) + "\n"


def _family(name: str, kind: str, unit: str | None, help_text: str, samples: Samples, suffix: str = "") -> list[str]:
    """Return the lines of one metric, none where no sample is known."""
    lines = [f"{_PREFIX}_{name}{suffix}{{{_told(labels)}}} {value!r}" for labels, value in samples]
    unit_line = [] if unit is None else [f"# UNIT {_PREFIX}_{name} {unit}"]
    head = [f"# TYPE {_PREFIX}_{name} {kind}", *unit_line, f"# HELP {_PREFIX}_{name} {help_text}"]
    return [*head, *lines] if lines else []


def _told(labels: Labels) -> str:
    return ",".join(f'{label}="{_escaped(word)}"' for label, word in conditions.words(labels).items())


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


def _info(measured: Sequence[Measured]) -> Samples:
    for of_request in measured:
        yield conditions.of(of_request), 1


def _common(measured: Measured) -> dict[str, object]:
    asked = conditions.of(measured)
    return {name: value for name, value in asked.items() if name in ("request", "case", "weights", "walk_through")}


def _of_launches(measured: Sequence[Measured], metric: _OfLaunch) -> Samples:
    for of_request in filter(conditions.has_times, measured):
        common = _common(of_request)
        for sample in of_request.samples:
            value = metric.value(sample)
            if value is not None:
                yield {**common, "attempt": sample.attempt, "launch": sample.index}, value


def _of_cells(measured: Sequence[Measured], gauge: _OfCell) -> Samples:
    for of_request in measured:
        for row in of_request.rows:
            value = gauge.value(row)
            if value is not None:
                yield {**_common(of_request), "claim": row.claim}, value


def _verdicts(measured: Sequence[Measured]) -> Samples:
    for of_request in measured:
        for row in of_request.rows:
            for word in get_args(VerdictWord):
                labels = {**_common(of_request), "claim": row.claim, f"{_PREFIX}_verdict": word}
                yield labels, int(word == row.verdict.word)
