"""Compare the numbers of a result with each other: a seal shows that a result was not changed later, not that it can be true.

An edited result can be sealed again. This module finds the contradictions that a schema cannot express: durations of one clock that
contradict each other, lists of other lengths than the request asks for, an estimate that does not follow from its raw durations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.contract import strictjson
from runner.contract.errors import DamagedResult
from runner.contract.estimator import latency_s
from runner.contract.records import InstrumentedPass, Launch, Operators, Result, Tokens
from runner.contract.request import Request

# A span and its iterations are differences of the same time stamps (bench.rank.measure), whole nanoseconds that were divided by 1e9:
# their sums differ by the rounding of floats.
ROUNDING_S = ROUNDING = 1e-9
# The clock's unit, and three years.
SHORTEST_S, LONGEST_S = 1e-9, 1e8
# A thousandth of the finest counter's unit, and three years at a hundred kilowatts.
LEAST_J, MOST_J = 1e-9, 1e13
# The fraction by which two monotonic clocks of one host may differ that are read one after the other.
CLOCKS = 0.01


def refuse_contradiction(result: Result, request: Request, where: str) -> None:
    """Raise ``DamagedResult`` with the first contradiction in a result of the newest schema's shape; ``where`` names the result."""
    for contradiction in _contradictions(result, request):
        raise DamagedResult(f"{where}: {contradiction}. Measure again.")


def _contradictions(result: Result, request: Request) -> Iterator[str]:
    """Yield every contradiction in words, the most general first."""
    launches, attempt = result["launches"], result["attempt"]
    if len(launches) > request.launches:
        yield f"it holds {len(launches)} launches, and its request asks for {request.launches}"
    if [launch["index"] for launch in launches] != list(range(len(launches))):
        yield "its launches are not numbered from 0 on"
    if not 0 <= attempt["duration_s"] <= LONGEST_S:
        yield f"its attempt took {attempt['duration_s']:g} s"
    for launch in launches:
        if launch["status"] == "complete":
            yield from (f"launch {launch['index']} {words}" for words in _in_launch(launch, request))
            if "timed" in launch and not _estimated(launch, request):
                yield f"the estimate of launch {launch['index']} is not what its raw durations give"
    parts_s = sum(map(_parts_s, launches))
    if parts_s > attempt["duration_s"] * (1 + CLOCKS):
        yield f"the parts of its launches took {parts_s:g} s, its whole attempt {attempt['duration_s']:g} s"


def _parts_s(launch: Launch) -> float:
    """Return the sum of the parts of a launch that follow one another: loading, untimed calls, measured window, instrumented calls."""
    window_s = launch["clock"]["elapsed_s"] if "clock" in launch else 0.0
    instrumented_s = sum(launch["instrumented"]["e2e_s"]) if "instrumented" in launch else 0.0
    return (launch.get("load_s") or 0.0) + sum(launch.get("untimed_s") or ()) + window_s + instrumented_s


def _in_launch(launch: Launch, request: Request) -> Iterator[str]:
    devices, ranks = launch["conditions"]["devices"], launch["ranks"]
    for check in launch["checks"]:
        if check["passed"] is False and check["act"] == "refuse":
            yield f"is complete, and failed the check {check['name']}, which refuses a launch"
    if not _loaded_asked_weights(launch, request):
        yield "measured other weights than its request asks for"
    if [rank["rank"] for rank in ranks] != list(range(devices)):
        yield f"ran on {devices} device(s) and tells of {len(ranks)} rank(s), which are not numbered from 0 on"
    if ("timed" in launch) == (request.workload.dataset is not None):
        yield "measured another kind of workload than its request asks for"
    elif "timed" in launch:
        yield from _in_window(launch, request)
        yield from _in_tokens(launch, request)
        yield from _in_instrumented(launch["instrumented"])
        yield from _in_operators(launch.get("operators"), launch["tokens"])
    else:
        dataset = launch["dataset"]
        if dataset["rows"] > dataset["rows_total"]:
            yield f"completed {dataset['rows']} of {dataset['rows_total']} rows"
        if launch.get("operators") is not None:
            yield "counted the operators of a call, and completed a dataset"
        yield from _within_unit(dataset["batches_s"], "a batch")
        yield from _within_clock(launch, sum(dataset["batches_s"]), "batches")


def _loaded_asked_weights(launch: Launch, request: Request) -> bool:
    loaded, asked = launch["weights"], request.weights
    if loaded["kind"] != asked.kind:
        return False
    return asked.kind != "dummy" or (loaded["seed"], loaded["std"]) == (asked.seed, asked.std)


def _in_window(launch: Launch, request: Request) -> Iterator[str]:
    iterations_s, span_s = launch["timed"]["iterations_s"], launch["timed"]["span_s"]
    if len(iterations_s) != request.protocol.timed_calls:
        yield f"timed {len(iterations_s)} calls, and its protocol asks for {request.protocol.timed_calls}"
    if span_s < SHORTEST_S * len(iterations_s):
        yield f"took {span_s:g} s for its {len(iterations_s)} timed calls"
    if abs(sum(iterations_s) - span_s) > ROUNDING_S + ROUNDING * span_s:
        yield f"took {span_s:g} s for calls that took {sum(iterations_s):g} s"
    for rank in launch["ranks"]:
        energy_j = rank["watched"].get("energy_j") if rank["watched"] else None
        if energy_j and not LEAST_J <= energy_j <= MOST_J:
            yield f"took {energy_j:g} J on the device of rank {rank['rank']}"
    yield from _within_clock(launch, span_s, "timed calls")


def _within_clock(launch: Launch, part_s: float, part: str) -> Iterator[str]:
    """Yield a contradiction where a part of the measured window took longer than the window."""
    elapsed_s = launch["clock"]["elapsed_s"] if "clock" in launch else None
    if elapsed_s is not None and part_s > elapsed_s * (1 + CLOCKS) + ROUNDING_S:
        yield f"took {part_s:g} s for its {part}, and {elapsed_s:g} s for the window around them"


def _within_unit(durations_s: Iterable[float], of_what: str) -> Iterator[str]:
    """Yield a contradiction where a duration is shorter than its clock can tell, and not 0."""
    for duration_s in durations_s:
        if 0 < duration_s < SHORTEST_S:
            yield f"took {duration_s:g} s for {of_what}, which its clock cannot tell"


def _in_tokens(launch: Launch, request: Request) -> Iterator[str]:
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


def _in_operators(operators: Operators | None, tokens: Tokens) -> Iterator[str]:
    """Yield the contradictions in the call whose operators were counted."""
    if operators is None:
        return
    count = operators["output_tokens"]
    if operators["output_ids"] != [row[:count] for row in tokens["output_ids"]]:
        yield f"counted operators in a call that did not produce the first {count} token(s) of its timed calls"
    elif any(len(row) != count for row in operators["output_ids"]):
        yield f"counted operators in a call of {count} tokens a row, and tells fewer ids"
    kernels = operators["kernels"]
    if kernels != sorted(set(kernels)) or not {*kernels} <= {*operators["calls"]}:
        yield "names kernels twice, out of order, or kernels that it did not count"


def _estimated(launch: Launch, request: Request) -> bool:
    """Return whether the estimate follows from the raw durations beside it, by the estimator that the protocol names."""
    estimate = launch["estimate"]
    try:
        computed_s = latency_s(request.protocol, request.workload, launch["timed"])
    # no token came out
    except ZeroDivisionError:
        return False
    near = abs(computed_s - estimate["latency_s"]) <= 1e-9 * computed_s
    return near and 0 < computed_s < float("inf") and estimate["estimator"] == request.protocol.estimator


def _in_instrumented(instrumented: InstrumentedPass) -> Iterator[str]:
    lengths = {
        "e2e_s": len(instrumented["e2e_s"]),
        "forward_calls": len(instrumented["forward_calls"]),
        "itl_s": len(instrumented["itl_s"]),
        "tpot_s": len(instrumented["tpot_s"]),
        "ttft_s": len(instrumented["ttft_s"]),
    }
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        yield f"tells of unlike numbers of instrumented calls, or of none: {lengths}"
    calls = zip(
        instrumented["ttft_s"], instrumented["e2e_s"], instrumented["itl_s"], instrumented["tpot_s"], strict=False
    )
    for first_s, whole_s, gaps_s, per_token_s in calls:
        rounding_s = ROUNDING_S + ROUNDING * whole_s
        yield from _within_unit((first_s, *gaps_s), "a token")
        if first_s + sum(gaps_s) > whole_s + rounding_s:
            yield (
                "had its first token after its last"
                if first_s > whole_s
                else "took longer for its tokens than for the call"
            )
        elif (per_token_s is None) != (not gaps_s):
            yield "tells a time per token of calls without a second token, or none of others"
        elif per_token_s is not None and abs(per_token_s * len(gaps_s) - (whole_s - first_s)) > rounding_s:
            yield "tells a time per token that its instrumented calls do not give"
