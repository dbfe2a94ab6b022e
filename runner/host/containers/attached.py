"""Run the client of a container, attached: its lines come as they are printed, and a signal or the time limit ends the container."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO, Literal

from runner.contract import signals
from runner.contract.errors import Unsupported

Stream = Literal["stdout", "stderr"]
# Takes each line of the container, with its newline.
TakeLine = Callable[[Stream, bytes], None]
# What ended a container that did not end by itself.
Stopped = Literal["signal", "time limit"]

# Of a line; a frame's is at most 8 kB.
_MAX_LINE_BYTES = 1 << 20
# Between two looks at the client, the clock and the signals that came.
_LOOK_S = 0.1
# Beyond the container's own grace: what the program needs to notice and to remove the container.
_NOTICE_S = 30.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ended:
    """The end of a container: the exit code of its client, which is the container's own, and what stopped it, None where nothing did."""

    exit_code: int
    stopped: Stopped | None


def run(command: Sequence[str], name: str, grace_s: float, deadline_s: float, take_line: TakeLine) -> Ended:
    """Run ``command``, a client that stays attached to the container ``name``, and return how the container ended.

    The first of Ctrl-C, SIGTERM and SIGHUP, and the end of ``deadline_s``, ask the container to end; it has ``grace_s`` for that, and is
    killed then, or at the second signal. The container is gone when this returns, whatever happened. ``take_line`` is called in two
    threads, never at once. Raises ``Unsupported`` where the client cannot be started.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    program = command[0]
    with signals.handled(note), _start(command) as client:
        try:
            readers = _read(client, take_line)
            stopped = _wait(client, program, name, grace_s, time.monotonic() + deadline_s, came)
            for reader in readers:
                reader.join()
        finally:
            # removed already where all went well
            _tell(program, "rm", "--force", "--volumes", name)
            client.kill()
    return Ended(client.returncode, stopped)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the client in a session of its own, where no Ctrl-C of the terminal reaches it.

    If this process is killed, the kernel sends the client SIGTERM, which the client hands on to the container.
    """
    kernel = ctypes.CDLL(None, use_errno=True)

    def end_with_parent() -> None:
        kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # no thread of this process runs yet
            preexec_fn=end_with_parent,
        )
    except OSError as problem:
        raise Unsupported(f"{command[0]} cannot be run: {problem.strerror}. Install podman or docker.") from None


def _read(client: subprocess.Popen[bytes], take_line: TakeLine) -> list[threading.Thread]:
    lock = threading.Lock()

    def read(stream: Stream, file: IO[bytes]) -> None:
        while line := file.readline(_MAX_LINE_BYTES):
            with lock:
                take_line(stream, line)

    assert client.stdout is not None and client.stderr is not None
    streams: tuple[tuple[Stream, IO[bytes]], ...] = (("stdout", client.stdout), ("stderr", client.stderr))
    readers = [threading.Thread(target=read, args=pair, daemon=True) for pair in streams]
    for reader in readers:
        reader.start()
    return readers


def _wait(
    client: subprocess.Popen[bytes], program: str, name: str, grace_s: float, deadline_s: float, came: list[int]
) -> Stopped | None:
    """Wait until the client ends, which may need a word; return what stopped the container. ``deadline_s`` is of the monotonic clock."""
    stopped: Stopped | None = None
    killed = False
    stopper: subprocess.Popen[bytes] | None = None
    kill_at_s = 0.0
    while client.poll() is None:
        now_s = time.monotonic()
        if stopped is None and (came or now_s >= deadline_s):
            stopped = "signal" if came else "time limit"
            kill_at_s = now_s + grace_s + _NOTICE_S
            stopper = _begin(program, "stop", name)
        elif stopper is not None and stopper.poll() not in (None, 0) and not killed:
            # there is no such container yet: its client is stopped instead, which hands the signal on to what it starts
            client.terminate()
            stopper = None
        elif stopped is not None and not killed and (len(came) > 1 or now_s >= kill_at_s):
            killed = True
            _tell(program, "kill", name)
            client.terminate()
            kill_at_s = now_s + _NOTICE_S
        elif killed and now_s >= kill_at_s:
            client.kill()
        _pause(client, _LOOK_S)
    if stopper is not None:
        _pause(stopper, _NOTICE_S)
    return stopped


def _pause(process: subprocess.Popen[bytes], most_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(most_s)


def _begin(program: str, *words: str) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([program, *words], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def _tell(program: str, *words: str) -> None:
    process = _begin(program, *words)
    _pause(process, _NOTICE_S)
    if process.poll() is None:
        process.kill()
        process.wait()
        print(
            f"`{program} {' '.join(words)}` did not end. Look with `{program} ps --all`.", file=sys.stderr, flush=True
        )
