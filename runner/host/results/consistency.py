"""Hold the numbers of a result against each other: a seal says that nobody changed a result since, not that it can be true.

Whoever edits a result can seal it again. What the schema cannot say is said here: durations of one clock that contradict each
other, lists that have not the lengths that the request asks for, an estimate that does not follow from its raw durations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.contract import strictjson
from runner.contract.errors import DamagedResult
from runner.contract.estimator import latency_s
from runner.contract.request import Request

# A span and the iterations in it are differences of the same stamps (bench.measure), whole nanoseconds that were divided by
# 1e9: their sums differ by what floats round.
ROUNDING_S = ROUNDING = 1e-9
# The clock's unit, and three years.
SHORTEST_S, LONGEST_S = 1e-9, 1e8
# Two clocks of one host that both count monotonic time, read one after the other.
CLOCKS = 0.01


def check(result: dict[str, Any], request: Request, where: str) -> None:
    """Raise ``DamagedResult`` with the first contradiction in a result of the newest schema's shape."""
    for contradiction in _contradictions(result, request):
        raise DamagedResult(f"{where}: {contradiction}. Measure again.")


def _contradictions(result: dict[str, Any], request: Request) -> Iterator[str]:
    """Yield what cannot be, in words, the most general first."""
    launches, attempt = result["launches"], result["attempt"]
    if len(launches) > request.launches:
        yield f"it holds {len(launches)} launches, and its request asks for {request.launches}"
    if [launch["index"] for launch in launches] != list(range(len(launches))):
        yield "its launches are not numbered from 0 on"
    if not 0 <= attempt["duration_s"] <= LONGEST_S:
        yield f"its attempt took {attempt['duration_s']:g} s"
    for launch in launches:
        if launch["status"] == "complete":
            yield from (f"launch {launch['index']} {what}" for what in _in_launch(launch, request))
            if "timed" in launch and not _estimated(launch, request):
                yield f"the estimate of launch {launch['index']} is not what its raw durations give"
    parts_s = sum(map(_parts_s, launches))
    if parts_s > attempt["duration_s"] * (1 + CLOCKS):
        yield f"the parts of its launches took {parts_s:g} s, its whole attempt {attempt['duration_s']:g} s"


def _parts_s(launch: dict[str, Any]) -> float:
    """Return what loading, the untimed calls, the measured window and the instrumented calls took: one came after the other."""
    window_s = launch["clock"]["elapsed_s"] if "clock" in launch else 0.0
    traced_s = sum(launch["instrumented"]["e2e_s"]) if "instrumented" in launch else 0.0
    return (launch.get("load_s") or 0.0) + sum(launch.get("untimed_s") or ()) + window_s + traced_s


def _in_launch(launch: dict[str, Any], request: Request) -> Iterator[str]:
    devices, ranks = launch["conditions"]["devices"], launch["ranks"]
    for check in launch["checks"]:
        if check["passed"] is False and check["act"] == "refuse":
            yield f"is complete, and failed the check {check['name']}, which refuses a launch"
    if any(launch["weights"][key] != wanted for key, wanted in _asked_weights(request)):
        yield "measured other weights than its request asks for"
    if [rank["rank"] for rank in ranks] != list(range(devices)):
        yield f"ran on {devices} device(s) and tells of {len(ranks)} rank(s), which are not numbered from 0 on"
    if ("timed" in launch) == (request.workload.dataset is not None):
        yield "measured another kind of workload than its request asks for"
    elif "timed" in launch:
        yield from _in_window(launch, request)
        yield from _in_tokens(launch, request)
        yield from _in_instrumented(launch["instrumented"])
    else:
        dataset = launch["dataset"]
        if dataset["rows"] > dataset["rows_total"]:
            yield f"completed {dataset['rows']} of {dataset['rows_total']} rows"
        yield from _within_clock(launch, sum(dataset["batches_s"]), "batches")


def _asked_weights(request: Request) -> Iterator[tuple[str, Any]]:
    yield "kind", request.weights.kind
    if request.weights.kind == "dummy":
        yield from (("seed", request.weights.seed), ("std", request.weights.std))


def _in_window(launch: dict[str, Any], request: Request) -> Iterator[str]:
    iterations_s, span_s = launch["timed"]["iterations_s"], launch["timed"]["span_s"]
    if len(iterations_s) != request.protocol.timed_calls:
        yield f"timed {len(iterations_s)} calls, and its protocol asks for {request.protocol.timed_calls}"
    if span_s < SHORTEST_S * len(iterations_s):
        yield f"took {span_s:g} s for its {len(iterations_s)} timed calls"
    if abs(sum(iterations_s) - span_s) > ROUNDING_S + ROUNDING * span_s:
        yield f"took {span_s:g} s for calls that took {sum(iterations_s):g} s"
    yield from _within_clock(launch, span_s, "timed calls")


def _within_clock(launch: dict[str, Any], seconds: float, what: str) -> Iterator[str]:
    """Yield a contradiction where a part of the measured window took longer than the window."""
    elapsed_s = launch["clock"]["elapsed_s"] if "clock" in launch else None
    if elapsed_s is not None and seconds > elapsed_s * (1 + CLOCKS) + ROUNDING_S:
        yield f"took {seconds:g} s for its {what}, and {elapsed_s:g} s for the window around them"


def _in_tokens(launch: dict[str, Any], request: Request) -> Iterator[str]:
    rows, most = request.workload.batch_size, request.workload.output_tokens
    produced, tokens = launch["timed"]["output_tokens"], launch["tokens"]
    calls = len(launch["timed"]["iterations_s"])
    if len(produced) != calls or len(tokens["outputs_sha256"]) != calls:
        yield f"has the tokens of {len(produced)} calls, the sha256 of {len(tokens['outputs_sha256'])}, and timed {calls}"
    if any(len(call) != rows for call in produced) or len(tokens["output_ids"]) != rows:
        yield f"has not the {rows} row(s) of tokens that its request asks for in each call"
    if any(count > most for call in produced for count in call):
        yield f"produced more than the {most} tokens a row that its request asks for"
    if produced and [len(row) for row in tokens["output_ids"]] != produced[0]:
        yield "has not as many token ids as it says came out of its first call"
    elif tokens["outputs_sha256"][:1] != [strictjson.sha256_of(tokens["output_ids"])]:
        yield "has other token ids than those whose sha256 it tells"


def _estimated(launch: dict[str, Any], request: Request) -> bool:
    """Return whether an estimate follows from the raw durations beside it, by the estimator that the protocol names."""
    estimate = launch["estimate"]
    try:
        again_s = latency_s(request.protocol, request.workload, launch["timed"])
    except ZeroDivisionError:  # no token came out
        return False
    near = abs(again_s - estimate["latency_s"]) <= 1e-9 * again_s
    return near and 0 < again_s < float("inf") and estimate["estimator"] == request.protocol.estimator


def _in_instrumented(traced: dict[str, Any]) -> Iterator[str]:
    lengths = {name: len(values) for name, values in traced.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        yield f"tells of unlike numbers of instrumented calls, or of none: {lengths}"
    calls = zip(traced["ttft_s"], traced["e2e_s"], traced["itl_s"], traced["tpot_s"], strict=False)
    for first_s, whole_s, gaps_s, per_token_s in calls:
        rounding_s = ROUNDING_S + ROUNDING * whole_s
        if first_s + sum(gaps_s) > whole_s + rounding_s:
            yield (
                "had its first token after its last"
                if first_s > whole_s
                else "took longer for its tokens than for the call"
            )
        elif (per_token_s is None) != (not gaps_s):
            yield "tells a time per token of calls without a second token, or none of others"
        elif gaps_s and abs(per_token_s * len(gaps_s) - (whole_s - first_s)) > rounding_s:
            yield "tells a time per token that its instrumented calls do not give"
