"""Run one launch of an attempt: start its ranks, collect their raw data, judge the data, and keep the record."""

from __future__ import annotations

import os
import sys
from typing import Sequence

from runner.bench import engines
from runner.bench.devices import Device
from runner.bench.facts import environment, host
from runner.bench.parent import checks, launch_process, launch_variables, launcher, scratch
from runner.bench.parent.attempt_record import AttemptRecord
from runner.bench.parent.launch_process import LauncherExit
from runner.bench.processes import deaths, hostfile, launcher_log, messages
from runner.contract import records, signals, strictjson
from runner.contract.errors import LaunchFailed
from runner.contract.estimator import latency_s
from runner.contract.progress import Show, Task
from runner.contract.text import printable

_LOG_LINE_CHARACTERS = 300


def run(attempt: AttemptRecord, index: int, device: Device, task: Task) -> None:
    """Run the launch with this index and keep its record in ``attempt``, however the launch ends.

    Raises the error that the launch ended with: a rank's own ``KitError``, ``LaunchFailed`` where the launcher or a
    check failed, or ``KeyboardInterrupt``.
    """
    request, hosts = attempt.request, attempt.hosts
    engine = engines.load(request.engine)
    ranks_per_host = max(each.slots for each in hosts)
    device_variables = {**device.environment(ranks_per_host, len(hosts)), **engine.variables(request)}
    if index == 0:
        _show_replaced_variables(device_variables, task.line)
    offline = request.workload.dataset is None or request.workload.dataset.source != "hub"
    launch: records.Launch = {
        "index": index,
        "status": "failed",
        "load_average_1min": host.load_average(),
        "runnable_before": host.runnable_threads(),
    }
    with scratch.folder() as folder, launch_process.lifeline(hosts[0].address, request.devices) as lifeline:
        # DeepSpeed's launcher sets LOCAL_SIZE to the same number for its ranks. On a CPU DeepSpeed counts devices by
        # this variable, or else by the program numactl, which a host may lack.
        launch_wide = {
            **launch_variables.for_every_host(device_variables, offline),
            "LOCAL_SIZE": str(ranks_per_host),
        }
        variables = launch_variables.for_this_host(folder, launch_wide)
        recorded = environment.variables(variables)
        launch["variables"] = {name: value for name, value in recorded.items() if name not in device.unread}
        packed = messages.pack(
            {
                "request": request.to_json(),
                "variables": {**environment.for_other_hosts(launch["variables"]), **launch_wide},
            }
        )
        command = launcher.command(
            engine.launcher(request.stack, request.devices),
            request.devices,
            _rank_arguments(attempt, index, folder, packed, lifeline),
            hostfile.write(hosts, folder) if attempt.paths.hostfile else None,
            named=launcher.NAMED_BY in device_variables,
        )
        launch["command"] = _recorded_command(command, folder, packed)
        task.line("starting")
        exited = launch_process.run(command, variables, task)
        with signals.held_back():
            log = [line.replace(packed, "PACKED") for line in exited.log]
            _complete(attempt, launch, folder, LauncherExit(exited.status, log), device)


def _show_replaced_variables(device_variables: dict[str, str], show: Show) -> None:
    """Show which variables of the user's the launches set to other values, and which they do not hand to ranks."""
    for line in environment.replaced(os.environ, device_variables):
        show(line)
    if launch_variables.left_out():
        show(f"{', '.join(launch_variables.left_out())}: set here by another launch, and not handed to the ranks")


def _rank_arguments(attempt: AttemptRecord, index: int, folder: str, packed: str, lifeline: str) -> list[str]:
    """Return the arguments of every rank.

    Only ranks of the first launch write completions; later launches repeat them to be timed.
    """
    arguments = ["--packed", packed, "--out", folder, "--lifeline", lifeline]
    if attempt.paths.model_dir is not None:
        arguments += ["--model-dir", os.path.abspath(attempt.paths.model_dir)]
    if attempt.rows is not None:
        if index == 0:
            arguments += ["--outputs", os.path.abspath(attempt.rows.part)]
        if attempt.paths.dataset_file is not None:
            arguments += ["--dataset-file", os.path.abspath(attempt.paths.dataset_file)]
    if attempt.with_operators:
        arguments += ["--operators"]
    return arguments


def _recorded_command(command: Sequence[str], folder: str, packed: str) -> list[str]:
    """Return a command as the record keeps it: without the packed request, and without paths of this host."""
    replacements = {sys.executable: os.path.basename(sys.executable), packed: "PACKED"}
    return [replacements.get(word, word.replace(folder, "SCRATCH")) for word in command]


def _complete(
    attempt: AttemptRecord, launch: records.Launch, folder: str, exited: LauncherExit, device: Device
) -> None:
    """Complete and keep the record of a launch that ended. Raises the error that the launch ended with."""
    request = attempt.request
    try:
        measured = _raw_data(folder, exited, request.devices)
        attempt.weights.refuse_changed()
        launch.update(measured)
        if attempt.rows is not None and launch["index"] == 0:
            attempt.rows.keep(measured["dataset"]["rows"])
        launch["status"] = "complete"
        launch["checks"] = checks.run(request, launch, attempt.environment, device.shared)
        if "timed" in launch:
            launch["estimate"] = {
                "estimator": request.protocol.estimator,
                "latency_s": latency_s(request.protocol, request.workload, launch["timed"]),
            }
        checks.refuse_failed(launch)
    except Exception as problem:
        # The measurements stay in the record. A launch that could not be judged is failed, so that no comparison
        # takes it.
        launch["status"] = "failed"
        launch["error"] = str(problem) or type(problem).__name__
        launch["log"] = exited.log
        raise
    finally:
        attempt.keep(launch)


def _raw_data(folder: str, exited: LauncherExit, ranks: int) -> records.Launch:
    """Return the part of the record that rank 0 wrote: everything that was measured.

    Raises the error that a rank ended with, or ``LaunchFailed`` where the launcher ended without raw data.
    """
    last_words = deaths.read(folder)
    silent = deaths.silent_ranks(last_words, ranks, exited.status)
    if silent is not None:
        raise LaunchFailed(silent)
    for death in last_words:
        raise deaths.error_of(death.exit_code, death.message)
    for line in exited.log:
        if line.startswith(messages.ERROR):
            text = line[len(messages.ERROR) :].encode()
            words: messages.LastWords = strictjson.loads(text, "a rank's error", LaunchFailed)
            raise deaths.error_of(words["exit_code"], words["message"])
    path = os.path.join(folder, "raw.json")
    if exited.status != 0 or not os.path.exists(path):
        lines = " | ".join(printable(line, _LOG_LINE_CHARACTERS) for line in launcher_log.telling(exited.log))
        phrase = deaths.signal_phrase(exited.status)
        raise LaunchFailed(
            f"The launcher ended with status {exited.status}{phrase}. Its last words: {lines or 'none'}."
        )
    raw: records.Launch = strictjson.read(path, LaunchFailed)
    return raw
