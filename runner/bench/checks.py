"""Judge the raw data of one launch: did it measure what was asked, and under conditions that a figure can stand on?

A check passes, fails, or could not be made on this device (``passed`` null, with the reason; never counted as passed). A
failed check refuses the launch or flags it, as its ``act`` says. Every check has an input that trips it and an empty input
that trips it, in tests/bench/test_checks.py.
"""

import statistics

from runner.contract.errors import LaunchFailed

REFUSE, FLAG = "refuse", "flag"

# Fractions, as benchmarks of good name use them (MLPerf, pyperf, torchbench); to be calibrated by runs of the same against itself.
FIRST_CALL, SPREAD, EXTREMES, DRIFT, DECODE_GROWTH = 0.10, 0.10, 0.50, 0.05, 1.3
CLOCK_RESOLUTION, CLOCK_DRIFT_S, CPU_PRESSURE = 1e-4, 1.0, 0.10


def run(request, raw):
    """Return all checks on one launch's raw data, each with its name, act, outcome, and what was wanted and found."""
    checks = _of_the_device(request, raw) + _of_the_model(request, raw)
    checks += _of_the_tokens(request, raw) + _of_the_clock(request, raw) if "tokens" in raw else _of_the_dataset(raw)
    return checks + _of_the_host(raw)


def refuse_failed(record):
    """Mark a launch's record as failed and raise ``LaunchFailed`` if a check that refuses did not pass."""
    failed = [check for check in record["checks"] if check["passed"] is False and check["act"] == REFUSE]
    if failed:
        record["status"] = "failed"
        told = "; ".join(f"{check['name']} wanted {check['wanted']}, found {check['found']}" for check in failed)
        record["error"] = f"The launch measured something else than was asked: {told}."
        raise LaunchFailed(record["error"])


def _of_the_device(request, raw):
    places = sorted({place for rank in raw["ranks"] for place in rank["parameters_on"]})
    checks = [
        _equal("device", request.stack.device, raw["conditions"]["device"]),
        _equal("devices", request.devices, len(raw["ranks"])),
        _equal("parameters_on_device", [request.stack.device], places),
    ]
    if request.stack.device == "cpu":
        checks += [
            _unchecked("device_memory", REFUSE, "the CPU has no memory of its own"),
            _unchecked("operator_fallback", REFUSE, "nothing can fall back from the CPU to the CPU"),
            _unchecked("synchronised", REFUSE, "every operation on the CPU is done when it returns"),
            _unchecked("synchronisation_control", FLAG, "there is no synchronisation to leave out on the CPU"),
            _unchecked("compile_cache", FLAG, "nothing is compiled on this path"),
            _unchecked("exclusive_device", REFUSE, "the CPU is shared with the whole host; see cpu_pressure"),
            _unchecked("throttling", FLAG, "the clock's limits are not told to guests"),
        ]
    return checks


def _of_the_model(request, raw):
    architecture, precision = request.model.architecture, request.workload.precision
    wanted_bytes = architecture.weight_bytes_per_rank(precision, request.devices)
    checks = [
        _equal("precision", precision, raw["conditions"]["precision"]),
        _equal("parameter_bytes", [wanted_bytes], sorted({rank["parameter_bytes"] for rank in raw["ranks"]})),
        _equal("kv_cache", True, raw["conditions"]["kv_cache"]),
        _equal("end_of_text", request.protocol.end_of_text, raw["conditions"]["end_of_text"]),
        _equal("ranks_agree", 1, len({rank["tokens_sha256"] for rank in raw["ranks"]})),
    ]
    if request.weights.kind == "dummy":
        drawn = {key: raw["weights"][key] for key in ("kind", "seed", "std")}
        checks.append(
            _equal("weights", {"kind": "dummy", "seed": request.weights.seed, "std": request.weights.std}, drawn)
        )
    else:
        found = {file["name"]: file["sha256"] for file in raw["weights"]["files"]}
        pinned = {name: request.model.files.get(name) for name in found}
        if found and None in pinned.values():
            checks.append(_unchecked("weights", REFUSE, "versions.lock has no sha256 of these files"))
        else:
            checks.append(_equal("weights", pinned or "some files", found))
    return checks


def _of_the_tokens(request, raw):
    workload, tokens, counts = request.workload, raw["tokens"], raw["timed"]["output_tokens"]
    prompts = [len(row) for row in tokens["prompt_ids"]]
    varied = (
        [len(set(row)) > 1 for row in tokens["output_ids"]]
        if workload.output_tokens > 1
        else [True] * workload.batch_size
    )
    checks = [
        _equal("input_tokens", [workload.input_tokens] * workload.batch_size, prompts),
        _equal("calls_agree", 1, len(set(tokens["outputs_sha256"]))),
        _equal("logits_finite", True, tokens["logits_finite"]),
        _equal("tokens_vary", [True] * workload.batch_size, varied),
    ]
    if request.protocol.end_of_text == "ignore":
        counted = sorted({tokens for call in counts for tokens in call})
        asked = [workload.output_tokens]
        checks.append(_equal("output_tokens", asked, counted))
        checks.append(_equal("forward_calls", asked, sorted(set(raw["instrumented"]["forward_calls"]))))
    else:
        most = max((tokens for call in counts for tokens in call), default=0)
        checks.append(_within("output_tokens", 1, workload.output_tokens, most, REFUSE))
    return checks


def _of_the_clock(request, raw):
    """Judge the durations. On the CPU, whose cores are shared, a slow first call is told and not refused."""
    durations, clock = raw["timed"]["iterations_s"], raw["clock"]
    shortest = min(durations, default=0)
    checks = [
        _equal("timed_calls", request.protocol.timed_calls, len(durations)),
        _within(
            "clock_resolution", 0, CLOCK_RESOLUTION, clock["resolution_s"] / shortest if shortest else None, REFUSE
        ),
        _within("clock_drift_s", 0, CLOCK_DRIFT_S, abs(clock["drift_s"]), REFUSE),
    ]
    first = abs(durations[0] / statistics.median(durations) - 1) if durations else None
    checks.append(_within("first_call", 0, FIRST_CALL, first, FLAG if request.stack.device == "cpu" else REFUSE))
    relative = [duration / statistics.mean(durations) for duration in durations]
    spread = statistics.stdev(relative) if len(relative) > 1 else None
    extremes = max(abs(value - 1) for value in relative) if relative else None
    third = len(relative) // 3
    drift = abs(statistics.mean(relative[-third:]) / statistics.mean(relative[:third]) - 1) if third else None
    return [
        *checks,
        _within("spread", 0, SPREAD, spread, FLAG),
        _within("extremes", 0, EXTREMES, extremes, FLAG),
        _within("drift", 0, DRIFT, drift, FLAG),
        _within("decode_growth", 0, DECODE_GROWTH, _decode_growth(raw["instrumented"]["itl_s"]), FLAG),
    ]


def _decode_growth(calls):
    """Return how much longer the last quarter of the gaps between tokens is than the first: flat where the cache works."""
    growths = []
    for gaps in calls:
        quarter = len(gaps) // 4
        if quarter:
            growths.append(statistics.mean(gaps[-quarter:]) / statistics.mean(gaps[:quarter]))
    return statistics.median(growths) if growths else None


def _of_the_dataset(raw):
    return [_equal("rows", raw["dataset"]["rows_total"], raw["dataset"]["rows"])]


def _of_the_host(raw):
    """Judge what else the host did between the first and the last call; counters that it has not are not checked."""
    noise, checks = raw["host_noise"], []
    for name, most in (
        ("cpu_pressure", CPU_PRESSURE),
        ("throttled_periods", 0),
        ("swapped_pages", 0),
        ("oom_kills", 0),
    ):
        if noise[name] is None:
            checks.append(_unchecked(name, FLAG, "this host does not count it"))
        else:
            checks.append(_within(name, 0, most, noise[name], FLAG))
    return checks


def _equal(name, wanted, found, act=REFUSE):
    return {"name": name, "act": act, "passed": wanted == found, "wanted": wanted, "found": found, "reason": None}


def _within(name, least, most, found, act):
    passed = found is not None and least <= found <= most
    return {"name": name, "act": act, "passed": passed, "wanted": [least, most], "found": found, "reason": None}


def _unchecked(name, act, reason):
    return {"name": name, "act": act, "passed": None, "wanted": None, "found": None, "reason": reason}
