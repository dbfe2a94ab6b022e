"""Let SIGTERM and SIGHUP end a verb as Ctrl-C does: what was measured is kept, and scratch folders go.

A signal that was ignored when the process started stays ignored: ``nohup`` and a shell rely on that for jobs in the background.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Callable, ContextManager, Iterator, Optional, Sequence

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, Optional[FrameType]], object]


@contextlib.contextmanager
def handled(handler: Handler, numbers: Sequence[signal.Signals] = ENDING) -> Iterator[None]:
    """Have ``handler(number, frame)`` called for signals while the block runs; a signal that is ignored stays ignored.

    Changes nothing in any thread but the main thread: signals interrupt the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    for number, action in before.items():
        if action is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def as_interrupt() -> ContextManager[None]:
    """Turn SIGTERM and SIGHUP into ``KeyboardInterrupt`` while the block runs, as ``handled`` does."""
    return handled(_interrupt, (signal.SIGTERM, signal.SIGHUP))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def held_back() -> Iterator[list[int]]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP while the block runs; the first signal that came acts when the block has ended well.

    For work that must not be cut off: keeping a measurement, ending ranks. Yields the list of the signals that came; a block that
    stops anyway clears the list.
    """
    came: list[int] = []
    with handled(lambda number, _frame: came.append(number)):
        yield came
    if came:
        signal.raise_signal(signal.Signals(came[0]))
