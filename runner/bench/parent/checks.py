"""Judge one launch: did it measure what was asked, and under conditions that a figure can stand on?

A check passes, fails, or could not be made (``passed`` null, with the reason; never counted as passed). A failed check
refuses the launch or flags it, as its ``act`` says. What the launch lists under ``cannot_tell`` is not checked on its device;
anything else that it leaves out has failed. Every check has an input that trips it and an empty input
that trips it, in tests/bench/parent/test_checks.py.
"""

import statistics

from runner.bench.facts import environment
from runner.bench.inputs import tokenizer
from runner.contract import strictjson
from runner.contract.errors import LaunchFailed

REFUSE, FLAG = "refuse", "flag"

# Fractions, as benchmarks of good name use them (MLPerf, pyperf, torchbench); to be calibrated by runs of the same against itself.
FIRST_CALL, SPREAD, EXTREMES, DRIFT, DECODE_GROWTH = 0.10, 0.10, 0.50, 0.05, 1.3
CLOCK_RESOLUTION, CLOCK_DRIFT_S, CPU_PRESSURE = 1e-4, 1.0, 0.10
MEMORY_RISE, DEVICE_CLOCK = 0.10, 0.05

# What may be left to do when the clock has stopped: the error that a timer may have.
RESIDUAL, RESIDUAL_S = 0.01, 50e-6

# Queueing must take less of the time than this, or leaving a synchronisation out would not show.
QUEUED = 0.90


def run(request, launch, attempt_environment, shared):
    """Return all checks on one launch's record, each with its name, act, outcome, and what was wanted and found.

    ``attempt_environment`` is what the attempt found here; ``shared`` says that other work of the host runs on the device too.
    """
    cannot_tell = launch["cannot_tell"]
    checks = _of_the_software(request, launch, attempt_environment)
    checks += _of_the_device(request, launch, cannot_tell)
    checks += _of_the_model(request, launch)
    checks += _of_the_clock(launch, cannot_tell)
    if "tokens" in launch:
        checks += _of_the_tokens(request, launch)
        checks += _of_the_durations(request, launch, FLAG if shared else REFUSE)
        checks += _of_the_synchronisation(launch, cannot_tell)
    else:
        checks.append(_equal("rows", launch["dataset"]["rows_total"], launch["dataset"]["rows"]))
    return checks + _of_the_host(launch, attempt_environment)


def refuse_failed(record):
    """Mark a launch's record as failed and raise ``LaunchFailed`` if a check that refuses did not pass."""
    failed = [check for check in record["checks"] if check["passed"] is False and check["act"] == REFUSE]
    if failed:
        record["status"] = "failed"
        told = "; ".join(f"{check['name']} wanted {check['wanted']}, found {check['found']}" for check in failed)
        record["error"] = f"The launch measured something else than was asked: {told}."
        raise LaunchFailed(record["error"])


def _of_the_software(request, launch, attempt_environment):
    """The installed packages, and the variables and settings that really reached the ranks."""
    found = attempt_environment["inventory"]
    same: dict = {"missing": {}, "changed": {}, "altered_files": [], "shadowed": {}, "unrecorded": [], "injected": []}
    drift = {name: found[name] for name in same} if found else None
    checks = [
        _equal("inventory", same, drift)
        if found and found["requirements"]
        else _unchecked("inventory", REFUSE, "the stack's locked requirements are not here"),
        _equal("inventory_added", [], sorted(found["added"]) if found else None, FLAG),
        _equal("interpreter", {}, found["interpreter"] if found else None, FLAG),
    ]
    wanted = launch["variables"]
    reached = [{name: rank["variables"].get(name) for name in wanted} for rank in launch["ranks"]]
    checks.append(_equal("variables", _variables(wanted, launch["ranks"], request.devices), reached))
    checks.append(_equal("generation", generation(request), launch["generation"]))
    return [*checks, _experimental(launch)]


def _variables(wanted, ranks, devices):
    """Return the variables that each of ``devices`` ranks must have: the launch's, but of another host than the first its own.

    What a host's own devices and interfaces are called is the same for all ranks of that host, and says nothing of the next.
    """
    first: dict = {}  # of each host, the variables of its first rank
    for rank in ranks:
        first.setdefault(rank["host"], rank["variables"])
    here = ranks[0]["host"] if ranks else None
    elsewhere = [rank["host"] if rank["host"] != here else None for rank in ranks[:devices]]
    return [
        {
            name: first[host].get(name) if host is not None and environment.is_of_the_host(name) else value
            for name, value in wanted.items()
        }
        for host in elsewhere + [None] * (devices - len(elsewhere))
    ]


def _experimental(launch):
    """Say of a launch on several hosts that it is experimental: the vendor calls inference on them possible, and inconsistent.

    Source: huggingface/optimum-habana@1d8504c docs/source/usage_guides/multi_node_training.mdx.
    """
    hosts = len({rank["host"] for rank in launch["ranks"]})
    return _equal("experimental", [], [] if hosts == 1 else [f"ranks on {hosts} hosts"], FLAG)


def generation(request):
    """Return the settings that generate() must work with: plain greedy decoding with a cache, and nothing else."""
    return {
        "max_new_tokens": request.workload.output_tokens,
        "do_sample": False,
        "num_beams": 1,
        "use_cache": True,
        "eos_token_id": tokenizer.END if request.protocol.end_of_text == "stop" else None,
    }


def _of_the_device(request, launch, cannot_tell):
    """Each rank's device is what was asked for, holds what it should, and was left alone."""
    ranks, weight_bytes = launch["ranks"], _weight_bytes(request)
    places = sorted({place for rank in ranks for place in rank["parameters_on"]})
    products = [rank["device"].get("accelerator") for rank in ranks]
    bounds = [(1 - MEMORY_RISE) * min(weight_bytes), (1 + MEMORY_RISE) * max(weight_bytes)]

    def told(name, act, facts, judge):
        """Judge the named facts of all ranks; a fact that a rank has not told, or no rank at all, has failed."""
        if name in cannot_tell:
            return _unchecked(name, act, cannot_tell[name])
        found = [[rank["watched"][fact] for fact in facts] for rank in ranks]
        whole = bool(found) and not any(None in values for values in found)
        wanted, passed = judge(found) if whole else ("told by every rank", False)
        return _check(name, act, passed, wanted, found)

    def nothing(found):
        return "nothing", all(not value for (value,) in found)

    def as_much(found):
        return bounds, all(bounds[0] <= rise <= bounds[1] for (rise,) in found)

    def near(found):
        return "cores of the device's own node", all(nodes == [node] for node, nodes in found)

    return [
        _equal("device", request.stack.device, launch["conditions"]["device"]),
        _equal("devices", request.devices, len(ranks)),
        _unchecked("accelerator", REFUSE, cannot_tell["accelerator"])
        if "accelerator" in cannot_tell
        else _equal("accelerator", [request.accelerator.name] * request.devices, products),
        _equal("parameters_on_device", [request.stack.device], places),
        _driver(request.stack.driver, ranks, cannot_tell),
        _firmware(request.stack.firmware, ranks, cannot_tell),
        told("device_memory", REFUSE, ["memory_rise_bytes"], as_much),
        told("operator_fallback", REFUSE, ["fallbacks"], nothing),
        # completing a dataset has no untimed calls, upstream neither: its first batch compiles, and its last if it is smaller
        told("compilations", FLAG if "dataset" in launch else REFUSE, ["compilations"], nothing),
        told("compile_cache", FLAG, ["cached_kernels"], nothing),
        told("exclusive_device", REFUSE, ["foreign_processes"], nothing),
        told("throttling", FLAG, ["throttle_reasons"], nothing),
        told("numa", FLAG, ["device_node", "cpu_nodes"], near),
    ]


def _driver(pinned, ranks, cannot_tell):
    """Tell a host whose driver is of another release than the stack's; builds of one release are one."""
    if "driver" in cannot_tell or pinned is None:
        return _unchecked("driver", FLAG, cannot_tell.get("driver", "the lock knows none for this stack"))
    found = [rank["device"]["driver"] for rank in ranks]
    releases = {environment.release(driver or "") for driver in found}
    return _check("driver", FLAG, releases == {environment.release(pinned)}, pinned, found)


def _firmware(pinned, ranks, cannot_tell):
    """Tell devices that booted another firmware than the stack's; the vendor's tool writes fw-43.2.0 or fw43.2.0."""
    if "firmware" in cannot_tell or pinned is None:
        return _unchecked("firmware", FLAG, cannot_tell.get("firmware", "the lock knows none for this accelerator"))
    found = [rank["device"].get("firmware") for rank in ranks]
    versions = {(firmware or "").replace("fw-", "fw") for firmware in found}
    return _check("firmware", FLAG, versions == {pinned.replace("fw-", "fw")}, pinned, found)


def _weight_bytes(request):
    """Return how many bytes a rank may hold: with the LM head cut, or tied and whole; the same on one device."""
    held, precision = request.model.architecture.weight_bytes_per_rank, request.workload.precision
    return sorted({held(precision, request.devices, head_cut) for head_cut in (True, False)})


def _of_the_model(request, launch):
    precision, wanted_bytes = request.workload.precision, _weight_bytes(request)
    held_bytes = sorted({rank["parameter_bytes"] for rank in launch["ranks"]})
    one_size = len(held_bytes) == 1 and held_bytes[0] in wanted_bytes
    checks = [
        _equal("precision", precision, launch["conditions"]["precision"]),
        _check("parameter_bytes", REFUSE, one_size, wanted_bytes, held_bytes),
        _equal("kv_cache", True, launch["conditions"]["kv_cache"]),
        _equal("end_of_text", request.protocol.end_of_text, launch["conditions"]["end_of_text"]),
        _equal("ranks_agree", 1, len({rank["tokens_sha256"] for rank in launch["ranks"]})),
    ]
    if request.weights.kind == "dummy":
        drawn = {key: launch["weights"][key] for key in ("kind", "seed", "std")}
        checks.append(
            _equal("weights", {"kind": "dummy", "seed": request.weights.seed, "std": request.weights.std}, drawn)
        )
    else:
        found = {file["name"]: file["sha256"] for file in launch["weights"]["files"]}
        pinned = {name: request.model.files.get(name) for name in found}
        if found and None in pinned.values():
            checks.append(_unchecked("weights", REFUSE, "versions.lock has no sha256 of these files"))
        else:
            checks.append(_equal("weights", pinned or "some files", found))
    return checks


def _of_the_tokens(request, launch):
    workload, tokens, counts = request.workload, launch["tokens"], launch["timed"]["output_tokens"]
    prompts = [len(row) for row in tokens["prompt_ids"]]
    varied = (
        [len(set(row)) > 1 for row in tokens["output_ids"]]
        if workload.output_tokens > 1
        else [True] * workload.batch_size
    )
    checks = [
        _equal("input_tokens", [workload.input_tokens] * workload.batch_size, prompts),
        _equal("input_text", [workload.prompt] * workload.batch_size, tokens["prompt_text"]),
        _expected("input_ids", REFUSE, request.expected.input_ids_sha256, tokens["prompt_ids"]),
        _expected("output_ids", FLAG, request.expected.output_ids_sha256, tokens["output_ids"]),
        _equal("calls_agree", 1, len(set(tokens["outputs_sha256"]))),
        _equal("logits_finite", True, tokens["logits_finite"]),
        _equal("logits_on_device", request.stack.device, tokens["logits_on"]),
        _equal("tokens_vary", [True] * workload.batch_size, varied),
    ]
    if request.protocol.end_of_text == "ignore":
        counted = sorted({tokens for call in counts for tokens in call})
        asked = [workload.output_tokens]
        checks.append(_equal("output_tokens", asked, counted))
        checks.append(_equal("forward_calls", asked, sorted(set(launch["instrumented"]["forward_calls"]))))
    else:
        most = max((tokens for call in counts for tokens in call), default=0)
        checks.append(_within("output_tokens", 1, workload.output_tokens, most, REFUSE))
    return checks


def _expected(name, act, sha256, rows):
    """Hold every row of ids against the sha256 that the request expects of a row, where it knows one."""
    if sha256 is None:
        return _unchecked(name, act, "the request knows none for this model, its weights and this length")
    return _equal(name, [sha256], sorted({strictjson.sha256_of(row) for row in rows}), act)


def _of_the_durations(request, launch, act_on_first_call):
    durations = launch["timed"]["iterations_s"]
    first = abs(durations[0] / statistics.median(durations) - 1) if durations else None
    relative = [duration / statistics.mean(durations) for duration in durations]
    spread = statistics.stdev(relative) if len(relative) > 1 else None
    extremes = max(abs(value - 1) for value in relative) if relative else None
    third = len(relative) // 3
    drift = abs(statistics.mean(relative[-third:]) / statistics.mean(relative[:third]) - 1) if third else None
    resolution = launch["clock"]["resolution_s"] / min(durations) if durations else None
    return [
        _equal("timed_calls", request.protocol.timed_calls, len(durations)),
        _within("clock_resolution", 0, CLOCK_RESOLUTION, resolution, REFUSE),
        _within("first_call", 0, FIRST_CALL, first, act_on_first_call),
        _within("spread", 0, SPREAD, spread, FLAG),
        _within("extremes", 0, EXTREMES, extremes, FLAG),
        _within("drift", 0, DRIFT, drift, FLAG),
        _within("decode_growth", 0, DECODE_GROWTH, _decode_growth(launch["instrumented"]["itl_s"]), FLAG),
    ]


def _decode_growth(calls):
    """Return how much longer the last quarter of the gaps between tokens is than the first: flat where the cache works."""
    growths = []
    for gaps in calls:
        quarter = len(gaps) // 4
        if quarter:
            growths.append(statistics.mean(gaps[-quarter:]) / statistics.mean(gaps[:quarter]))
    return statistics.median(growths) if growths else None


def _of_the_clock(launch, cannot_tell):
    """The clock was not set meanwhile, and when it stopped the device had nothing left to do."""
    checks = [_within("clock_drift_s", 0, CLOCK_DRIFT_S, abs(launch["clock"]["drift_s"]), REFUSE)]
    if "synchronised" in cannot_tell:
        return [*checks, _unchecked("synchronised", REFUSE, cannot_tell["synchronised"])]
    span_s = launch["timed"]["span_s"] if "timed" in launch else sum(launch["dataset"]["batches_s"])
    left_s = _worst(rank["watched"]["residual_s"] for rank in launch["ranks"])
    return [*checks, _within("synchronised", 0, max(RESIDUAL_S, RESIDUAL * span_s), left_s, REFUSE)]


def _of_the_synchronisation(launch, cannot_tell):
    """A synchronisation makes a difference, and the device's own clock agrees with the host's."""
    watched = [rank["watched"] for rank in launch["ranks"]]
    queued = _worst(_share(part["control"], "queued_s", "finished_s") for part in watched)
    off = _worst(_off(_share(part["device_clock"], "host_s", "device_s")) for part in watched)
    return [
        _unchecked(name, FLAG, cannot_tell[name]) if name in cannot_tell else _within(name, 0, most, found, FLAG)
        for name, most, found in (("synchronisation_control", QUEUED, queued), ("device_clock", DEVICE_CLOCK, off))
    ]


def _share(part, numerator, denominator):
    return part[numerator] / part[denominator] if part and part[denominator] > 0 else None


def _off(ratio):
    return None if ratio is None else abs(ratio - 1)


def _worst(values):
    """Return the largest of the ranks' values; None if some rank has none, or there is no rank."""
    found = list(values)
    return None if not found or None in found else max(found)


def _of_the_host(launch, attempt_environment):
    """Judge what else the host did, before the launch and in the timed window; what it does not count is not checked."""
    noise, faults = launch["host_noise"], _worst(rank["watched"]["major_faults"] for rank in launch["ranks"])
    checks = []
    for name, most, found in (
        ("cpu_pressure", CPU_PRESSURE, noise["cpu_pressure"]),
        ("throttled_periods", 0, noise["throttled_periods"]),
        ("swapped_pages", 0, noise["swapped_pages"]),
        ("oom_kills", 0, noise["oom_kills"]),
        ("idle_before", 0, launch["runnable_before"]),
    ):
        if found is None:
            checks.append(_unchecked(name, FLAG, "this host does not count it"))
        else:
            checks.append(_within(name, 0, most, found, FLAG))
    governor = attempt_environment["cpu"]["governor"]
    if governor is None:
        checks.append(_unchecked("governor", FLAG, "this host does not tell it"))
    else:
        checks.append(_equal("governor", "performance", governor, FLAG))
    return [*checks, _within("major_faults", 0, 0, faults, FLAG)]


def _equal(name, wanted, found, act=REFUSE):
    return _check(name, act, wanted == found, wanted, found)


def _within(name, least, most, found, act):
    return _check(name, act, found is not None and least <= found <= most, [least, most], found)


def _check(name, act, passed, wanted, found):
    return {"name": name, "act": act, "passed": passed, "wanted": wanted, "found": found, "reason": None}


def _unchecked(name, act, reason):
    return {"name": name, "act": act, "passed": None, "wanted": None, "found": None, "reason": reason}
