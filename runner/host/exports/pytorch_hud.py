"""Records of PyTorch's OSS benchmark database, schema v3, which the PyTorch HUD shows: a list, one record for each metric of a request.

Fields as of pytorch/test-infra clickhouse_db_schema/benchmark.oss_ci_benchmark_v3/schema.sql; metrics and their units as vLLM writes
them for the HUD: latencies in seconds, times of tokens in milliseconds. The uploader adds what it knows of its own run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from runner import __version__
from runner.host.exports import conditions, json_text
from runner.host.judging.measured import Measured, Sample


class _Metric(NamedTuple):
    """A metric: the name that the HUD shows, its unit, what its values are, and how a launch tells it."""

    name: str
    unit: str
    value: str
    of_launch: Callable[[Sample], float | None]


_METRICS = (
    _Metric("latency", "s", "one launch, by the published estimator", lambda sample: sample.latency_s),
    _Metric("median_ttft_ms", "ms", "median of a launch's instrumented calls", lambda sample: sample.ttft_s * 1000),
    _Metric(
        "median_tpot_ms",
        "ms",
        "median of a launch's instrumented calls",
        lambda sample: None if sample.tpot_s is None else sample.tpot_s * 1000,
    ),
    _Metric("energy_j", "J", "one timed call on all devices, mean of a launch", lambda sample: sample.energy_j),
)


def text(measured: Sequence[Measured]) -> str:
    """Return the records of all requests that have times. A metric that no launch tells has no record."""
    return json_text.dumps(
        [record for of_request in filter(conditions.has_times, measured) for record in _records(of_request)]
    )


def _records(measured: Measured) -> Iterator[dict[str, object]]:
    request, asked = measured.group.request, conditions.of(measured)
    common = {
        "benchmark": {
            "name": "bloomz-bench",
            "mode": "inference",
            "dtype": request.workload.precision,
            "extra_info": conditions.words({**asked, "notes": "; ".join(conditions.notes(measured)) or None}),
        },
        "model": {
            "name": request.model.name,
            "type": "BLOOM",
            "backend": request.engine,
            "extra_info": conditions.words({"weights": asked["weights"], "revision": asked["revision"]}),
        },
        "runners": [_runner(measured)],
        "dependencies": {
            "bloomz-bench": {"version": __version__},
            **{name: {"version": version} for name, version in request.stack.packages.items()},
        },
    }
    for metric in _METRICS:
        values = conditions.known([metric.of_launch(sample) for sample in measured.samples])
        if values:
            told = {"unit": metric.unit, "value": metric.value, "launches": len(values)}
            extra = {**told, **(_verdicts(measured) if metric.name == "latency" else {})}
            yield {
                **common,
                "metric": {"name": metric.name, "benchmark_values": values, "extra_info": conditions.words(extra)},
            }


def _runner(measured: Measured) -> dict[str, object]:
    """Return the host as the HUD describes one: of a walk-through the processor, else the accelerators."""
    request, told = measured.group.request, measured.group.told
    devices = ", ".join(sorted(told.get("device", ())))
    return {
        "name": request.accelerator.name,
        "type": request.accelerator.name,
        "cpu_info": ", ".join(sorted(told.get("processor", ()))),
        **({} if measured.walk_through else {"gpu_info": devices, "gpu_count": request.devices}),
    }


def _verdicts(measured: Measured) -> dict[str, str]:
    """Return the verdict on each published cell, with its reasons and both numbers."""
    return {
        f"verdict {cell.claim}": f"{cell.verdict}: {'; '.join(cell.reasons)}; published {cell.published_s} s"
        + ("" if cell.ratio is None else f", measured over published {cell.ratio}")
        for cell in conditions.verdicts(measured)
    }
