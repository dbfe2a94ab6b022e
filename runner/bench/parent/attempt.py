"""Make one attempt at a request: check what can be checked before, run the launches, and publish the result."""

from __future__ import annotations

import os
from typing import Callable

from runner.bench import devices, engines
from runner.bench.devices import Device
from runner.bench.inputs import preflight
from runner.bench.parent import launch, launcher, scratch
from runner.bench.parent.attempt_record import AttemptRecord, Paths
from runner.bench.processes import hostfile
from runner.contract import publish, signals, strictjson, unfinished
from runner.contract.errors import Interrupted, KitError, LaunchFailed, PublishFailed
from runner.contract.progress import Part, Task
from runner.contract.request import Request

# Bytes of a launch's record, and of the result around the launches, in an ample estimate.
_LAUNCH_BYTES, _RANK_BYTES, _TOKEN_BYTES, _ROW_TOKEN_BYTES, _RESULT_BYTES = 80_000, 4_000, 120, 30, 100_000


def run(
    request: Request, paths: Paths, task: Task, published: Callable[[str], None], with_operators: bool = False
) -> None:
    """Run one request to its end.

    ``task`` shows progress. ``published`` is called with the path of the result, however the attempt
    ended. ``with_operators`` asks each launch for one more call, whose operators it counts.
    Raises ``DoesNotFit``, ``InputError`` or ``Unsupported`` for a wrong request or file; nothing is published unless a
    launch had ended before. Raises ``LaunchFailed`` after a failed launch; its result is published as failed. Raises
    ``Interrupted`` for a signal; what was measured is published as interrupted. Raises ``PublishFailed`` where the
    folder of results does not take the result; ``published`` is then called with the path of a copy in the folder for
    temporary files.
    """
    device = devices.load(request.stack.device)
    hosts = hostfile.read(paths.hostfile, request.devices) if paths.hostfile else [hostfile.this_host(request.devices)]
    checked, manner = _check_before(request, paths, device, task)
    attempt = AttemptRecord(request, paths, hosts, checked, manner, task.line, published, with_operators)
    processor = attempt.environment["cpu"]["model"]
    task.line(f"attempt {attempt.id} on {processor}, stack {request.stack.name}, {request.launches} launch(es)")
    attempt.begin()
    try:
        for index in range(request.launches):
            launch.run(attempt, index, device, Part(task, f"launch {index + 1}/{request.launches}"))
    except KeyboardInterrupt:
        # A second Ctrl-C must not interrupt the keeping of what was measured.
        with signals.held_back():
            raise _interrupted(attempt) from None
    except Exception as problem:
        input_was_wrong = isinstance(problem, KitError) and not isinstance(problem, (LaunchFailed, PublishFailed))
        if not attempt.measured() and (input_was_wrong or not attempt.launches):
            attempt.end()
            raise
        path = attempt.publish("failed")
        if not isinstance(problem, KitError):
            raise
        raise type(problem)(f"{problem} The failed attempt is kept in {path}.") from None
    attempt.publish("complete")


def _check_before(request: Request, paths: Paths, device: Device, task: Task) -> tuple[preflight.Found, publish.Manner]:
    """Check everything that can be checked before a model is loaded.

    Returns what ``preflight`` found, and how the folder of results takes files. Raises the errors of ``run``.
    """
    problem = device.missing(request)
    if problem:
        raise problem
    engines.check_packages(request.engine, request.stack)
    launcher.check_launcher(engines.load(request.engine).launcher(request.stack, request.devices), bool(paths.hostfile))
    # what is known at once comes before what takes seconds or minutes: comparing the packages and the weights
    size_bytes = _result_bytes(request)
    with scratch.folder() as folder:
        scratch.check_room(folder, size_bytes)
    manner = publish.probe(os.path.join(paths.results, request.id), size_bytes)
    return preflight.check_host(request, paths.model_dir, paths.dataset_file, task), manner


def _result_bytes(request: Request) -> int:
    """Return an ample estimate of a result's size in bytes, from the ids and durations of its tokens."""
    tokens = request.workload.output_tokens
    launch_bytes = (
        _LAUNCH_BYTES
        + _RANK_BYTES * request.devices
        + _TOKEN_BYTES * tokens
        + _ROW_TOKEN_BYTES * request.workload.batch_size * tokens
    )
    return min(_RESULT_BYTES + request.launches * launch_bytes, strictjson.MAX_BYTES)


def _interrupted(attempt: AttemptRecord) -> Interrupted:
    """Publish what an interrupted attempt has measured, and return the error that says so."""
    if not attempt.measured():
        attempt.end()
        return Interrupted("Stopped before anything was measured; nothing was written.")
    rows = attempt.rows.read() if attempt.rows is not None else b""
    path = attempt.publish("interrupted")
    row_count = rows.count(b"\n")
    kept = (
        f"{row_count} rows in {unfinished.rows_path(path)}"
        if rows
        else f"{attempt.complete_launches()} of {attempt.request.launches} launches"
    )
    return Interrupted(
        f"Stopped. What was measured is kept: {kept}; see {path}. Run the same command again for a whole one."
    )
