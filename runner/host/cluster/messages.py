"""Carry messages from other threads, and from signal handlers, to the loop that follows runs."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Changed:
    """Something changed of a run: an object of the cluster, or the state of a log."""

    run: str


@dataclass(frozen=True)
class LogLine:
    """A run's log has a new line that people read; frames are left out."""

    run: str
    text: str


@dataclass(frozen=True)
class Failed:
    """A thread ended by an exception: following cannot go on."""

    problem: Exception


@dataclass(frozen=True)
class Signalled:
    """This process received a signal."""

    number: int


Message = Changed | LogLine | Failed | Signalled


class Inbox:
    """The messages that the loop has not taken yet, oldest first. Any thread, and a signal handler, may ``put``."""

    def __init__(self) -> None:
        # a SimpleQueue may be put to while the same thread is inside of put or get, as a signal handler does
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def put(self, message: Message) -> None:
        """Add a message behind the others."""
        self._queue.put(message)

    def take(self, wait_s: float) -> Iterator[Message]:
        """Yield all messages that there are, after a wait of at most ``wait_s`` seconds for the first."""
        try:
            yield self._queue.get(timeout=wait_s)
        except queue.Empty:
            return
        yield from self.take_waiting()

    def take_waiting(self) -> Iterator[Message]:
        """Yield all messages that there are, without a wait."""
        while not self._queue.empty():
            yield self._queue.get()

    def has_signal(self) -> bool:
        """Drop the messages up to the first signal, and return whether there was a signal."""
        return any(isinstance(message, Signalled) for message in self.take_waiting())

    def wait_for_signal(self, wait_s: float) -> bool:
        """Drop messages until a signal comes; return whether a signal came within ``wait_s`` seconds."""
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                message = self._queue.get(timeout=left_s)
            except queue.Empty:
                return False
            if isinstance(message, Signalled):
                return True
        return False
