"""Make up results that nobody measured: whole, sealed, true to the schema, and the same bytes for the same seed.

Requests come from the catalog and the lock, as the verb ``request`` makes them. Hosts, processors, devices, drivers and images say that
they are made up, so that no reader takes them for a measurement.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import random
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from runner.contract import estimator, strictjson
from runner.contract import result as results
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.contract.words import EngineObserved, Precision
from runner.host import cases
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock
from tests.support import samples

HOST, PROCESSOR, DEVICE, DRIVER = "made-up", "made-up processor", "made-up device", "made-up driver"
_CALLS_INSTRUMENTED = 3
# What an engine calls itself in the conditions of a launch, on one device and on several.
_ENGINES: dict[str, tuple[EngineObserved, EngineObserved]] = {
    "plain": ("transformers", "deepspeed-autotp"),
    "optimum-habana": ("optimum-habana", "optimum-habana-deepspeed"),
    "kernel-injection": ("deepspeed-kernel-injection", "deepspeed-kernel-injection"),
    "compiled": ("transformers-compiled", "transformers-compiled-tp"),
}


@dataclass(frozen=True)
class MadeUp:
    """Results of one request to be made up: ``attempts`` files with ``launches`` complete launches each.

    The geometric mean of all launches is ``ratio`` times the published number of the first claim beside the case, or ``latency_s`` where
    that is given; ``cv`` is the variation between launches, exactly. ``precision`` replaces the case's, ``packages`` versions of the
    stack's. ``flagged`` maps the number of a launch, from 0 over all attempts, to the check that flags it; ``failed`` launches fail in
    each attempt, after the complete ones. ``watts`` is the power of one device, None for devices that tell no energy.
    """

    case: str
    ratio: float = 1.0
    latency_s: float | None = None
    cv: float = 0.006
    attempts: int = 1
    launches: int = 5
    failed: int = 0
    precision: Precision | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    flagged: Mapping[int, str] = field(default_factory=dict)
    watts: float | None = None
    emulated: bool = False
    host: str = HOST
    started: datetime = datetime(2026, 11, 1, 8, tzinfo=timezone.utc)


# The eight published cells, one of each verdict that results can have, and the word of each.
EIGHT_CELLS: dict[str, MadeUp] = {
    "REPRODUCED": MadeUp("gaudi2-8-bloomz", ratio=1.012, watts=400, attempts=2),
    "SLOWER": MadeUp("a100-8-bloomz", ratio=1.12, watts=300),
    "REPRODUCED, host-bound": MadeUp("gaudi2-8-bloomz-7b1", ratio=0.97, cv=0.03, watts=250, attempts=2),
    "INCONCLUSIVE": MadeUp("a100-8-bloomz-7b1", ratio=1.13, cv=0.04, watts=200),
    "NOT-COMPARABLE": MadeUp("gaudi-8-bloomz-7b1", ratio=1.6, precision="float32"),
    "FASTER": MadeUp("gaudi2-1-bloomz-7b1", ratio=0.86, cv=0.004, watts=350),
    "PROVISIONAL": MadeUp("a100-1-bloomz-7b1", ratio=1.01, launches=1, watts=280),
    "REPRODUCED, flagged": MadeUp("gaudi-1-bloomz-7b1", ratio=0.99, flagged={1: "cpu_pressure"}, failed=1),
}
_A_WEEK = timedelta(days=7)
# Four stacks of one case before the one of the eight cells: the third is slower, which the fourth takes back in part.
HISTORY = [
    MadeUp("gaudi2-8-bloomz", ratio=1.01, packages={"optimum-habana": "0.0.1"}),
    MadeUp("gaudi2-8-bloomz", ratio=1.012, packages={"optimum-habana": "0.0.2"}),
    MadeUp("gaudi2-8-bloomz", ratio=1.16, packages={"optimum-habana": "0.0.3"}),
    MadeUp("gaudi2-8-bloomz", ratio=1.08, packages={"optimum-habana": "0.0.3", "torch": "0.0.2"}),
]
# The same cells in another laboratory, under the same conditions and, for the last, under others.
LABORATORY = [
    MadeUp("gaudi2-8-bloomz", ratio=1.03, cv=0.01, host="made-up-elsewhere"),
    MadeUp("gaudi2-1-bloomz-7b1", ratio=0.9, cv=0.01, host="made-up-elsewhere"),
    MadeUp("a100-1-bloomz-7b1", ratio=1.02, cv=0.01, host="made-up-elsewhere"),
    MadeUp("a100-8-bloomz", ratio=1.3, cv=0.01, precision="bfloat16", host="made-up-elsewhere"),
]


def write_eight_cells(folder: Path, seed: int = 1) -> list[Path]:
    """Write made-up results of all eight published cells below ``folder``, and return their paths."""
    return write(folder, list(EIGHT_CELLS.values()), seed)


def write_history(folder: Path, seed: int = 2) -> list[Path]:
    """Write made-up results of one case over four stacks, a week between them, below ``folder``, and return their paths."""
    dated = [
        replace(made, started=made.started - (len(HISTORY) - number) * _A_WEEK) for number, made in enumerate(HISTORY)
    ]
    return write(folder, dated, seed)


def write_laboratory(folder: Path, seed: int = 3) -> list[Path]:
    """Write made-up results of another laboratory below ``folder``, and return their paths."""
    return write(folder, LABORATORY, seed)


def write(folder: Path, many: list[MadeUp], seed: int = 0) -> list[Path]:
    """Write the results below ``folder`` as ``bench`` lays them out, and return their paths."""
    paths = []
    for number, made in enumerate(many):
        # a part's launches do not depend on the parts before it
        chance = random.Random(f"{seed} {number}")
        for result in make(made, chance):
            path = folder / results.file_name(result["request"]["id"], result["attempt"]["id"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(strictjson.canonical(result) + b"\n")
            paths.append(path)
    return paths


def make(made: MadeUp, chance: random.Random) -> Iterator[JsonObject]:
    """Yield one sealed result for each attempt; results share parts, and are to be written and not changed."""
    request = request_of(made)
    raw = samples.raw(request)
    latencies_s = iter(_latencies_s(made, chance))
    for number in range(made.attempts):
        launches = [
            _launch(raw, request, made, index, latency_s, made.flagged.get(number * made.launches + index), chance)
            for index, latency_s in enumerate(itertools.islice(latencies_s, made.launches))
        ]
        launches += [_failed(made.launches + index) for index in range(made.failed)]
        started = made.started + timedelta(days=number)
        yield results.seal(_body(request, made, launches, started, chance.getrandbits(32)))


def request_of(made: MadeUp) -> Request:
    """Return the request, in a made-up image where the case's stack runs in one."""
    catalog, lock = _tables()
    changes = cases.Changes(precision=made.precision, launches=made.launches + made.failed)
    image = f"made-up.invalid/{made.case}@sha256:{hashlib.sha256(made.case.encode()).hexdigest()}"
    on_host = catalog.cases[made.case].accelerator == "cpu"
    # a draft: the pins that the lock leaves open stay open
    request = cases.make(catalog, lock, made.case, changes, None if on_host else image, draft=True)
    stack = replace(request.stack, packages={**request.stack.packages, **made.packages})
    return Request.from_json(replace(request, stack=stack).to_json(), f"the made-up request of {made.case}")


@functools.cache
def _tables() -> tuple[Catalog, Lock]:
    return catalogs.read(), lockfile.read()


def _latencies_s(made: MadeUp, chance: random.Random) -> list[float]:
    """Return one latency for each complete launch: their logarithms have the wanted mean and deviation, whatever the seed."""
    catalog, _ = _tables()
    mean_s = made.latency_s
    if mean_s is None:
        mean_s = made.ratio * float(catalog.claims[catalog.cases[made.case].beside[0]].value)
    drawn = [chance.gauss(0, 1) for _ in range(made.attempts * made.launches)]
    if len(drawn) < 2:
        return [mean_s for _ in drawn]
    middle, spread = statistics.fmean(drawn), statistics.stdev(drawn)
    return [mean_s * math.exp(made.cv * (value - middle) / spread) for value in drawn]


def _body(request: Request, made: MadeUp, launches: list[JsonObject], started: datetime, number: int) -> JsonObject:
    parts_s = [
        launch["load_s"]
        + sum(launch["untimed_s"])
        + launch["clock"]["elapsed_s"]
        + sum(launch["instrumented"]["e2e_s"])
        for launch in launches
        if launch["status"] == "complete"
    ]
    duration_s = round(sum(parts_s) + 10 * len(launches), 3)
    ended = started + timedelta(seconds=duration_s)
    return {
        "kind": "result",
        "schema": results.SCHEMA,
        "attempt": {
            "id": f"{started:%Y%m%dT%H%M%SZ}-{number:08x}",
            "status": "complete",
            "started_utc": f"{started:%Y-%m-%dT%H:%M:%SZ}",
            "ended_utc": f"{ended:%Y-%m-%dT%H:%M:%SZ}",
            "duration_s": duration_s,
            "clock_drift_s": 0.0,
        },
        "request": request.to_json(),
        "environment": _environment(request, made),
        "launches": launches,
        "outputs": None,
    }


def _environment(request: Request, made: MadeUp) -> JsonObject:
    return {
        **samples.environment(),
        "packages": dict(request.stack.packages),
        "inventory": samples.inventory(requirements="made-up requirements", compared=len(request.stack.packages)),
        "image": request.stack.image,
        "host": made.host,
        "kernel": "made-up kernel",
        "operating_system": "made-up system",
        "cpu": {"model": PROCESSOR, "usable_cores": 8, "governor": None},
    }


def _launch(
    raw: JsonObject,
    request: Request,
    made: MadeUp,
    index: int,
    latency_s: float,
    flag: str | None,
    chance: random.Random,
) -> JsonObject:
    """Return a complete launch of a latency workload whose estimate is ``latency_s``, up to nanoseconds.

    ``raw`` is what ranks of such a request write.
    """
    calls, new = request.protocol.timed_calls, request.workload.output_tokens
    drawn_s = [latency_s * math.exp(0.004 * chance.gauss(0, 1)) for _ in range(calls)]
    correction = latency_s * calls / sum(drawn_s)
    iterations_s = _nanoseconds(value * correction for value in drawn_s)
    timed = {**raw["timed"], "iterations_s": iterations_s, "span_s": sum(iterations_s)}
    estimate_s = estimator.latency_s(request.protocol, request.workload, timed)  # type: ignore[arg-type]
    return {
        **raw,
        "index": index,
        "status": "complete",
        "load_average_1min": 0.1,
        "runnable_before": 0,
        "command": ["made-up"],
        "variables": {},
        "load_s": 60.0,
        "conditions": _conditions(request, made),
        "cannot_tell": {},
        "checks": _checks(flag),
        "untimed_s": [round(latency_s * 1.2, 9) for _ in range(request.protocol.untimed_calls)],
        "timed": timed,
        "estimate": {"estimator": request.protocol.estimator, "latency_s": estimate_s},
        "instrumented": _instrumented(latency_s, new, chance),
        "clock": {"resolution_s": 1e-9, "elapsed_s": sum(iterations_s) + 0.001, "drift_s": 0.0},
        "ranks": [_rank(rank, request, made, sum(iterations_s)) for rank in raw["ranks"]],
    }


def _conditions(request: Request, made: MadeUp) -> JsonObject:
    return {
        "device": request.accelerator.device,
        "devices": request.devices,
        "engine": _ENGINES[request.engine][request.devices > 1],
        "precision": request.workload.precision,
        "kv_cache": True,
        "graphs": request.protocol.graphs,
        "shapes": request.protocol.shapes,
        "end_of_text": request.protocol.end_of_text,
        "emulated": made.emulated,
    }


def _instrumented(latency_s: float, tokens: int, chance: random.Random) -> JsonObject:
    """Return the second pass: the first token takes two shares of a call, now and then a token takes long."""
    share_s = latency_s / (tokens + 1)
    calls = [
        _nanoseconds(
            share_s * math.exp(0.02 * chance.gauss(0, 1)) * (1.5 if chance.random() < 0.01 else 1)
            for _ in range(1, tokens)
        )
        for _ in range(_CALLS_INSTRUMENTED)
    ]
    ttft_s = _nanoseconds(2 * share_s * math.exp(0.03 * chance.gauss(0, 1)) for _ in calls)
    e2e_s = [first_s + sum(gaps_s) for first_s, gaps_s in zip(ttft_s, calls, strict=True)]
    return {
        "ttft_s": ttft_s,
        "itl_s": calls,
        "e2e_s": e2e_s,
        "tpot_s": [sum(gaps_s) / len(gaps_s) for gaps_s in calls],
        "forward_calls": [tokens for _ in calls],
    }


def _nanoseconds(values_s: Iterable[float]) -> list[float]:
    """Return durations as a clock gives them: the last digit of an exponential is not the same on every processor."""
    return [round(value_s, 9) for value_s in values_s]


def _rank(raw: JsonObject, request: Request, made: MadeUp, span_s: float) -> JsonObject:
    device = request.accelerator.device
    energy_j = None if made.watts is None else made.watts * span_s
    return {
        **raw,
        "host": made.host,
        "device": {"name": DEVICE, "accelerator": request.accelerator.name, "driver": DRIVER},
        "parameters_on": [device],
        "watched": {**raw["watched"], "energy_j": energy_j},
    }


@functools.cache
def _names_of_checks() -> list[tuple[str, str]]:
    """Return name and act of each check of a real result."""
    result: Any = strictjson.read(str(Path(__file__).parents[1] / "data" / "result-2.json"))
    return [(check["name"], check["act"]) for check in result["launches"][0]["checks"]]


def _checks(flag: str | None) -> list[JsonObject]:
    """Return the checks of a launch; all pass but ``flag``, of which a real result has the name."""
    return [
        {"name": name, "act": act, "passed": name != flag, "wanted": None, "found": None, "reason": None}
        for name, act in _names_of_checks()
    ]


def _failed(index: int) -> JsonObject:
    return {
        "index": index,
        "status": "failed",
        "load_average_1min": 0.1,
        "runnable_before": 0,
        "command": ["made-up"],
        "variables": {},
        "error": "a made-up failure",
        "log": ["a made-up log"],
    }
