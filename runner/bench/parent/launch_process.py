"""Run the launcher of one launch so that neither the launcher nor a rank outlives the parent."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
from collections import deque
from typing import Iterator, Mapping, NamedTuple, Sequence

from runner.bench.processes import parentage
from runner.bench.processes.hostfile import LOOPBACK
from runner.bench.processes.messages import ERROR, PROGRESS, step_of
from runner.contract import signals
from runner.contract.errors import LaunchFailed
from runner.contract.progress import Task

LOG_LINES = 60
# A longer line is read as several lines, so that a line without an end takes no more memory than this.
LINE_CHARACTERS = 10_000
# pdsh puts the host's name before each line of a rank's output.
_HOST_PREFIX = re.compile(r"^[\w.-]+: (?=@bench)")
# pdsh prints this line for a host whose command failed, and goes on waiting for the other hosts.
_LOST_HOST = re.compile(r"pdsh@[\w.-]+: [\w.-]+: ssh exited with exit code [1-9]")
# Connections of strangers that the lifeline's queue has room for beside the ranks': whoever reaches this host reaches
# its port.
STRANGERS = 100
# How long a launcher may take to notice that its ranks have ended.
_TERMINATION_S = 10


class LauncherExit(NamedTuple):
    """How a launcher ended: its exit status, and the last lines of its output that are not progress."""

    status: int
    log: list[str]


def run(command: Sequence[str], variables: Mapping[str, str], task: Task) -> LauncherExit:
    """Run a launch to its end. ``task`` gets each line and each step that a rank tells of; its last step ends with the launch.

    A rank's error, or a host that is lost, ends the launch at once. When an exception such as ``KeyboardInterrupt``
    passes through, the launcher is ended before the exception goes on.
    Raises ``LaunchFailed`` where the launcher cannot be started.
    """
    log: deque[str] = deque(maxlen=LOG_LINES)
    try:
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=parentage.tie(os.getpid()),
        )
    except OSError as problem:
        raise LaunchFailed(
            f"The launcher could not be started: {problem.strerror}. See `ulimit -a`, and the memory that is left."
        ) from None
    try:
        assert process.stdout is not None
        for line in iter(functools.partial(process.stdout.readline, LINE_CHARACTERS), ""):
            line = _HOST_PREFIX.sub("", line.rstrip("\n"))
            step = step_of(line)
            if step is not None:
                task.update(step)
            elif line.startswith(PROGRESS):
                task.line(line[len(PROGRESS) :])
            else:
                log.append(line)
            if line.startswith(ERROR) or _LOST_HOST.match(line):
                # The ranks of the other hosts would wait for the rank that ended.
                _end(process)
                break
        return LauncherExit(process.wait(), list(log))
    finally:
        with signals.held_back():
            _end(process)
            # The next launch forks: a display's thread must not run then.
            task.end()


def _end(process: subprocess.Popen[str]) -> None:
    """End a launcher that still runs, with its whole process group: by SIGTERM, and after a while by SIGKILL."""
    if process.poll() is None:
        for number, wait_s in ((signal.SIGTERM, _TERMINATION_S), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait_s)
                break
    assert process.stdout is not None
    process.stdout.close()


@contextlib.contextmanager
def lifeline(address: str, ranks: int) -> Iterator[str]:
    """Yield an ``ADDRESS:PORT`` of this host, to which each rank connects.

    The connections end when the block, or this process, ends.
    accept() is never called: a connection in the queue of the listening socket is established, and the kernel resets it
    when the socket closes. Other hosts may connect by IPv4 or by IPv6.
    """
    dual_stack = address != LOOPBACK and socket.has_dualstack_ipv6()
    endpoint = (LOOPBACK if address == LOOPBACK else "", 0)
    family = socket.AF_INET6 if dual_stack else socket.AF_INET
    backlog = ranks + STRANGERS
    with socket.create_server(endpoint, family=family, backlog=backlog, dualstack_ipv6=dual_stack) as server:
        yield f"{address}:{server.getsockname()[1]}"
