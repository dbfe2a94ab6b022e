"""Stop a forked child at any of its system calls, by ptrace: kill it there, or let the call fail with a chosen errno.

x86-64 Linux. Needs permission to trace one's own children, which containers give unless a profile forbids it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from typing import NoReturn

SUPPORTED = platform.system() == "Linux" and platform.machine() == "x86_64"

_TRACEME, _GETREGS, _SETREGS, _SYSCALL, _SETOPTIONS = 0, 12, 13, 24, 0x4200
_TRACESYSGOOD, _EXITKILL = 0x1, 0x100000
_STOPPED_AT_CALL = signal.SIGTRAP | 0x80

_GENERAL = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax"
_OTHERS = "rip cs eflags rsp ss fs_base gs_base ds es fs gs"


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in f"{_GENERAL} {_OTHERS}".split()]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, data: ctypes.c_void_p | int | None = None) -> None:
    if _libc.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Ended(Exception):
    """The child ended before the wanted stop; ``status`` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def calls(work: Callable[[], int]) -> int:
    """Fork, run ``work()`` in the child, and return how many system calls it made."""
    pid, stops = _traced(work), 0
    try:
        while True:
            _advance(pid)
            stops += 1
    except Ended:
        return stops // 2  # the call that ends the process never returns


def run_killed(work: Callable[[], int], stop: int) -> int:
    """Fork, run ``work()``, and kill the child at a stop, counted from 1; return its exit status (negative: a signal).

    Each system call stops twice, before it is made and after it returned.
    """
    pid = _traced(work)
    try:
        for _ in range(stop):
            _advance(pid)
        os.kill(pid, signal.SIGKILL)
        while True:
            _next_stop(pid)
    except Ended as ended:
        return ended.status


def run_failing(work: Callable[[], int], call: int, errno: int) -> int:
    """Fork, run ``work()``, and let its system call number ``call`` (from 1) fail with ``errno``; return the exit status."""
    pid = _traced(work)
    try:
        for _ in range(2 * call - 1):
            _advance(pid)
        _change(pid, orig_rax=-1)  # no such call: the kernel makes none
        _advance(pid)
        _change(pid, rax=-errno)
        while True:
            _advance(pid)
    except Ended as ended:
        return ended.status


def _traced(work: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        _child(work)
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, ctypes.c_void_p(_TRACESYSGOOD | _EXITKILL))
    return pid


def _child(work: Callable[[], int]) -> NoReturn:
    status = 1
    try:
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        status = work()
    finally:
        os._exit(status)


def _next_stop(pid: int) -> bool:
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        raise Ended(os.WEXITSTATUS(status))
    if os.WIFSIGNALED(status):
        raise Ended(-os.WTERMSIG(status))
    return os.WSTOPSIG(status) == _STOPPED_AT_CALL


def _advance(pid: int) -> None:
    """Let the child go to its next stop at a system call."""
    while True:
        _ptrace(_SYSCALL, pid)
        if _next_stop(pid):
            return


def _change(pid: int, **values: int) -> None:
    registers = _Registers()
    _ptrace(_GETREGS, pid, ctypes.addressof(registers))
    for name, value in values.items():
        setattr(registers, name, ctypes.c_ulonglong(value).value)
    _ptrace(_SETREGS, pid, ctypes.addressof(registers))
