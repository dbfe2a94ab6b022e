"""The benchmark report of llm-d, version 0.2.1, for one request.

Fields and units as of llm-d/llm-d-benchmark llmdbenchmark/analysis/benchmark_report/schema_v0_2_1.py, which refuses every other field
but in ``observability``: there stands what the report has no field for. JSON, which that package reads too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from runner import __version__
from runner.contract import strictjson
from runner.host.exports import conditions, json_text
from runner.host.judging import percentiles
from runner.host.judging.measured import Measured

VERSION = "0.2.1"
_PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def text(measured: Measured) -> str:
    """Return the report of one request, which has times. Each statistic is over launches."""
    return json_text.dumps(
        {"version": VERSION, "run": _run(measured), "scenario": _scenario(measured), "results": _results(measured)}
    )


def _run(measured: Measured) -> dict[str, object]:
    request, dummy = measured.group.request, measured.group.request.weights.kind == "dummy"
    seals = [file.sha256 for file in measured.files]
    keywords = [
        *(["walk-through"] if measured.walk_through else []),
        *(["dummy-weights"] if dummy else []),
        *sorted({row.verdict.word for row in measured.rows}),
    ]
    begun = datetime.strptime(measured.files[0].attempt[:16], "%Y%m%dT%H%M%S%z")
    return {
        "uid": strictjson.sha256_of({"request": request.id, "results": seals})[:32],
        "eid": request.id,
        "time": {"start": begun.isoformat().replace("+00:00", "Z")},
        "description": "; ".join([f"{request.case}, {len(measured.samples)} launches", *conditions.notes(measured)]),
        "keywords": keywords,
    }


def _scenario(measured: Measured) -> dict[str, object]:
    request = measured.group.request
    engine = {
        "metadata": {"label": "engine", "cfg_id": request.id, "description": f"stack {request.stack.name}"},
        "standardized": {
            "kind": "inference_engine",
            "tool": request.engine,
            "tool_version": request.stack.name,
            "role": "replica",
            "replicas": 1,
            "model": {"name": request.model.name},
            "accelerator": {
                "model": request.accelerator.name,
                "count": request.devices,
                "parallelism": {"tp": request.devices},
            },
        },
        "native": {"config": {"conditions": conditions.of(measured), "stack": asdict(request.stack)}},
    }
    load = {
        "metadata": {
            "cfg_id": request.id,
            "description": f"protocol {request.protocol.name}, workload {request.workload.name}",
        },
        "standardized": {
            "tool": "bloomz-bench",
            "tool_version": __version__,
            # the one published prompt: neither random tokens nor unknown ones
            "source": "sampled",
            "input_seq_len": {"distribution": "fixed", "value": request.workload.input_tokens},
            "output_seq_len": {"distribution": "fixed", "value": request.workload.output_tokens},
            "concurrency": request.workload.batch_size,
        },
        "native": {"config": {"workload": asdict(request.workload), "protocol": asdict(request.protocol)}},
    }
    return {"stack": [engine], "load": load}


def _results(measured: Measured) -> dict[str, object]:
    samples = measured.samples
    latency = {
        "request_latency": _statistics([sample.latency_s for sample in samples], "s"),
        "time_to_first_token": _statistics([sample.ttft_s for sample in samples], "s"),
        "time_per_output_token": _statistics(conditions.known([sample.tpot_s for sample in samples]), "s/token"),
    }
    told = {name: statistic for name, statistic in latency.items() if statistic is not None}
    return {
        "request_performance": {"aggregate": {"latency": told}},
        "observability": {
            "bloomz_bench": {
                "value": "each statistic is over launches: request_latency by the published estimator, the others medians of a launch's"
                " instrumented calls",
                "notes": conditions.notes(measured),
                "launches": {"complete": len(samples), "without_measurement": measured.group.failed},
                "energy_j": conditions.known([sample.energy_j for sample in samples]) or None,
                "verdicts": conditions.verdicts(measured),
                "results": measured.files,
            }
        },
    }


def _statistics(values: Sequence[float], units: str) -> dict[str, object] | None:
    """Return the statistics of launches, None without any. A percentile that so few launches cannot tell is left out."""
    if not values:
        return None
    return {
        "units": units,
        "mean": statistics.fmean(values),
        **({"stddev": statistics.stdev(values)} if len(values) > 1 else {}),
        "min": min(values),
        **{
            f"p{percent}": percentiles.percentile(values, percent)
            for percent in _PERCENTS
            if len(values) >= percentiles.least_values(percent)
        },
        "max": max(values),
    }
