"""One rank of one launch: load, measure, and let rank 0 write the raw data. Started by the stack's launcher."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from typing import Sequence

from runner.bench import devices
from runner.bench.inputs import model_folder, preflight
from runner.bench.inputs.sharding import Shard
from runner.bench.processes import deaths, messages, parentage
from runner.bench.processes.messages import ERROR, PROGRESS, step_line
from runner.bench.rank import collectives, completions, latency, measure, model, operators, rank_facts
from runner.bench.rank.raw import RawLaunch
from runner.bench.rank.window import Window
from runner.contract import strictjson
from runner.contract.errors import KitError, LaunchFailed
from runner.contract.progress import SILENT, Step, Task
from runner.contract.request import Request
from runner.contract.secrets import mask
from runner.contract.text import printable

# The length of last words. The line that holds them, in JSON, stays shorter than the line that the parent reads at once.
MESSAGE_CHARACTERS = 4000

# How long a rank tries to reach the parent.
CONNECT_S = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one rank; return the exit code. An error is left as the rank's last words, see ``_tell``."""
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="runner.bench.rank.worker", description=__doc__)
    parser.add_argument(
        "--packed", required=True, help="the request and variables of the launch, as messages.pack wrote them"
    )
    parser.add_argument("--out", required=True, help="folder for raw data, this launch's own, on the parent's host")
    parser.add_argument("--model-dir", help="folder of the model's real weights, instead of the hub cache")
    parser.add_argument("--dataset-file", help="the local file that the request's dataset names")
    parser.add_argument("--outputs", help="JSON Lines file that rank 0 appends completions to")
    parser.add_argument(
        "--operators", action="store_true", help="count the operators of one more call, after all others"
    )
    parser.add_argument(
        "--lifeline", help="ADDRESS:PORT of the parent; when the connection ends, this rank ends at once"
    )
    parser.add_argument(
        "--local_rank", type=int, help="given by the deepspeed launcher for one device; LOCAL_RANK says the same"
    )
    return parser


def _run(options: argparse.Namespace, rank: int, ranks: int) -> RawLaunch:
    """Load the model and measure; return the raw data, which every rank has alike but for its own facts."""
    packed = messages.unpack(options.packed)
    for name, value in packed["variables"].items():
        # A rank on another host has not inherited the variables. A variable that is set already stays, as in upstream's script.
        os.environ.setdefault(name, value)
    request = Request.from_json(packed["request"], "the request that the parent packed")
    if not os.path.isdir(options.out):
        _check_other_host(request, options, rank)
    device_module = devices.load(request.stack.device)
    device = device_module.open(int(os.environ.get("LOCAL_RANK", "0")))
    opened = device_module.observe()
    task: Task = _PrintedTask() if rank == 0 else SILENT
    folder = model_folder.locate(request.model, options.model_dir) if request.weights.kind == "hub" else None
    task.update(
        Step(
            "loading the model",
            sentence=f"loading {request.model.name} ({request.weights.kind} weights, {request.workload.precision}) on {ranks} rank(s)",
        )
    )
    loaded = model.load(request, device_module, device, Shard(rank, ranks), folder, task)
    task.line(f"loaded in {loaded.load_s:.1f} s")
    after_load = device_module.observe()
    raw: RawLaunch = {
        "load_s": loaded.load_s,
        "weights": loaded.source.describe(),
        "generation": model.effective_settings(loaded, request.workload),
        "cannot_tell": dict(device_module.cannot_tell),
    }
    tokens: str | list[str]
    kv_cached = control = device_clock = None
    if request.workload.dataset is None:
        measured = latency.run(request, loaded, device_module, task)
        window, residual_s = measured.window, measured.residual_s
        kv_cached, control, device_clock = measured.kv_cached, measured.control, measured.device_clock
        raw["untimed_s"], raw["timed"] = measured.untimed_s, measured.timed
        raw["instrumented"], raw["tokens"] = measured.instrumented, measured.tokens
        tokens = measured.tokens["outputs_sha256"]
    else:
        outputs = options.outputs if rank == 0 else None
        with Window(device_module, ranks) as window:
            raw["dataset"] = completions.run(request, loaded, options.dataset_file, outputs, task)
            residual_s = measure.residual_s(device_module.synchronize, time.perf_counter_ns)
        tokens = raw["dataset"]["tokens_sha256"]
    raw["clock"], raw["host_noise"] = window.clock, window.host_noise
    raw["conditions"] = rank_facts.conditions(loaded, device_module, ranks)
    if kv_cached is not None:
        raw["conditions"]["kv_cache"] = kv_cached
    watched = rank_facts.watched(device_module, opened, after_load, window, residual_s, control, device_clock)
    facts = rank_facts.of_rank(rank, device_module, loaded, watched, tokens)
    if options.operators:
        # Nothing is measured any more: the profiler's own memory is in no peak.
        raw["operators"] = operators.run(request, loaded, device_module, task)
    raw["ranks"] = collectives.gather(facts, ranks)
    # The process ends without closing the group (see the end of this file): closing the group hung one launch of two ranks on
    # torch 2.0.1, where a rank spins in ``destroy_process_group``.
    collectives.wait_for_all(ranks)
    return raw


def _check_other_host(request: Request, options: argparse.Namespace, rank: int) -> None:
    """Check the packages and files of this host as the parent has checked those of its own host.

    Raises ``LaunchFailed`` for rank 0: the parent reads the raw data on the parent's own host.
    """
    if rank == 0:
        raise LaunchFailed(
            f"Rank 0 started on {os.uname().nodename}, where the folder of the launch is not. Run bench on the first host of the"
            " hostfile."
        )
    if os.environ.get("LOCAL_RANK", "0") == "0":
        preflight.check_host(request, options.model_dir, options.dataset_file, SILENT)


def _die_with(address: str) -> None:
    """End this process as soon as the parent's end of a connection closes, however the parent ends: no rank outlives its parent.

    ``address`` is ADDRESS:PORT of the parent. Raises ``LaunchFailed`` if the parent cannot be reached.
    """
    host, port = address.rsplit(":", 1)
    try:
        line = socket.create_connection((host, int(port)), timeout=CONNECT_S)
    except OSError as problem:
        raise LaunchFailed(
            f"{os.uname().nodename} does not reach {address}, where the parent waits: {problem}. Open the network between the hosts."
        ) from None
    line.settimeout(None)
    # A host that loses its power closes no connection. These options notice that after a minute and a half; Linux's own take two
    # hours.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6)):
        line.setsockopt(socket.IPPROTO_TCP, option, value)
    parentage.end_with(line)
    parentage.end_with_parent()

    def wait_for_the_end() -> None:
        with contextlib.suppress(OSError):
            while line.recv(1):
                pass
        os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def _tell(folder: str, death: deaths.Death) -> None:
    """Leave the last words of this rank where the parent looks for them: in its folder, or from another host in the output.

    From another host an echo (a death because another process died) is not told: the parent ends the launch at the first words
    that come, and the words of the cause are still to come.
    """
    message = printable(mask(death.message), MESSAGE_CHARACTERS)
    last_words = {**death.to_json(), "message": message}
    if os.path.isdir(folder):
        _write(folder, f"error-{death.rank}.json", last_words)
    elif not death.echo:
        last_words["message"] = f"{message} This was on {os.uname().nodename}."
        print(ERROR + strictjson.canonical(last_words).decode(), flush=True)


def _write(folder: str, name: str, value: object) -> None:
    """Write JSON into a folder so that the file is whole as soon as the file is there."""
    temporary = os.path.join(folder, f".{name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(strictjson.pretty(value))
    os.replace(temporary, os.path.join(folder, name))


class _PrintedTask:
    """A task of the first rank: it prints lines that the parent reads, see ``messages``."""

    def line(self, text: str) -> None:
        print(PROGRESS + text, flush=True)

    def update(self, step: Step) -> None:
        print(step_line(step), flush=True)

    def end(self) -> None:
        """Do nothing: the parent ends its own task when this process ends."""


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The raw data is on disk. Of about twenty launches of two ranks one died after it, in the interpreter's teardown of torch's
    # threads ("terminate called without an active exception"), and a good measurement with it.
    os._exit(status)
