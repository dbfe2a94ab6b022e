"""Keep the logs of containers as files: followed while the containers run, read on wherever a stream ends early, no line twice.

Secrets in a line are masked before the line is kept. The lines of a frame stay as they are, to the byte, for their digest is checked.

A stream that follows a log can end at a rotation, break off, or fall silent. The log is then read again from a little before the
last line that is kept, and lines that are known by their time and text are left out.
"""

from __future__ import annotations

import collections
import io
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from runner.contract import files, frame, secrets
from runner.contract.errors import DamagedResult
from runner.host.cluster import answers
from runner.host.cluster.answers import CUT, MAX_LOG_LINE_BYTES, Refused, Stream, Unanswered
from runner.host.cluster.client import jittered

# Lines of 40 bytes in the 10 MiB at which a kubelet rotates a log (containerLogMaxSize).
KNOWN_LINES = 250_000
# How much of the log before the last known line is read again.
OVERLAP_S = 10.0
# As many logs of running containers are followed at once, and as many of ended containers are read; the others wait their turn.
STREAMS = 8
TRIES_AFTER_THE_END = 5
# How many lines, and how many characters of each, are kept in memory to be quoted; as many characters are shown.
QUOTED_LINES, QUOTED_CHARACTERS = 50, 2000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
# Of a line in a file here; every line that this module kept is shorter.
_MAX_KEPT_BYTES = 2 * MAX_LOG_LINE_BYTES
_FRAME_LINE = re.compile(rf"[^ ]* {re.escape(frame.MARK)}(begin|part|end) [0-9A-Za-z-]+[A-Za-z0-9+/= ]*\r?")


class LogSource(Protocol):
    """The part of ``Cluster`` that a reader needs."""

    @property
    def clock_ahead_s(self) -> float:
        """How much the server's clock is ahead of this machine's, in seconds."""
        ...

    def log(
        self, pod: str, container: str, since_s: float | None, follow: bool, opened: Callable[[Stream], None]
    ) -> Iterator[bytes]:
        """Yield the lines of a log, see ``Cluster.log``."""
        ...


class Slots:
    """The limit on logs that are read at once.

    Two semaphores, for running and for ended containers, so that reading a finished log never waits behind followed logs.
    """

    def __init__(self, streams: int) -> None:
        self.running, self.ended = threading.BoundedSemaphore(streams), threading.BoundedSemaphore(streams)

    def of(self, container_ended: bool) -> threading.BoundedSemaphore:
        """Return the semaphore for the log of a container that has ended, or that runs."""
        return self.ended if container_ended else self.running


class LogReader(threading.Thread):
    """Writes the log of one container of one pod to the file ``path``.

    ``ended()`` returns whether the container has ended. ``show(line)`` is called with each new line without its time; frames are
    left out. ``finished()`` is called when nothing more comes, and ``failed(exception)`` before it where an exception ended the
    reading. ``whole`` is True once the log was read to its end after the container's end, and nothing came after that.
    """

    def __init__(
        self,
        source: LogSource,
        pod: str,
        container: str,
        path: Path,
        ended: Callable[[], bool],
        show: Callable[[str], None],
        finished: Callable[[], None],
        failed: Callable[[Exception], None],
        slots: Slots,
    ) -> None:
        super().__init__(daemon=True, name=f"log of {pod}")
        self._source, self._pod, self._container, self.path = source, pod, container, path
        self._ended, self._show, self._finished, self._failed = ended, show, finished, failed
        self._slots = slots
        self._known: set[int] = set()
        self._known_in_order: collections.deque[int] = collections.deque()
        self._max_known = KNOWN_LINES
        # The kubelet's time of the newest line, in seconds since 1970.
        self._last_line_s: float | None = None
        # The least by which the node's clock is ahead of this machine's: a line is written before it comes here.
        self._node_ahead_s = -math.inf
        self._stopped, self._news = threading.Event(), threading.Event()
        self._stream: Stream | None = None
        self.whole = self._over = False
        self.tail: collections.deque[str] = collections.deque(maxlen=QUOTED_LINES)

    def look(self) -> None:
        """Ask ``ended()`` again soon: the container's state may have changed."""
        self._news.set()

    def stop(self) -> None:
        """End reading; the thread ends soon after."""
        self._stopped.set()
        self._news.set()
        stream = self._stream
        if stream is not None:
            answers.shut(stream)

    @property
    def reading(self) -> bool:
        """Whether more lines may come."""
        return not self._over

    def run(self) -> None:
        """Read the log, in this thread, to its end or until ``stop`` is called."""
        try:
            self._read()
        # a full disk, for example: it must end the whole process, and not this thread alone
        except Exception as problem:
            self._failed(problem)
        finally:
            self._over = True
            self._finished()

    def _read(self) -> None:
        slots = self._slots.of(self._ended())
        while not slots.acquire(timeout=0.2):
            if self._stopped.is_set():
                return
            slots = self._slots.of(self._ended())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remember_file()
            with self.path.open("ab") as file:
                self._follow(file)
        finally:
            self._known.clear()
            self._known_in_order.clear()
            slots.release()

    def _remember_file(self) -> None:
        """Learn the lines that the file holds, so that following again adds only new lines; remove half a line at the file's end."""
        if not os.path.lexists(self.path):
            return
        whole_bytes = read_bytes = 0
        with files.open_regular(self.path) as file:
            for line in iter(lambda: file.readline(_MAX_KEPT_BYTES), b""):
                read_bytes += len(line)
                if line.endswith(b"\n"):
                    whole_bytes = read_bytes
                    # every line of the file will come again
                    self._max_known += 1
                    self._is_new(line[:-1])
                    self.tail.append(_quoted(line[:-1]))
        os.truncate(self.path, whole_bytes)
        # the file may lack lines between its own: the log is read from its beginning
        self._last_line_s = None

    def _follow(self, file: BinaryIO) -> None:
        pause_s, tries = _FIRST_PAUSE_S, 0
        while not self._stopped.is_set():
            ended = self._ended()
            new_lines, complete = 0, False
            try:
                for line in self._source.log(self._pod, self._container, self._since_s(), not ended, self._opened):
                    new_lines += self._keep(file, line)
                    if self._stopped.is_set():
                        return
                complete = True
            except Refused as refusal:
                # the pod is gone, and its log with it
                if refusal.status == 404:
                    return
            except Unanswered:
                pass
            finally:
                self._stream = None
                file.flush()
            # read twice with the same end: no rotation came between
            if ended and complete and not new_lines and self.tail:
                self.whole = True
                return
            tries = tries + 1 if ended and not new_lines else 0
            if tries > TRIES_AFTER_THE_END:
                return
            pause_s = _FIRST_PAUSE_S if new_lines else min(pause_s * 2, _LONGEST_PAUSE_S)
            self._news.clear()
            self._news.wait(jittered(pause_s))

    def _opened(self, stream: Stream) -> None:
        self._stream = stream

    def _since_s(self) -> float | None:
        """Return from how many seconds ago to read on, None for the log's beginning. The kubelet counts by its own clock."""
        if self._last_line_s is None:
            return None
        ahead_s = max(self._source.clock_ahead_s, self._node_ahead_s)
        return max(0.0, time.time() + ahead_s - self._last_line_s) + OVERLAP_S

    def _keep(self, file: BinaryIO, line: bytes) -> bool:
        """Write a line to the file if it is new, and show it; return whether it is new."""
        line = _masked(line)
        if not self._is_new(line):
            return False
        file.write(line + b"\n")
        if self._last_line_s is not None:
            self._node_ahead_s = max(self._node_ahead_s, self._last_line_s - time.time())
        text = _quoted(line)
        self.tail.append(text)
        if frame.MARK not in text:
            self._show(text)
        return True

    def _is_new(self, line: bytes) -> bool:
        """Return whether a line is not known, and know it from now on; the oldest known line is forgotten for it."""
        key = hash(line)
        if key in self._known:
            return False
        self._known.add(key)
        self._known_in_order.append(key)
        if len(self._known_in_order) > self._max_known:
            self._known.discard(self._known_in_order.popleft())
        self._last_line_s = _time_s(line) or self._last_line_s
        return True


def _masked(line: bytes) -> bytes:
    """Return a line with its secrets masked, and a line of a frame unchanged."""
    text = line.decode("utf-8", errors="surrogateescape")
    if _FRAME_LINE.fullmatch(text):
        return line
    return secrets.mask(text).encode("utf-8", errors="surrogateescape")


def _quoted(line: bytes) -> str:
    """Return a line as it is shown and quoted: without the kubelet's time, at most ``QUOTED_CHARACTERS`` characters long."""
    text = line.decode("utf-8", errors="replace").partition(" ")[2]
    if len(text) <= QUOTED_CHARACTERS:
        return text
    return f"{text[: QUOTED_CHARACTERS - len(CUT) - 1]}…{CUT if text.endswith(CUT) else ''}"


def _time_s(line: bytes) -> float | None:
    """Return the kubelet's time of a line in seconds since 1970, None where the line has none."""
    text = line[:40].split(b" ")[0].decode("ascii", errors="replace")
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


@dataclass(frozen=True)
class Frames:
    """The results in some logs, by attempt: those that are ``whole``, and what is wrong with those that are whole in no log."""

    whole: dict[str, bytes]
    broken: dict[str, DamagedResult]


def read_frames(paths: Iterable[Path]) -> Frames:
    """Return the results in some logs. Raises ``OSError`` for a log that cannot be read."""
    whole: dict[str, bytes] = {}
    broken: dict[str, DamagedResult] = {}
    for path in paths:
        with files.open_regular(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as text:
            whole_here, broken_here = frame.read(_pieces(text), str(path))
        whole |= whole_here
        broken |= broken_here
    return Frames(whole, {attempt: problem for attempt, problem in broken.items() if attempt not in whole})


def _pieces(text: TextIO) -> Iterator[str]:
    """Yield the lines of a text; a line that is longer than any that this module keeps comes in pieces."""
    while piece := text.readline(_MAX_KEPT_BYTES):
        yield piece
