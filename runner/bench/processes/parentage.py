"""Let the kernel end a process when the process that started it ends, even where no Python code can run any more.

A thread that watches a connection needs the interpreter's lock, and a call into a library may hold the lock for ever: a
rank that was blocked on a FIFO outlived its parent by 40 minutes. The kernel ends a process without the lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
from typing import Callable

# Source: linux/prctl.h.
_PR_SET_PDEATHSIG = 1
# Source: asm-generic/fcntl.h. Python has a name for this number on Linux only.
_F_SETSIG = 10


def tie(parent: int) -> Callable[[], None]:
    """Return a ``preexec_fn`` for ``Popen``, by which the kernel sends SIGKILL to the child when ``parent`` ends.

    The function also gives SIGTERM its default action in the child, whatever action this process has: this process ends
    its launchers by SIGTERM.
    """
    ask_kernel = _kernel_request()

    def before_the_program() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ask_kernel()
        # The parent ended before the kernel was asked.
        if os.getppid() != parent:
            os._exit(1)

    return before_the_program


def end_with_parent() -> None:
    """Ask the kernel for SIGKILL when the process that started this one ends: a launcher, which ends with bench."""
    parent = os.getppid()
    _kernel_request()()
    if os.getppid() != parent:
        os._exit(1)


def end_with(connection: socket.socket) -> None:
    """Ask the kernel for SIGKILL when the connection ends.

    The peer never sends anything, so that every event is the end of the connection.
    On a kernel without such signals the call does nothing.
    """
    with contextlib.suppress(OSError):
        fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(connection, _F_SETSIG, int(signal.SIGKILL))
        fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)


def _kernel_request() -> Callable[[], None]:
    """Return a function that asks the kernel for SIGKILL at the parent's end.

    The function prctl(2) is looked up here: looking up a function is not safe between fork and exec.
    """
    # Other systems than Linux lack the function.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def call() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    return call
