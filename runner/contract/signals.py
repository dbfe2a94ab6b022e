"""Let SIGTERM and SIGHUP end a verb as Ctrl-C does: what was measured is kept, and scratch folders go.

A signal that was ignored when the process started stays ignored: that is how ``nohup`` and a shell's background jobs ask for it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Iterator

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def as_interrupt() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into ``KeyboardInterrupt`` while the block runs, unless they are ignored."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_back() -> Iterator[list[int]]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP while the block runs; the first that came acts when the block has ended well.

    For what must not be cut off: keeping a measurement, ending ranks. Yields the list of the signals that came; a block that stops
    anyway clears the list. A signal that is ignored stays ignored. In another thread than the main one, which no signal
    interrupts, nothing is held back.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
