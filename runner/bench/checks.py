"""Judge the raw data of one launch: did it measure what was asked? A check that fails refuses the launch."""

from runner.contract.errors import LaunchFailed


def run(request, raw):
    """Return the checks on one launch's raw data: name, whether it passed, what was wanted and found."""
    conditions, workload = raw["conditions"], request.workload
    checks = [
        _check("device", request.stack.device, conditions["device"]),
        _check("devices", request.devices, len(raw["ranks"])),
        _check("precision", workload.precision, conditions["precision"]),
        _check("kv_cache", True, conditions["kv_cache"]),
        _check(
            "parameters_on_device",
            [request.stack.device],
            sorted({place for rank in raw["ranks"] for place in rank["parameters_on"]}),
        ),
        _check("parameter_bytes", [_rank_bytes(request)], sorted({rank["parameter_bytes"] for rank in raw["ranks"]})),
        _check("ranks_agree", 1, len({rank["tokens_sha256"] for rank in raw["ranks"]})),
    ]
    if "tokens" in raw:
        checks += [
            _check(
                "input_tokens",
                [workload.input_tokens] * workload.batch_size,
                [len(row) for row in raw["tokens"]["prompt_ids"]],
            ),
            _check("calls_agree", 1, len(set(raw["tokens"]["outputs_sha256"]))),
            _check("logits_finite", True, raw["tokens"]["logits_finite"]),
            _check("timed_calls", request.protocol.timed_calls, len(raw["timed"]["iterations_s"])),
        ]
        if request.protocol.end_of_text == "ignore":
            wanted, counts = [[workload.output_tokens]], raw["timed"]["output_tokens"]
            checks.append(_check("output_tokens", wanted, [list(row) for row in {tuple(set(call)) for call in counts}]))
            checks.append(
                _check("forward_calls", [workload.output_tokens], sorted(set(raw["instrumented"]["forward_calls"])))
            )
    else:
        checks.append(_check("rows", raw["dataset"]["rows_total"], raw["dataset"]["rows"]))
    return checks


def _rank_bytes(request):
    return request.model.architecture.weight_bytes_per_rank(request.workload.precision, request.devices)


def _check(name, wanted, found):
    return {"name": name, "passed": wanted == found, "wanted": wanted, "found": found}


def refuse_failed(record):
    """Mark a launch's record as failed and raise ``LaunchFailed`` if any of its checks did not pass."""
    failed = [check for check in record["checks"] if not check["passed"]]
    if failed:
        record["status"] = "failed"
        told = "; ".join(f"{check['name']} wanted {check['wanted']}, found {check['found']}" for check in failed)
        record["error"] = f"The launch measured something else than was asked: {told}."
        raise LaunchFailed(record["error"])
