"""Requests, raw data and results that tests start from. Python 3.8, no torch."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from typing import Any

from runner.bench.devices import cpu
from runner.contract import result as results
from runner.contract import strictjson
from runner.contract.architecture import Architecture
from runner.contract.records import JsonObject
from runner.contract.request import Accelerator, Model, Protocol, Request, Stack, Weights, Workload

TINY = Architecture(512, 128, 2, 4)
PROMPT = "DeepSpeed is a machine learning framework"


def protocol(**changes: Any) -> Protocol:
    row = {
        "name": "gaudi-1.10",
        "version": "1",
        "untimed_calls": 3,
        "timed_calls": 5,
        "synchronize_before": True,
        "synchronize_after": False,
        "end_of_text": "ignore",
        "token_count": "nominal",
        "shapes": "static",
        "graphs": True,
        "estimator": "nominal",
        "clock": "perf_counter",
        "source": "a test",
    }
    return Protocol(**{**row, **changes})


def workload(**changes: Any) -> Workload:
    row = {
        "name": "latency",
        "batch_size": 1,
        "input_tokens": 7,
        "output_tokens": 100,
        "precision": "float32",
        "prompt": PROMPT,
        "dataset": None,
    }
    return Workload(**{**row, **changes})


def hpu_stack(driver: str | None = None, firmware: str | None = None) -> Stack:
    return Stack("gaudi-1.10", "hpu", "3.8", "deepspeed", {"torch": "2.0.1"}, None, None, driver, firmware)


def request(**changes: Any) -> Request:
    """Return a small request of the CPU; ``changes`` replace whole parts."""
    parts = {
        "case": "cpu-1",
        "accelerator": Accelerator("cpu", "cpu", None, None),
        "devices": 1,
        "stack": Stack("cpu", "cpu", "3.10", "deepspeed", {"torch": "2.13.0", "deepspeed": "0.19.8"}, None, None),
        "model": Model("bloom-tiny", TINY, None, None, {}),
        "weights": Weights("dummy", 29, 0.3),
        "workload": workload(),
        "protocol": protocol(),
        "launches": 1,
        "margin": 0.05,
        "beside": ["post-3-gaudi2-1-bloomz-7b1"],
        "engine": "plain",
    }
    made = Request(**{**parts, **changes})
    return Request.from_json(made.to_json(), "a test's request")


def watched(**changes: Any) -> JsonObject:
    """Return what a rank of the CPU was seen to do: it tells nothing of itself."""
    observed = {
        **dict.fromkeys(("memory_rise_bytes", "cached_kernels", "fallbacks")),
        **dict.fromkeys(("foreign_processes", "throttle_reasons", "control", "device_clock", "device_node")),
        "compilations": 0,
        "residual_s": 1e-7,
        "cpu_nodes": [0],
        "major_faults": 0,
    }
    return {**observed, **changes}


def raw(asked: Request) -> JsonObject:
    """Return what the ranks of one launch of a latency request would write, in seconds that are easy to add."""
    rows, new = asked.workload.batch_size, asked.workload.output_tokens
    calls = asked.protocol.timed_calls
    output_ids = [[(3 * row + place) % 50 for place in range(new)] for row in range(rows)]
    hashed = hashlib.sha256(strictjson.canonical(output_ids)).hexdigest()
    rank = {
        "host": "node",
        "variables": {},
        "watched": watched(),
        "device": {"name": "a processor", "accelerator": "cpu", "driver": None, "threads": 1},
        "parameter_bytes": asked.model.architecture.weight_bytes_per_rank(asked.workload.precision, asked.devices),
        "parameters_on": ["cpu"],
        "device_peak_memory_bytes": None,
        "host_peak_rss_bytes": 400000000,
        "tokens_sha256": hashed,
    }
    return {
        "load_s": 0.5,
        "weights": {**dataclasses.asdict(asked.weights), "revision": None, "format": None, "files": []},
        "conditions": {
            "device": "cpu",
            "emulated": False,
            "devices": asked.devices,
            "engine": "deepspeed",
            "precision": asked.workload.precision,
            "kv_cache": True,
            "graphs": False,
            "shapes": "dynamic",
            "end_of_text": asked.protocol.end_of_text,
        },
        "cannot_tell": dict(cpu.cannot_tell),
        "generation": {
            "max_new_tokens": new,
            "do_sample": False,
            "num_beams": 1,
            "use_cache": True,
            "eos_token_id": None if asked.protocol.end_of_text == "ignore" else 2,
        },
        "untimed_s": [0.5] * asked.protocol.untimed_calls,
        "timed": {
            "iterations_s": [0.25] * calls,
            "span_s": 0.25 * calls,
            "output_tokens": [[new] * rows for _ in range(calls)],
        },
        "clock": {"resolution_s": 1e-9, "elapsed_s": 2.0, "drift_s": 0.0},
        "host_noise": {"cpu_pressure": 0.01, "throttled_periods": 0, "swapped_pages": 0, "oom_kills": None},
        "instrumented": {
            "e2e_s": [0.25],
            "ttft_s": [0.05],
            "tpot_s": [0.2 / (new - 1) if new > 1 else None],
            "itl_s": [[0.2 / (new - 1)] * (new - 1)] if new > 1 else [[]],
            "forward_calls": [new],
        },
        "tokens": {
            "prompt_text": [asked.workload.prompt] * rows,
            "prompt_ids": [list(range(10, 10 + asked.workload.input_tokens)) for _ in range(rows)],
            "output_ids": output_ids,
            "outputs_sha256": [hashed] * calls,
            "text": ["…"] * rows,
            "logits_finite": True,
            "logits_on": "cpu",
        },
        "ranks": [{"rank": number, **copy.deepcopy(rank)} for number in range(asked.devices)],
    }


def environment() -> JsonObject:
    return {
        "python": "3.11.7",
        "implementation": "CPython",
        "venv": True,
        "packages": {"torch": "2.13.0"},
        "inventory": inventory(),
        "image": None,
        "host": "node",
        "machine": "x86_64",
        "kernel": "6.1",
        "operating_system": None,
        "cpu": {"model": "a processor", "usable_cores": 2, "governor": None},
        "memory_total_bytes": 1 << 34,
        "memory_available_bytes": 1 << 33,
        "load_average_1min": 0.1,
    }


def inventory(**changes: Any) -> JsonObject:
    comparison = {"requirements": "images/cpu/requirements-cpu.txt", "compared": 2, "missing": {}, "changed": {}}
    origins: dict = {"shadowed": {}, "unrecorded": [], "injected": [], "interpreter": {}, "variables": {}}
    return {**comparison, "altered_files": [], "added": {}, **origins, **changes}


def body(
    asked: Request | None = None, status: str = "complete", attempt_id: str = "20261122T100000Z-0123abcd"
) -> JsonObject:
    """Return an unsealed result with one complete launch."""
    asked = asked or request()
    launch = {
        "index": 0,
        "status": "complete",
        "load_average_1min": 0.1,
        "runnable_before": 0,
        "command": ["python"],
        "variables": {},
        "checks": [],
        "estimate": {"estimator": asked.protocol.estimator, "latency_s": 0.25},
        **raw(asked),
    }
    return {
        "kind": "result",
        "schema": results.SCHEMA,
        "attempt": {
            "id": attempt_id,
            "status": status,
            "started_utc": "2026-11-22T10:00:00Z",
            "ended_utc": "2026-11-22T10:00:20Z",
            "duration_s": 20.0,
            "clock_drift_s": 0.0,
        },
        "request": asked.to_json(),
        "environment": environment(),
        "launches": [launch],
        "outputs": None,
    }


def result(*arguments: Any, **changes: Any) -> JsonObject:
    return results.seal(body(*arguments, **changes))
