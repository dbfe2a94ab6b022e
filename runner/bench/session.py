"""One attempt at a request: check what can be checked, run the launches, judge the raw data, publish the result."""

import contextlib
import hashlib
import os
import re
import secrets
import signal
import sys
import time
from collections import namedtuple
from datetime import datetime, timezone

from runner.bench import checks, devices, engines, environment, hostfacts, hosts, launcher, preflight
from runner.bench.worker import ERROR
from runner.contract import publish, strictjson
from runner.contract import result as results
from runner.contract.errors import (
    Interrupted,
    KitError,
    LaunchFailed,
    PublishFailed,
    by_exit_code,
)
from runner.contract.estimator import latency_s
from runner.contract.text import printable

# Where things lie on this machine; a request names what they are and never where.
Places = namedtuple("Places", "results model_dir dataset_file hostfile", defaults=(None,))


class _Attempt:
    """What is known of an attempt while it runs."""

    def __init__(self, request, places, there, found, published):
        self.request, self.places, self.hosts, self.published = request, places, there, published
        self.started = datetime.now(timezone.utc)
        self.started_ns = time.monotonic_ns()
        self.id = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.path = os.path.join(places.results, results.file_name(request.id, self.id))
        self.outputs_path = self.path[: -len(".json")] + ".jsonl"
        self.environment = {**environment.describe(), "inventory": found.inventory}
        self.weights = found.weights
        self.launches = []


def run(request, places, show, published):
    """Run one request to its end.

    ``show`` prints one line of progress, ``published`` is called with the path of the result, however the attempt ended.
    Raises a ``KitError``: for what was given (``DoesNotFit``, ``InputError``, ``Unsupported``; nothing is published), after
    a failed launch (``LaunchFailed``, its result published as failed), or ``Interrupted``, with what was measured published
    as interrupted.
    """
    device_module = devices.load(request.stack.device)
    there = hosts.read(places.hostfile, request.devices) if places.hostfile else [hosts.here(request.devices)]
    found = _check_before(request, places, device_module, show)
    attempt = _Attempt(request, places, there, found, published)
    host = attempt.environment["cpu"]["model"]
    show(f"attempt {attempt.id} on {host}, stack {request.stack.name}, {request.launches} launch(es)")
    try:
        for index in range(request.launches):
            _launch(
                attempt,
                index,
                device_module,
                lambda text, index=index: show(f"launch {index + 1}/{request.launches}: {text}"),
            )
    except KeyboardInterrupt:
        raise _interrupted(attempt) from None
    except LaunchFailed as error:
        path = _publish(attempt, "failed")
        raise LaunchFailed(f"{error} The failed attempt is kept in {path}.") from None
    except KitError:  # what was given was wrong: nothing was measured, and there is nothing to keep
        _discard(_partial(attempt))
        raise
    _publish(attempt, "complete")


def _check_before(request, places, device_module, show):
    """Refuse what can be refused before anything is loaded; return what ``preflight`` found."""
    problem = device_module.missing(request)
    if problem:
        raise problem
    engines.check(request.engine, request.stack)
    launcher.check(engines.load(request.engine).launcher(request.stack, request.devices), bool(places.hostfile))
    found = preflight.check(request, places.model_dir, places.dataset_file, show)
    _check_results(places.results)
    return found


def _check_results(folder):
    """Refuse a folder that results cannot be written to before anything is measured; nothing is made yet."""
    nearest = os.path.abspath(folder)
    while not os.path.exists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest) or not os.access(nearest, os.W_OK | os.X_OK):
        raise PublishFailed(
            f"{nearest} is no folder that can be written to; nothing was measured. Name another with --results."
        )


def _launch(attempt, index, device_module, show):
    """Run one launch and append its record, whatever came of it."""
    request = attempt.request
    engine = engines.load(request.engine)
    there = attempt.hosts
    ranks_of_one_host = max(host.slots for host in there)
    variables = {**device_module.environment(ranks_of_one_host, len(there)), **engine.variables(request)}
    if index == 0:
        for line in environment.replaced(os.environ, variables):
            show(line)
    offline = request.workload.dataset is None or request.workload.dataset.source != "hub"
    record = {
        "index": index,
        "status": "failed",
        "load_average_1min": hostfacts.load_average(),
        "runnable_before": hostfacts.runnable_threads(),
    }
    with launcher.scratch() as folder, launcher.lifeline(there[0].address, request.devices) as lifeline:
        carried = launcher.carried(variables, offline)
        launch_environment = launcher.environment(folder, carried)
        record["variables"] = environment.variables(launch_environment)
        handed_on = {**environment.for_other_hosts(record["variables"]), **carried}
        packed = hosts.pack({"request": request.to_json(), "variables": handed_on})
        arguments = _worker_arguments(attempt, index, folder, packed, lifeline)
        hostfile = (os.path.abspath(attempt.places.hostfile), there[0].address) if attempt.places.hostfile else None
        command = launcher.command(
            engine.launcher(request.stack, request.devices), request.devices, arguments, hostfile
        )
        private = {sys.executable: os.path.basename(sys.executable), packed: "PACKED"}
        record["command"] = [private.get(part, part.replace(folder, "SCRATCH")) for part in command]
        show("starting")
        status, log = launcher.run(command, launch_environment, show)
        try:
            raw = _collect(folder, status, log)
            attempt.weights.refuse_changed()
            record.update(raw, status="complete")
            record["checks"] = checks.run(request, record, attempt.environment, device_module.shared)
            if "timed" in raw:
                record["estimate"] = {
                    "estimator": request.protocol.estimator,
                    "latency_s": latency_s(request.protocol, request.workload, raw["timed"]),
                }
        except KitError as error:
            record.update(error=str(error), log=log)
            raise
        finally:
            attempt.launches.append(record)
    checks.refuse_failed(record)


def _worker_arguments(attempt, index, folder, packed, lifeline):
    """Return what every rank is told. Only the first launch writes completions: the others repeat them to be timed."""
    arguments = ["--packed", packed, "--out", folder, "--lifeline", lifeline]
    if attempt.places.model_dir is not None:
        arguments += ["--model-dir", os.path.abspath(attempt.places.model_dir)]
    if attempt.request.workload.dataset is not None:
        if index == 0:
            os.makedirs(os.path.dirname(attempt.path), exist_ok=True)
            arguments += ["--outputs", os.path.abspath(_partial(attempt))]
        if attempt.places.dataset_file is not None:
            arguments += ["--dataset-file", os.path.abspath(attempt.places.dataset_file)]
    return arguments


def _collect(folder, status, log):
    """Return the raw data of a finished launch, or raise the error that a rank, or the launcher, ended with."""
    for name in sorted(os.listdir(folder)):
        if name.startswith("error-"):
            raise _as_told(strictjson.read(os.path.join(folder, name), LaunchFailed))
    for line in log:
        if line.startswith(ERROR):
            raise _as_told(strictjson.loads(line[len(ERROR) :].encode(), "a rank's error", LaunchFailed))
    path = os.path.join(folder, "raw.json")
    if status != 0 or not os.path.exists(path):
        last = " | ".join(printable(line, 300) for line in _telling(log))
        raise LaunchFailed(
            f"The launcher ended with status {status}{_signal(status)}. Its last words: {last or 'none'}."
        )
    return strictjson.read(path, LaunchFailed)


def _as_told(error):
    """Return the error that a rank ended with."""
    return by_exit_code(error["exit_code"])(error["message"])


def _telling(log):
    """Return the lines of a log that tell what went wrong: the first raised exception if there is one, else the last lines."""
    raised = [line for line in log if re.match(r"([\w.-]+: )?(\[rank[0-9]+\]: )?[\w.]+(Error|Exception)\b", line)]
    return raised[:1] if raised else log[-3:]


def _signal(status):
    """Return the signal that a rank died of, in words; launchers hand it on as -9, 137 or 247."""
    for number in _DEADLY:
        if status in (-number, 128 + number, 256 - number):
            hint = ", perhaps since memory ran out" if number == signal.SIGKILL else ""
            return f" (a rank died of {number.name}{hint})"
    return ""


_DEADLY = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTERM)


def _partial(attempt):
    return attempt.outputs_path + ".part"


def _interrupted(attempt):
    """Publish what an interrupted attempt has and return the error that says so."""
    complete = sum(launch["status"] == "complete" for launch in attempt.launches)
    rows = _whole_lines(_partial(attempt))
    if not complete and not rows:
        _discard(_partial(attempt))
        return Interrupted("Stopped before anything was measured; nothing was written.")
    path = _publish(attempt, "interrupted")
    told = (
        f"{len(rows.splitlines())} rows in {attempt.outputs_path}"
        if rows
        else f"{complete} of {attempt.request.launches} launches"
    )
    return Interrupted(
        f"Stopped. What was measured is kept: {told}; see {path}. Run the same command again for a whole one."
    )


def _publish(attempt, status):
    """Publish the outputs, then the result that names them; return the result's path."""
    duration_s = (time.monotonic_ns() - attempt.started_ns) / 1e9
    ended = datetime.now(timezone.utc)
    body = {
        "kind": "result",
        "schema": results.SCHEMA,
        "attempt": {
            "id": attempt.id,
            "status": status,
            "started_utc": f"{attempt.started:%Y-%m-%dT%H:%M:%SZ}",
            "ended_utc": f"{ended:%Y-%m-%dT%H:%M:%SZ}",
            "duration_s": duration_s,
            # the wall clock against the monotonic one: a clock that was set during the run shows here
            "clock_drift_s": (ended - attempt.started).total_seconds() - duration_s,
        },
        "request": attempt.request.to_json(),
        "environment": attempt.environment,
        "launches": attempt.launches,
        "outputs": _publish_outputs(attempt),
    }
    publish.publish(attempt.path, strictjson.pretty(results.seal(body)).encode())
    attempt.published(attempt.path)
    return attempt.path


def _publish_outputs(attempt):
    if attempt.request.workload.dataset is None:
        return None
    rows = _whole_lines(_partial(attempt))
    if rows:
        publish.publish(attempt.outputs_path, rows)
    _discard(_partial(attempt))
    return {
        "file": os.path.basename(attempt.outputs_path) if rows else None,
        "rows": len(rows.splitlines()),
        "sha256": hashlib.sha256(rows).hexdigest(),
    }


def _whole_lines(path):
    """Return the bytes of a file up to its last newline; nothing for a file that is not there."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]


def _discard(path):
    """Remove a file if it is there, and its folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
