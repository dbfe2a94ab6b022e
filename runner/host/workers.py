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
        try:
            self._pool = self._pool or _pool(self._processes)
            values = self._pool.map(function, items, chunksize=max(1, min(16, len(items) // (4 * self._processes))))
        # no semaphores, no memory, or a process was killed before
        except (OSError, ImportError, BrokenProcessPool):
            return in_turn(function, items)
        return _or_in_turn(values, function, items)


def _pool(processes: int) -> ProcessPoolExecutor:
    # a fork would copy this process with the locks that its other threads hold
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the first process, and end with that one however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
