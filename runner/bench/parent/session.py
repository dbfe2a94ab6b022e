"""One attempt at a request: check what can be checked, run the launches, judge the raw data, publish the result."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
import time
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple

from runner.bench import devices, engines
from runner.bench.facts import environment
from runner.bench.facts import host as hostfacts
from runner.bench.inputs import preflight
from runner.bench.parent import checks, launcher
from runner.bench.parent.rows import Rows
from runner.bench.processes import deaths
from runner.bench.processes import hostfile as hosts
from runner.bench.processes.messages import ERROR
from runner.contract import frame, publish, signals, strictjson, unfinished
from runner.contract import result as results
from runner.contract.errors import Interrupted, KitError, LaunchFailed, PublishFailed, by_exit_code
from runner.contract.estimator import latency_s
from runner.contract.request import Request
from runner.contract.secrets import mask_json
from runner.contract.text import printable


class Places(NamedTuple):
    """Where things lie on this machine; a request names what they are and never where."""

    results: str
    model_dir: str | None
    dataset_file: str | None
    hostfile: str | None = None


class _Attempt:
    """What is known of an attempt while it runs."""

    def __init__(
        self,
        request: Request,
        places: Places,
        there: list[hosts.Host],
        found: preflight.Found,
        manner: publish.Manner,
        show: Callable[[str], None],
        published: Callable[[str], None],
    ) -> None:
        self.request, self.places, self.hosts = request, places, there
        self.show, self.published, self.manner = show, published, manner
        self.started = datetime.now(timezone.utc)
        self.started_ns = time.monotonic_ns()
        self.id = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.path = os.path.join(places.results, results.file_name(request.id, self.id))
        self.environment = mask_json({**environment.describe(), "inventory": found.inventory})
        self.weights = found.weights
        self.launches: list[dict] = []
        self.rows: Rows | None = None
        self._made = list(publish.missing(os.path.dirname(self.path)))
        self._journal: unfinished.Journal | None = None

    def begin(self) -> None:
        """Make what ranks append rows to, and what keeps them. Raises ``PublishFailed``."""
        if self.request.workload.dataset is not None:
            self.rows = Rows(self.path)
            self._write(None)

    def keep(self, record: dict) -> None:
        """Take the record of a launch that ended, on disk too: a kill loses the launch that runs and no other."""
        self.launches.append(mask_json(record))
        if record["status"] == "complete":
            self._write({"attempt": self.told("interrupted"), "launch": self.launches[-1]})

    def _write(self, line: dict | None) -> None:
        try:
            if self._journal is None:
                head = {**self.body("interrupted"), "rows": self.rows is not None}
                self._journal = unfinished.Journal(self.path, {key: head[key] for key in head if key != "launches"})
            if line is not None:
                self._journal.add(line)
        except OSError as problem:  # the launch is in memory, and is published at the end
            self.show(f"what was measured so far could not be kept beside the result: {problem.strerror}")

    def measured(self) -> bool:
        """Return whether anything was measured that is worth keeping."""
        complete = any(launch["status"] == "complete" for launch in self.launches)
        return complete or (self.rows is not None and bool(self.rows.read()))

    def told(self, status: str) -> dict:
        """Return what a result says of its attempt. What is usual of the folder is not said."""
        duration_s = (time.monotonic_ns() - self.started_ns) / 1e9
        ended = datetime.now(timezone.utc)
        return {
            "id": self.id,
            "status": status,
            "started_utc": f"{self.started:%Y-%m-%dT%H:%M:%SZ}",
            "ended_utc": f"{ended:%Y-%m-%dT%H:%M:%SZ}",
            "duration_s": duration_s,
            # the wall clock against the monotonic one: a clock that was set during the run shows here
            "clock_drift_s": (ended - self.started).total_seconds() - duration_s,
            **({} if self.manner == publish.USUAL else {"published": self.manner.to_json()}),
        }

    def body(self, status: str) -> dict:
        """Return the result without its outputs. The request is as it was given: its id is a hash of its content."""
        return {
            "kind": "result",
            "schema": results.SCHEMA,
            "attempt": self.told(status),
            "request": self.request.to_json(),
            "environment": self.environment,
            "launches": self.launches,
        }

    def end(self, discard: bool = True) -> None:
        """Remove what was kept while the attempt ran, since it is published or nothing was measured; or leave it there."""
        if self._journal is not None:
            self._journal.close(discard)
        if self.rows is not None:
            (self.rows.discard if discard else self.rows.close)()
        for folder in self._made:
            with contextlib.suppress(OSError):  # something else is in the folder: a result, say
                os.rmdir(folder)


def run(request: Request, places: Places, show: Callable[[str], None], published: Callable[[str], None]) -> None:
    """Run one request to its end.

    ``show`` prints one line of progress, ``published`` is called with the path of the result, however the attempt ended.
    Raises a ``KitError``: for what was given (``DoesNotFit``, ``InputError``, ``Unsupported``; nothing is published unless a
    launch had ended before), after a failed launch (``LaunchFailed``, its result published as failed), or ``Interrupted``, with
    what was measured published as interrupted. Raises ``PublishFailed`` where the folder does not take the result after all;
    ``published`` is then called with the path of a copy in the folder for temporary files.
    """
    device_module = devices.load(request.stack.device)
    there = hosts.read(places.hostfile, request.devices) if places.hostfile else [hosts.here(request.devices)]
    found, manner = _check_before(request, places, device_module, show)
    attempt = _Attempt(request, places, there, found, manner, show, published)
    host = attempt.environment["cpu"]["model"]
    show(f"attempt {attempt.id} on {host}, stack {request.stack.name}, {request.launches} launch(es)")
    attempt.begin()
    try:
        for index in range(request.launches):
            _launch(
                attempt,
                index,
                device_module,
                lambda text, index=index: show(f"launch {index + 1}/{request.launches}: {text}"),
            )
    except KeyboardInterrupt:
        with signals.held_back():  # a second Ctrl-C is heard no more: what was measured is kept first
            raise _interrupted(attempt) from None
    except Exception as problem:
        given_was_wrong = isinstance(problem, KitError) and not isinstance(problem, (LaunchFailed, PublishFailed))
        if not attempt.measured() and (given_was_wrong or not attempt.launches):
            attempt.end()  # there is nothing to keep
            raise
        path = _publish(attempt, "failed")
        if not isinstance(problem, KitError):
            raise
        raise type(problem)(f"{problem} The failed attempt is kept in {path}.") from None
    _publish(attempt, "complete")


def _check_before(
    request: Request, places: Places, device_module: Any, show: Callable[[str], None]
) -> tuple[preflight.Found, publish.Manner]:
    """Refuse what can be refused before anything is loaded.

    Returns what ``preflight`` found, and how the folder of the results takes files.
    """
    problem = device_module.missing(request)
    if problem:
        raise problem
    engines.check(request.engine, request.stack)
    launcher.check(engines.load(request.engine).launcher(request.stack, request.devices), bool(places.hostfile))
    found = preflight.check(request, places.model_dir, places.dataset_file, show)
    size = _bytes_of_a_result(request)
    with launcher.scratch() as folder:
        launcher.check_room(folder, size)
    return found, publish.probe(os.path.join(places.results, request.id), size)


def _bytes_of_a_result(request: Request) -> int:
    """Return how large a result of a request becomes, rather too large: ids and durations of each token, and what is fixed."""
    new = request.workload.output_tokens
    of_a_launch = 40_000 + 4_000 * request.devices + 120 * new + 30 * request.workload.batch_size * new
    return min(100_000 + request.launches * of_a_launch, strictjson.MAX_BYTES)


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
        if launcher.left_out():
            show(f"{', '.join(launcher.left_out())}: set here by another launch, and not handed to the ranks")
    offline = request.workload.dataset is None or request.workload.dataset.source != "hub"
    record = {
        "index": index,
        "status": "failed",
        "load_average_1min": hostfacts.load_average(),
        "runnable_before": hostfacts.runnable_threads(),
    }
    with launcher.scratch() as folder, launcher.lifeline(there[0].address, request.devices) as lifeline:
        # DeepSpeed's launcher sets the same for its ranks. On a CPU it counts devices by this variable, or else by the program numactl,
        # which a host may lack.
        carried = {**launcher.carried(variables, offline), "LOCAL_SIZE": str(ranks_of_one_host)}
        launch_environment = launcher.environment(folder, carried)
        told = environment.variables(launch_environment)
        record["variables"] = {name: told[name] for name in told if name not in device_module.unread}
        handed_on = {**environment.for_other_hosts(record["variables"]), **carried}
        packed = hosts.pack({"request": request.to_json(), "variables": handed_on})
        arguments = _worker_arguments(attempt, index, folder, packed, lifeline)
        hostfile = (hosts.write(there, folder), there[0].address) if attempt.places.hostfile else None
        command = launcher.command(
            engine.launcher(request.stack, request.devices), request.devices, arguments, hostfile
        )
        private = {sys.executable: os.path.basename(sys.executable), packed: "PACKED"}
        record["command"] = [private.get(part, part.replace(folder, "SCRATCH")) for part in command]
        show("starting")
        status, log = launcher.run(command, launch_environment, show)
        with signals.held_back():
            _take(attempt, record, folder, status, [line.replace(packed, "PACKED") for line in log], device_module)


def _take(attempt: _Attempt, record: dict, folder: str, status: int, log: list[str], device_module: Any) -> None:
    """Complete and keep the record of a launch that ended; raise the error that it ended with."""
    request = attempt.request
    try:
        raw = _collect(folder, status, log, request.devices)
        attempt.weights.refuse_changed()
        record.update(raw)
        if attempt.rows is not None and record["index"] == 0:
            attempt.rows.keep(raw["dataset"]["rows"])
        record["status"] = "complete"
        record["checks"] = checks.run(request, record, attempt.environment, device_module.shared)
        if "timed" in raw:
            record["estimate"] = {
                "estimator": request.protocol.estimator,
                "latency_s": latency_s(request.protocol, request.workload, raw["timed"]),
            }
        checks.refuse_failed(record)
    except Exception as problem:
        # what was measured stays in the record, but a launch that could not be judged is none to compare
        record.update(status="failed", error=str(problem) or type(problem).__name__, log=log)
        raise
    finally:
        attempt.keep(record)


def _worker_arguments(attempt, index, folder, packed, lifeline):
    """Return what every rank is told. Only the first launch writes completions: the others repeat them to be timed."""
    arguments = ["--packed", packed, "--out", folder, "--lifeline", lifeline]
    if attempt.places.model_dir is not None:
        arguments += ["--model-dir", os.path.abspath(attempt.places.model_dir)]
    if attempt.rows is not None:
        if index == 0:
            arguments += ["--outputs", os.path.abspath(attempt.rows.part)]
        if attempt.places.dataset_file is not None:
            arguments += ["--dataset-file", os.path.abspath(attempt.places.dataset_file)]
    return arguments


def _collect(folder: str, status: int, log: list[str], ranks: int) -> dict:
    """Return the raw data of a finished launch, or raise the error that a rank, or the launcher, ended with."""
    found = deaths.read(folder)
    quiet = deaths.silent(found, ranks, status)
    if quiet is not None:
        raise LaunchFailed(quiet)
    for death in found:
        raise _as_told(death.to_json())
    for line in log:
        if line.startswith(ERROR):
            raise _as_told(strictjson.loads(line[len(ERROR) :].encode(), "a rank's error", LaunchFailed))
    path = os.path.join(folder, "raw.json")
    if status != 0 or not os.path.exists(path):
        last = " | ".join(printable(line, 300) for line in deaths.telling(log))
        raise LaunchFailed(
            f"The launcher ended with status {status}{deaths.of_signal(status)}. Its last words: {last or 'none'}."
        )
    return strictjson.read(path, LaunchFailed)


def _as_told(error: dict) -> KitError:
    """Return the error that a rank ended with."""
    return by_exit_code(error["exit_code"])(error["message"])


def _interrupted(attempt: _Attempt) -> Interrupted:
    """Publish what an interrupted attempt has and return the error that says so."""
    if not attempt.measured():
        attempt.end()
        return Interrupted("Stopped before anything was measured; nothing was written.")
    complete = sum(launch["status"] == "complete" for launch in attempt.launches)
    rows = attempt.rows.read() if attempt.rows is not None else b""
    path = _publish(attempt, "interrupted")
    count = rows.count(b"\n")
    told = (
        f"{count} rows in {unfinished.rows_path(path)}"
        if rows
        else f"{complete} of {attempt.request.launches} launches"
    )
    return Interrupted(
        f"Stopped. What was measured is kept: {told}; see {path}. Run the same command again for a whole one."
    )


def _publish(attempt: _Attempt, status: str) -> str:
    """Publish the rows, then the result that names them; return the result's path. Signals wait until all is kept.

    Raises ``PublishFailed`` where the folder does not take them; then they are kept where the message says.
    """
    with signals.held_back():
        refusal, outputs, rows = None, None, b""
        if attempt.rows is not None:
            rows = attempt.rows.read()
            outputs = unfinished.outputs(attempt.path, rows)
            try:
                outputs["file"] = attempt.rows.publish()
            except PublishFailed as problem:
                refusal = problem
        content = strictjson.pretty(results.seal({**attempt.body(status), "outputs": outputs})).encode()
        try:
            manner = publish.publish(attempt.path, content)
        except PublishFailed as problem:
            refusal = refusal or problem
        else:
            if manner != attempt.manner:
                attempt.show(
                    f"the folder of the results has changed since the start: the result was published by {manner.by}"
                )
        if refusal is None:
            attempt.end()
            attempt.published(attempt.path)
            return attempt.path
        attempt.end(discard=False)
        kept = _keep_elsewhere(attempt, content, rows)
    raise PublishFailed(f"{refusal} The measurement has ended and is kept: {kept}.")


def _keep_elsewhere(attempt: _Attempt, content: bytes, rows: bytes) -> str:
    """Keep a result that its folder did not take among the temporary files, or else on standard output; return where."""
    try:
        folder = tempfile.mkdtemp(prefix="bloomz-bench-result-")
        path = os.path.join(folder, f"{attempt.id}.json")
        publish.publish(path, content)
        if rows:
            publish.publish(unfinished.rows_path(path), rows)
    except (OSError, PublishFailed):
        print_frames(attempt.id, content)
        return "its frames are on standard output, for `python -m runner collect`"
    attempt.published(path)
    return f"see {path}, and copy it to a folder of results"


def print_frames(attempt: str, content: bytes) -> None:
    """Print a result on standard output so that a log alone carries it."""
    print("\n".join(frame.write(attempt, content)), flush=True)
