"""One rank of one launch: load, measure, and let rank 0 write the raw data. Started by the stack's launcher."""

import argparse
import contextlib
import hashlib
import os
import socket
import sys
import threading
import time
import traceback

from runner.bench import devices
from runner.bench.facts import environment
from runner.bench.facts import host as hostfacts
from runner.bench.inputs import preflight, weights
from runner.bench.processes import deaths, hostfile, parentage
from runner.bench.processes.messages import ERROR, PROGRESS
from runner.bench.rank import completions, measure, model
from runner.bench.rank import forward_hook as watch
from runner.contract import strictjson
from runner.contract.errors import KitError, LaunchFailed
from runner.contract.request import Request
from runner.contract.secrets import mask
from runner.contract.text import printable

# Instrumented calls come after the timed window, which never sees them. Three are enough to show a spread.
INSTRUMENTED_CALLS = 3

MESSAGE_CHARACTERS = 4000  # of last words: less than the line that the parent reads at once, also as JSON writes them

CONNECT_S = 30  # how long a rank tries to reach the parent


def main(arguments=None):
    options = _parser().parse_args(arguments)
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    try:
        if options.lifeline:
            _die_with(options.lifeline)
        raw = _run(options, rank, ranks)
    except KitError as error:
        _tell(options.out, deaths.Death(rank, error.exit_code, str(error), False, time.time()))
        return error.exit_code
    except BaseException as error:
        traceback.print_exc()
        _tell(options.out, deaths.of(error, rank, time.time()))
        return 1
    if rank == 0:
        _write(options.out, "raw.json", raw)
    return 0


def _parser():
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="runner.bench.rank.worker", description=__doc__)
    parser.add_argument(
        "--packed", required=True, help="the request and variables of the launch, as hosts.pack wrote them"
    )
    parser.add_argument("--out", required=True, help="folder for raw data, this launch's own, on the parent's host")
    parser.add_argument("--model-dir", help="folder of the model's real weights, instead of the hub cache")
    parser.add_argument("--dataset-file", help="the local file that the request's dataset names")
    parser.add_argument("--outputs", help="JSON Lines file that rank 0 appends completions to")
    parser.add_argument(
        "--lifeline", help="ADDRESS:PORT of the parent; when the connection ends, this rank ends at once"
    )
    parser.add_argument(
        "--local_rank", type=int, help="given by the deepspeed launcher for one device; LOCAL_RANK says the same"
    )
    return parser


def _run(options, rank, ranks):
    packed = hostfile.unpack(options.packed)
    for name, value in packed["variables"].items():
        os.environ.setdefault(
            name, value
        )  # on another host they were not inherited; upstream's script sets its own so too
    request = Request.from_json(packed["request"], "the request that the parent packed")
    if not os.path.isdir(options.out):
        _check_other_host(request, options, rank)
    device_module = devices.load(request.stack.device)
    device = device_module.open(int(os.environ.get("LOCAL_RANK", "0")))
    opened = device_module.observe()
    say = _say if rank == 0 else _silent
    folder = weights.locate(request.model, options.model_dir) if request.weights.kind == "hub" else None
    say(
        f"loading {request.model.name} ({request.weights.kind} weights, {request.workload.precision}) on {ranks} rank(s)"
    )
    loaded = model.load(request, device_module, device, rank, ranks, folder, say)
    say(f"loaded in {loaded.load_s:.1f} s")
    observed = {"opened": opened, "loaded": device_module.observe()}
    raw = {
        "load_s": loaded.load_s,
        "weights": loaded.source.describe(),
        "generation": model.effective_settings(loaded, request.workload),
        "cannot_tell": dict(device_module.cannot_tell),
    }
    cache = {}
    if request.workload.dataset is None:
        measured, cache["kv_cache"] = _latency(request, loaded, device_module, observed, say)
        raw.update(measured)
    else:
        outputs = options.outputs if rank == 0 else None
        with _Window(device_module, observed, ranks) as window:
            raw["dataset"] = completions.run(request, loaded, options.dataset_file, outputs, say)
            observed["residual_s"] = measure.residual_s(device_module.synchronize, time.perf_counter_ns)
        raw.update(window.found)
    raw["conditions"] = {**_conditions(loaded, device_module, ranks), **cache}
    raw["ranks"] = _gather(_rank_facts(rank, device_module, loaded, raw, observed), ranks)
    _wait_for_all(ranks)  # the process ends without closing the group (see the end of this file)
    return raw


class _Window:
    """Watch host and device while the block runs: nothing is read inside it, only just before and just after.

    Adds what it observed to ``observed`` (before, after, major_faults); ``found`` has the clock and the host's noise.
    """

    def __init__(self, device_module, observed, ranks):
        self._device_module, self._observed, self._ranks, self.found = device_module, observed, ranks, {}

    def __enter__(self):
        self._observed["before"] = self._device_module.observe()
        _wait_for_all(self._ranks)  # a look may take a tool's second: no rank's clock starts while another still looks
        self._faults, self._counters = hostfacts.major_faults(), hostfacts.noise_counters()
        self._started, self._started_ns = time.time(), time.monotonic_ns()
        return self

    def __exit__(self, *problem):
        elapsed_s = (time.monotonic_ns() - self._started_ns) / 1e9
        # the wall clock against the monotonic one: a clock that was set meanwhile shows here
        drift_s = time.time() - self._started - elapsed_s
        resolution_s = time.get_clock_info("perf_counter").resolution
        self.found["clock"] = {"resolution_s": resolution_s, "elapsed_s": elapsed_s, "drift_s": drift_s}
        self.found["host_noise"] = hostfacts.noise_between(self._counters, hostfacts.noise_counters(), elapsed_s)
        self._observed["major_faults"] = hostfacts.major_faults() - self._faults
        self._observed["after"] = self._device_module.observe()


def _latency(request, loaded, device_module, observed, say):
    """Return the raw data of all passes, and whether keys and values were cached; add to ``observed`` what the device told."""
    protocol, workload = request.protocol, request.workload
    rows = [workload.prompt] * workload.batch_size
    prompt_ids = model.encode(loaded, rows)["input_ids"].tolist()
    say(
        f"{protocol.untimed_calls} untimed and {protocol.timed_calls} timed calls of {workload.output_tokens} tokens ({protocol.name})"
    )

    def call():
        return model.generate(loaded, rows, workload)

    untimed_s = measure.untimed_pass(protocol, call, time.perf_counter_ns)
    with _Window(device_module, observed, request.devices) as window:
        durations, returned = measure.timed_pass(protocol, call, device_module.synchronize, time.perf_counter_ns)
        observed["residual_s"] = measure.residual_s(device_module.synchronize, time.perf_counter_ns)
    say(f"timed: {durations['span_s'] / protocol.timed_calls:.3f} s a call; {INSTRUMENTED_CALLS} instrumented calls")
    traced = [model.traced_call(loaded, rows, workload, time.perf_counter_ns) for _ in range(INSTRUMENTED_CALLS)]
    logits = model.prompt_logits(loaded, rows)
    observed.update(_control(device_module, call, lambda: model.prompt_logits(loaded, rows)))
    outputs = [call.ids[:, len(prompt_ids[0]) :].tolist() for call in returned]
    logits_are = model.describe_logits(logits)
    measured = {
        "untimed_s": untimed_s,
        "timed": {**durations, "output_tokens": [[len(row) for row in call] for call in outputs]},
        **window.found,
        "instrumented": measure.per_token(traced),
        "tokens": {
            "prompt_ids": prompt_ids,
            "prompt_text": loaded.tokenizer.batch_decode(prompt_ids, skip_special_tokens=True),
            "output_ids": outputs[0],
            "outputs_sha256": [hashlib.sha256(strictjson.canonical(call)).hexdigest() for call in outputs],
            "text": returned[0].texts,
            "logits_finite": logits_are["finite"],
            "logits_on": logits_are["on"],
        },
    }
    return measured, measure.cached(traced)


def _control(device_module, call, enqueue):
    """Return what shows that the clock can be trusted on an asynchronous device; None for what this device cannot tell."""
    found: dict = {"control": None, "device_clock": None}
    if "synchronisation_control" not in device_module.cannot_tell:
        found["control"] = measure.control(enqueue, device_module.synchronize, time.perf_counter_ns)
    if "device_clock" not in device_module.cannot_tell:
        start_ns = time.perf_counter_ns()
        device_s = device_module.clock(call)
        found["device_clock"] = {"host_s": (time.perf_counter_ns() - start_ns) / 1e9, "device_s": device_s}
    return found


def _conditions(loaded, device_module, ranks):
    """Return what was really so, in the words of the request and of the claims."""
    return {
        "device": loaded.device.type,
        "emulated": device_module.emulated,
        "devices": ranks,
        "engine": loaded.engine_name,
        "precision": model.observed_precision(loaded),
        "kv_cache": bool(loaded.model.config.use_cache),
        "end_of_text": "ignore" if loaded.model.generation_config.eos_token_id is None else "stop",
        **loaded.engine.conditions(loaded.model),  # an engine may know better
    }


def _rank_facts(rank, device_module, loaded, raw, observed):
    """Return what this rank alone knows; ``watched`` is what its device told, null where it told nothing."""
    parameter_bytes, placed_on = model.parameter_bytes(loaded)
    return {
        "rank": rank,
        "host": os.uname().nodename,
        "device": device_module.describe(),
        "variables": environment.variables(os.environ),
        "watched": {
            **watch.summary(*(observed[when] for when in ("opened", "loaded", "before", "after"))),
            **{name: observed.get(name) for name in ("residual_s", "control", "device_clock", "major_faults")},
            "device_node": None if "numa" in device_module.cannot_tell else device_module.numa_node(),
            "cpu_nodes": hostfacts.numa_nodes(),
        },
        "parameter_bytes": parameter_bytes,
        "parameters_on": placed_on,
        "device_peak_memory_bytes": device_module.peak_memory_bytes(),
        "host_peak_rss_bytes": hostfacts.peak_rss_bytes(),
        "tokens_sha256": strictjson.sha256_of(
            raw.get("tokens", {}).get("outputs_sha256", raw.get("dataset", {}).get("tokens_sha256"))
        ),
    }


def _check_other_host(request, options, rank):
    """Refuse on this host what the parent has refused on its own. The first rank must be where the parent reads its data."""
    if rank == 0:
        raise LaunchFailed(
            f"Rank 0 started on {os.uname().nodename}, where the folder of the launch is not. Run bench on the first host of the"
            " hostfile."
        )
    if os.environ.get("LOCAL_RANK", "0") == "0":
        preflight.check(request, options.model_dir, options.dataset_file, _silent)


def _gather(facts, ranks):
    """Return every rank's facts, in the order of ranks; all ranks take part."""
    if ranks == 1:
        return [facts]
    import torch.distributed

    gathered = [None] * ranks
    torch.distributed.all_gather_object(gathered, facts)
    return gathered


def _wait_for_all(ranks):
    """Wait until every rank is here.

    Where it comes last it stands for closing the group, which hung one launch of two ranks on torch 2.0.1: a rank spins in
    ``destroy_process_group``.
    """
    if ranks > 1:
        import torch.distributed

        torch.distributed.barrier()


def _die_with(address):
    """End this process as soon as the parent's end of a connection closes, however the parent ended: nothing is left behind.

    Raises ``LaunchFailed`` if the parent cannot be reached.
    """
    host, port = address.rsplit(":", 1)
    try:
        line = socket.create_connection((host, int(port)), timeout=CONNECT_S)
    except OSError as problem:
        raise LaunchFailed(
            f"{os.uname().nodename} does not reach {address}, where the parent waits: {problem}. Open the network between the hosts."
        ) from None
    line.settimeout(None)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a host that loses its power closes nothing
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6)):
        line.setsockopt(socket.IPPROTO_TCP, option, value)  # noticed after a minute and a half, not Linux's two hours
    parentage.end_with(line)
    parentage.end_with_parent()

    def watch():
        with contextlib.suppress(OSError):
            while line.recv(1):
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _tell(folder: str, death: deaths.Death) -> None:
    """Leave last words where the parent looks for them: in its folder, or from another host in the launcher's output.

    From another host an echo is not told: the parent ends the launch at the first words that come, and the cause is still to come.
    """
    told = {**death.to_json(), "message": printable(mask(death.message), MESSAGE_CHARACTERS)}
    if os.path.isdir(folder):
        _write(folder, f"error-{death.rank}.json", told)
    elif not death.echo:
        told["message"] += f" This was on {os.uname().nodename}."
        print(ERROR + strictjson.canonical(told).decode(), flush=True)


def _write(folder, name, value):
    temporary = os.path.join(folder, f".{name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(strictjson.pretty(value))
    os.replace(temporary, os.path.join(folder, name))


def _say(text):
    print(PROGRESS + text, flush=True)


def _silent(text):
    pass


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The raw data is on disk. Of about twenty launches of two ranks one died after it, in the interpreter's teardown of torch's
    # threads ("terminate called without an active exception"), and a good measurement with it.
    os._exit(status)
