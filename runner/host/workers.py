"""Share work among processes of this host, where there is much of it and more than one core."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from runner.contract import signals

Item = TypeVar("Item")
Done = TypeVar("Done")

# A process takes as long to begin as 100 results to read.
_LEAST_ITEMS = 32
# More wait for the one process that gathers what they did.
_MOST_PROCESSES = 8


class Mapped(Protocol):
    """What calls a function for each item, and gives the values in the order of the items: ``in_turn``, or ``Workers.map``."""

    def __call__(self, function: Callable[[Item], Done], items: Sequence[Item], /) -> Iterator[Done]:
        """Return the values of ``function``, which a module defines and whose arguments and values can be pickled."""


def in_turn(function: Callable[[Item], Done], items: Sequence[Item], /) -> Iterator[Done]:
    """Call the function in this process, each time when a value is asked for."""
    return map(function, items)


class Workers:
    """Processes that begin with the first work that is worth them, and end with the block. Used as a context manager."""

    def __init__(self, processes: int | None = None) -> None:
        """``processes`` is how many may run, None for as many as this process has cores."""
        self._processes = min(_MOST_PROCESSES, processes or len(os.sched_getaffinity(0)))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *problem: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Done], items: Sequence[Item], /) -> Iterator[Done]:
        """Call the function for each item, from now on where processes do it, and return the values in the order of the items.

        What processes cannot do, because one was killed or none can be made, is done in turn.
        """
        if self._processes < 2 or len(items) < _LEAST_ITEMS:
            return in_turn(function, items)
        # an interruption waits for processes that have all that they begin with: a half of it is an error in each
        with signals.held_back():
            values = self._begun(function, items)
        return in_turn(function, items) if values is None else _or_in_turn(values, function, items)

    def _begun(self, function: Callable[[Item], Done], items: Sequence[Item]) -> Iterator[Done] | None:
        """Give the items to the processes, and begin those that are missing; return None where no process can take them."""
        chunksize = max(1, min(16, len(items) // (4 * self._processes)))
        try:
            self._pool = self._pool or _pool(self._processes)
            with _ctrl_c_kept_from_new_processes():
                return self._pool.map(function, items, chunksize=chunksize)
        # no semaphores, no memory, or a process was killed before
        except (OSError, ImportError, BrokenProcessPool):
            return None


def _pool(processes: int) -> ProcessPoolExecutor:
    # a fork would copy this process with the locks that its other threads hold
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)


@contextlib.contextmanager
def _ctrl_c_kept_from_new_processes() -> Iterator[None]:
    """Let processes that begin in the block never see Ctrl-C, which a terminal sends to all of them: the first process ends them.

    A process has what its parent blocks from its first instruction on; what it would say itself comes too late for an interpreter
    that still starts.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """End with the first process, however that one ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _or_in_turn(values: Iterator[Done], function: Callable[[Item], Done], items: Sequence[Item]) -> Iterator[Done]:
    done = 0
    with contextlib.suppress(BrokenProcessPool):
        for value in values:
            yield value
            done += 1
    yield from in_turn(function, items[done:])
