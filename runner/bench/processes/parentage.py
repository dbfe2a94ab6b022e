"""Let the kernel end a process with the process that started it, also where no Python code of the process can run any more.

A thread that watches a connection needs the interpreter's lock, which a call into a library may hold for ever (a rank that was
blocked on a FIFO outlived its parent by 40 minutes). The kernel needs nothing of the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
from typing import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_F_SETSIG = 10  # asm-generic/fcntl.h; Python names it on Linux alone


def tie(parent: int) -> Callable[[], None]:
    """Return what ``Popen`` calls in the child before its program starts: SIGKILL comes when the process ``parent`` ends.

    SIGTERM acts in the child as usual, whatever this process does with it: this process ends its launchers by SIGTERM.
    """
    prctl = _prctl()

    def before_the_program() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        prctl()
        if os.getppid() != parent:  # the parent ended before the kernel was asked
            os._exit(1)

    return before_the_program


def end_with_parent() -> None:
    """Ask the kernel for SIGKILL when the process that started this one ends: a rank's launcher, which is tied too."""
    parent = os.getppid()
    _prctl()()
    if os.getppid() != parent:
        os._exit(1)


def end_with(connection: socket.socket) -> None:
    """Ask the kernel for SIGKILL when something happens on a connection: nothing is ever sent on it, so that it has ended.

    Where a kernel does not offer this nothing changes.
    """
    with contextlib.suppress(OSError):
        fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(connection, _F_SETSIG, int(signal.SIGKILL))
        fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)


def _prctl() -> Callable[[], None]:
    """Return the call of prctl(2), looked up beforehand: little is safe between fork and exec."""
    found = getattr(ctypes.CDLL(None), "prctl", None)  # which other systems than Linux lack

    def call() -> None:
        if found is not None:
            found(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    return call
