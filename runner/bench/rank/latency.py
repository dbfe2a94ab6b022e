"""Measure a latency workload: untimed calls, timed calls, then instrumented calls, which the timed window never sees."""

from __future__ import annotations

import hashlib
import time
from typing import Callable

from runner.bench.devices import Device
from runner.bench.engines import Loaded
from runner.bench.rank import measure, model
from runner.bench.rank.raw import Latency
from runner.bench.rank.window import Window
from runner.contract import strictjson
from runner.contract.progress import Step, Task
from runner.contract.records import DeviceClock, SynchronisationControl
from runner.contract.request import Request

# Three instrumented calls are enough to show a spread.
INSTRUMENTED_CALLS = 3


def run(request: Request, loaded: Loaded, device_module: Device, task: Task) -> Latency:
    """Return the passes of the request's protocol and what showed while they ran.

    ``task`` shows progress, and nothing inside the timed window: the last message leaves before the window observes the device, and the
    next message when the window has ended.
    """
    protocol, workload = request.protocol, request.workload
    # ``Workload.from_fields`` gives a workload without a dataset its prompt.
    assert workload.prompt is not None
    rows = [workload.prompt] * workload.batch_size
    prompt_ids = model.encode(loaded, rows)["input_ids"].tolist()
    task.update(
        Step(
            f"untimed calls: {protocol.untimed_calls}",
            sentence=f"{protocol.untimed_calls} untimed and {protocol.timed_calls} timed calls of {workload.output_tokens} tokens"
            f" ({protocol.name})",
            quiet=True,
        )
    )

    def call() -> model.Generated:
        return model.generate(loaded, rows, workload)

    untimed_s = measure.untimed_pass(protocol, call, time.perf_counter_ns)
    task.update(Step(f"timed calls: {protocol.timed_calls}", quiet=True))
    with Window(device_module, request.devices) as window:
        durations, returned = measure.timed_pass(protocol, call, device_module.synchronize, time.perf_counter_ns)
        residual_s = measure.residual_s(device_module.synchronize, time.perf_counter_ns)
    task.line(
        f"timed: {durations['span_s'] / protocol.timed_calls:.3f} s a call; {INSTRUMENTED_CALLS} instrumented calls"
    )
    traced = []
    for done in range(INSTRUMENTED_CALLS):
        task.update(Step("instrumented calls", done, INSTRUMENTED_CALLS, "calls", quiet=True))
        traced.append(model.traced_call(loaded, rows, workload, time.perf_counter_ns))
    task.update(Step("checks of tokens and clocks", quiet=True))
    logits = model.describe_logits(model.prompt_logits(loaded, rows))
    control = _control(device_module, lambda: model.prompt_logits(loaded, rows))
    device_clock = _device_clock(device_module, call)
    outputs = [generated.ids[:, len(prompt_ids[0]) :].tolist() for generated in returned]
    return Latency(
        untimed_s=untimed_s,
        timed={**durations, "output_tokens": [[len(row) for row in output] for output in outputs]},
        instrumented=measure.per_token(traced),
        tokens={
            "prompt_ids": prompt_ids,
            "prompt_text": loaded.tokenizer.batch_decode(prompt_ids, skip_special_tokens=True),
            "output_ids": outputs[0],
            "outputs_sha256": [hashlib.sha256(strictjson.canonical(output)).hexdigest() for output in outputs],
            "text": returned[0].texts,
            "logits_finite": logits.finite,
            "logits_on": logits.device,
        },
        kv_cached=measure.cached(traced),
        window=window,
        residual_s=residual_s,
        control=control,
        device_clock=device_clock,
    )


def _control(device_module: Device, enqueue: Callable[[], object]) -> SynchronisationControl | None:
    """Return how long a forward pass takes to queue and to finish, None where the device cannot tell."""
    if "synchronisation_control" in device_module.cannot_tell:
        return None
    return measure.control(enqueue, device_module.synchronize, time.perf_counter_ns)


def _device_clock(device_module: Device, call: Callable[[], object]) -> DeviceClock | None:
    """Return the duration of a call by the host's clock and by the device's, None where the device has no clock."""
    if "device_clock" in device_module.cannot_tell:
        return None
    start_ns = time.perf_counter_ns()
    device_s = device_module.clock(call)
    return {"host_s": (time.perf_counter_ns() - start_ns) / 1e9, "device_s": device_s}
