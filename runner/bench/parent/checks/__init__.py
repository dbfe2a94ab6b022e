"""The checks of one launch: whether it measured what was asked, under conditions that a figure can stand on.

Nothing here measures, and nothing here reads a file.

A check passes, fails, or cannot be made. A check that cannot be made has ``passed`` null and a reason, and never counts
as passed. A failed check refuses its launch or flags it, as its ``act`` says. A check that the launch lists under
``cannot_tell`` is not made on its device. Every other check fails where its evidence is missing.

``run`` makes all checks, in the order in which a result lists them. The siblings define the checks: each check is a
function with the check's name, and its docstring gives the evidence and the source. tests/bench/parent/test_checks.py
has for every check an input that trips the check, and an empty input that trips it.
"""

from __future__ import annotations

from runner.bench.parent.checks import clock, device, durations, host, model, software, tokens
from runner.bench.parent.checks.clock import RESIDUAL, RESIDUAL_S
from runner.bench.parent.checks.outcome import FLAG, REFUSE
from runner.bench.parent.checks.software import generation_settings
from runner.contract import records
from runner.contract.errors import LaunchFailed
from runner.contract.request import Request

__all__ = ["FLAG", "REFUSE", "RESIDUAL", "RESIDUAL_S", "generation_settings", "refuse_failed", "run"]


def run(
    request: Request, launch: records.Launch, environment: records.Environment, shared: bool
) -> list[records.Check]:
    """Return the outcome of every check on a launch's record.

    ``environment`` is what the attempt observed on the parent's host. ``shared`` says that other work of the host runs
    on the device too.
    """
    checks = [
        software.inventory(environment),
        software.inventory_added(environment),
        software.interpreter(environment),
        software.variables(request, launch),
        software.generation(request, launch),
        software.experimental(launch),
        device.device(request, launch),
        device.devices(request, launch),
        device.accelerator(request, launch),
        device.parameters_on_device(request, launch),
        device.driver(request, launch),
        device.firmware(request, launch),
        device.device_memory(request, launch),
        device.operator_fallback(launch),
        device.compilations(launch),
        device.compile_cache(launch),
        device.exclusive_device(launch),
        device.throttling(launch),
        device.numa(launch),
        model.precision(request, launch),
        model.parameter_bytes(request, launch),
        model.kv_cache(launch),
        model.end_of_text(request, launch),
        model.ranks_agree(launch),
        model.weights(request, launch),
        clock.clock_drift_s(launch),
        clock.synchronised(launch),
    ]
    if "tokens" in launch:
        checks += [
            tokens.input_tokens(request, launch),
            tokens.input_text(request, launch),
            tokens.input_ids(request, launch),
            tokens.output_ids(request, launch),
            tokens.calls_agree(launch),
            tokens.logits_finite(launch),
            tokens.logits_on_device(request, launch),
            tokens.tokens_vary(request, launch),
            tokens.output_tokens(request, launch),
        ]
        if request.protocol.end_of_text == "ignore":
            checks.append(tokens.forward_calls(request, launch))
        if "operators" in launch:
            checks.append(tokens.operators(launch))
        checks += [
            durations.timed_calls(request, launch),
            durations.clock_resolution(launch),
            durations.first_call(launch, shared),
            durations.spread(launch),
            durations.extremes(launch),
            durations.drift(launch),
            durations.decode_growth(launch),
            clock.synchronisation_control(launch),
            clock.device_clock(launch),
        ]
    else:
        checks.append(tokens.rows(launch))
    return [
        *checks,
        host.cpu_pressure(launch),
        host.throttled_periods(launch),
        host.swapped_pages(launch),
        host.oom_kills(launch),
        host.idle_before(launch),
        host.governor(environment),
        host.major_faults(launch),
    ]


def refuse_failed(launch: records.Launch) -> None:
    """Mark a launch as failed and raise ``LaunchFailed`` if a check that refuses has failed."""
    failed = [check for check in launch["checks"] if check["passed"] is False and check["act"] == REFUSE]
    if failed:
        launch["status"] = "failed"
        reasons = "; ".join(f"{check['name']} wanted {check['wanted']}, found {check['found']}" for check in failed)
        launch["error"] = f"The launch measured something else than was asked: {reasons}."
        raise LaunchFailed(launch["error"])
