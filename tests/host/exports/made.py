"""Measurements that the tests of exports start from: results of Gaudi2, of the CPU and of a stand-in, and names that are hostile."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from runner.contract.records import JsonObject, Result
from runner.contract.request import Request
from runner.host.judging import measured
from runner.host.judging.comparison import Difference
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.results import attempts
from runner.host.results.result_files import ReadResult
from tests.support import groups, samples

STEADY_S = (3.10, 3.11, 3.09, 3.10, 3.12)
SEAL = "0123456789abcdef" * 4
# What names of files and of checks may hold: formulas, markup of several formats, line breaks, quotes, what turns the direction.
HOSTILE = [
    "=1+1",
    "+1",
    "-1+1|cmd",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\uff1d1+1",
    'a,=1+1;"=1+1"',
    "a|b\n# heading\n| x |",
    'a"} 1\n# EOF\nb{c="',
    "a\\",
    "\u202ecod.exe\u2066",
    "<script>alert(1)</script>&amp;",
    "`<img src=x onerror=alert(1)>` ![a](https://example.com/a.png) @everyone",
    "\x1b[2J\x00",
    "\udcff",
    "a" * 10_000,
]
_catalog = functools.cache(catalog.read)


def of(*results: tuple[JsonObject, Request], path: str = "results/r.json") -> list[Measured]:
    """Return what was measured, from unsealed results with their requests; every result has the same path."""
    read = []
    for body, request in results:
        # a test's body lacks the seal, and may hold what no schema allows
        sealed = cast(Result, {**body, "sha256": SEAL, "request": request.to_json()})
        attempt = attempts.of_result(sealed)
        read.append(ReadResult(path, attempt, attempts.to_text(attempt), request))
    return measured.of_results(read, _catalog())


def gaudi2(*latencies_s: float, attempt: str = "20261122T100000Z-0123abcd") -> tuple[JsonObject, Request]:
    """Return a result with a launch for each latency, under all conditions of the published 176B cell on Gaudi2."""
    body, request = groups.of_launches(*(latencies_s or STEADY_S))
    body["attempt"]["id"] = attempt
    return body, replace(request, launches=len(body["launches"]))


def cpu() -> tuple[JsonObject, Request]:
    """Return a result of the CPU: a walk-through with dummy weights."""
    return samples.body(attempt_id="20261123T100000Z-0123abcd"), samples.request()


def stand_in() -> tuple[JsonObject, Request]:
    """Return a result in which something stood in for the device."""
    body, request = groups.gaudi2_result(emulated=True)
    return body, request


def flagged(check: str) -> tuple[JsonObject, Request]:
    """Return a result whose first launch a check flags."""
    body, request = gaudi2()
    groups.flag(check, 0)(body)
    return body, request


def energetic(energy_j: float) -> tuple[JsonObject, Request]:
    """Return a result whose timed calls took ``energy_j`` each, on all devices together."""
    body, request = gaudi2()
    for launch in body["launches"]:
        launch["ranks"] = [{**rank, "watched": dict(rank["watched"])} for rank in launch["ranks"]]
        for rank in launch["ranks"]:
            rank["watched"]["energy_j"] = energy_j * len(launch["timed"]["iterations_s"]) / len(launch["ranks"])
    return body, request


def hostile(name: str) -> list[Measured]:
    """Return measurements in which every text that others write is ``name``: file, check, device, processor, reason, claim and cell."""
    body, request = flagged(name)
    body["environment"]["cpu"]["model"] = name
    for launch in body["launches"]:
        for rank in launch["ranks"]:
            rank["device"]["name"] = name
    (found,) = of((body, request), path=name)
    (row,) = found.rows
    differences = [Difference(name, name, name)]
    judged = replace(row.verdict, reasons=[name])
    return [replace(found, rows=[replace(row, claim=name, published=name, verdict=judged, differences=differences)])]


def texts(value: object) -> Iterator[str]:
    """Yield every text of a JSON value, its keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
