"""Let SIGTERM and SIGHUP end a verb as Ctrl-C does: what was measured is kept, and scratch folders go.

A signal that was ignored when the process started stays ignored: that is how ``nohup`` and a shell's background jobs ask for it.
"""

from __future__ import annotations

import contextlib
import signal
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
