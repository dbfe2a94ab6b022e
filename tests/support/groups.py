"""Results and groups of results that the tests of judging start from: all conditions of one published cell, some launches."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from runner.contract.records import JsonObject, Result
from runner.contract.request import Accelerator, Model, Request, Weights
from runner.host.judging import comparison
from runner.host.judging.groups import Group
from runner.host.readers import catalog
from runner.host.results import attempts
from tests.support import samples

CLAIM = "post-3-gaudi2-8-bloomz"
# Reading the catalog takes longer than all else that a test of judging does.
_catalog = functools.cache(catalog.read)


def gaudi2_result(**observed: object) -> tuple[JsonObject, Request]:
    """Return an unsealed result and its request that share every condition of the published 176B cell on Gaudi2 but ``observed``."""
    tables = _catalog()
    stack = replace(samples.request().stack, name="gaudi-1.10", device="hpu")
    request = samples.request(
        case="gaudi2-8-bloomz",
        accelerator=Accelerator("gaudi2", "hpu", 96 * 10**9, 2.45e12),
        devices=8,
        stack=stack,
        model=Model("bloomz", tables.models["bloomz"], "bigscience/bloomz", "7" * 40, {}),
        weights=Weights("hub", None, None),
        workload=samples.workload(precision="bfloat16"),
        protocol=tables.protocols["gaudi-1.10"],
        beside=[CLAIM],
    )
    body = samples.body(request)
    conditions = {"device": "hpu", "graphs": True, "shapes": "static", "devices": 8}
    launch = body["launches"][0]
    launch["conditions"].update({**conditions, **observed})
    # 10 s a call: no device of the published tables is so fast that its memory forbids it, whatever the condition
    launch["timed"].update(iterations_s=[10.0] * 5, span_s=50.0)
    launch["clock"].update(elapsed_s=50.0)
    launch["estimate"].update(latency_s=10.0)
    body["attempt"].update(duration_s=1000.0)
    return body, request


def grouped(request: Request, *bodies: JsonObject) -> Group:
    """Return the group of unsealed results."""
    group = Group(request)
    for body in bodies:
        # a test's body lacks the seal, and may hold what no schema allows
        attempt = attempts.of_result(cast(Result, {"sha256": "0" * 64, **body}))
        group.add(attempt, attempts.to_text(attempt))
    return group


def only_row(body: JsonObject, request: Request, *more: JsonObject) -> comparison.Row:
    """Return the row of the one claim that a group is compared with."""
    (row,) = comparison.against_claims(_catalog(), grouped(request, body, *more))
    return row


def of_launches(*latencies_s: float) -> tuple[JsonObject, Request]:
    """Return a result like that of ``gaudi2_result`` with one launch for each latency, and its request."""
    body, request = gaudi2_result()
    first = body["launches"][0]
    body["launches"] = [
        {**first, "index": number, "estimate": {"estimator": "nominal", "latency_s": value}}
        for number, value in enumerate(latencies_s)
    ]
    return body, request


def group(
    *latencies_s: float,
    torch: str = "2.13.0",
    case: str = "gaudi2-8-bloomz",
    attempt_id: str = "20261122T100000Z-0123abcd",
    emulated: bool = False,
    spoil: Callable[[JsonObject], None] | None = None,
    **request_changes: Any,
) -> Group:
    """Return a group of one attempt with one launch for each latency; ``spoil`` may change the result before it is read."""
    body, request = of_launches(*latencies_s)
    body["attempt"]["id"] = attempt_id
    body["launches"] = [copy.deepcopy(launch) for launch in body["launches"]]
    body["launches"][0]["conditions"] = {**body["launches"][0]["conditions"], "emulated": emulated}
    if spoil is not None:
        spoil(body)
    stack = replace(request.stack, packages={**request.stack.packages, "torch": torch})
    return grouped(replace(request, **{"stack": stack, "case": case, **request_changes}), body)


def flag(check: str, *launches: int) -> Callable[[JsonObject], None]:
    """Return what makes a check flag some launches of a result, by their indices."""

    def spoil(body: JsonObject) -> None:
        for index in launches:
            failed = {"name": check, "act": "flag", "passed": False, "wanted": 0, "found": 1, "reason": None}
            body["launches"][index]["checks"] = [*body["launches"][index]["checks"], failed]

    return spoil
