"""Keep the logs of containers as files: followed while they run, opened again wherever a stream ends early, no line twice.

Secrets in a line are masked before it is kept; the lines of a frame stay as they are, to the byte, since their digest is checked.

A stream that follows can end at a rotation, break off, or fall silent. What is kept is then read again from a little before the
last line, and lines that are known are left out by their time and text.
"""

import collections
import io
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TextIO

from runner.contract import files, frame, secrets
from runner.contract.errors import DamagedResult
from runner.host.cluster.client import CUT, MAX_LOG_LINE_BYTES, Refused, Unanswered, jittered

KNOWN_LINES = 250_000  # of 40 bytes, in the 10 MiB at which a kubelet rotates a log (containerLogMaxSize)
OVERLAP_S = 10.0
# Logs that are followed at the same time, and as many read to their end; the logs of others are read when their turn comes.
STREAMS = 8
TRIES_AFTER_THE_END = 5
TOLD = 2000  # characters of a line that are shown, and kept to be quoted
_MAX_KEPT = 2 * MAX_LOG_LINE_BYTES  # of a line here; one that this module kept is shorter
_OF_A_FRAME = re.compile(rf"[^ ]* {re.escape(frame.MARK)}(begin|part|end) [0-9A-Za-z-]+[A-Za-z0-9+/= ]*\r?")


class Log(threading.Thread):
    """The log of one container of one pod, written to ``path``.

    ``ended()`` returns whether the container has ended; ``told(line)`` is given each new line without its time, frames left out;
    ``finished()`` is called when nothing more comes, ``failed(exception)`` before it where something unexpected ended it.
    ``whole`` is True once the log was read to its end after the container's, and nothing came after that.
    """

    def __init__(self, cluster, pod, container, path, ended, told, finished, failed, slots):
        """``slots`` are those of logs that are followed, and of logs whose container has ended: those must not wait for these."""
        super().__init__(daemon=True, name=f"log of {pod}")
        self._cluster, self._pod, self._container, self.path = cluster, pod, container, path
        self._ended, self._told, self._finished, self._failed = ended, told, finished, failed
        self._slots = slots
        self._known: set[int] = set()
        self._order: collections.deque[int] = collections.deque()
        self._last = None  # the kubelet's time of the newest line
        self._lead_s = (
            -math.inf
        )  # how much the node's clock is ahead of this machine's, at least: no line comes before it is written
        self._most_known = KNOWN_LINES
        self._stopped, self._news, self._stream = threading.Event(), threading.Event(), None
        self.whole = self._over = False
        self.tail: collections.deque[str] = collections.deque(maxlen=50)

    def look(self):
        """Look again at whether the container ended."""
        self._news.set()

    def stop(self):
        self._stopped.set()
        self._news.set()
        stream = self._stream
        if stream is not None:
            try:
                stream.shutdown()
            except (AttributeError, OSError, RuntimeError, ValueError):
                stream.close()

    @property
    def reading(self):
        return not self._over

    def run(self):
        try:
            self._read()
        except Exception as problem:  # the disk is full, say: it ends the whole, not this thread alone
            self._failed(problem)
        finally:
            self._over = True
            self._finished()

    def _read(self):
        slots = self._slots[self._ended()]
        while not slots.acquire(timeout=0.2):
            if self._stopped.is_set():
                return
            slots = self._slots[self._ended()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remember()
            with self.path.open("ab") as file:
                self._follow(file)
        finally:
            self._known.clear()
            self._order.clear()
            slots.release()

    def _remember(self):
        """Know the lines of an earlier time, so that following again adds to the same file; drop one that was cut."""
        if not os.path.lexists(self.path):
            return
        whole = read = 0
        with files.open_regular(self.path) as file:
            for line in iter(lambda: file.readline(_MAX_KEPT), b""):
                read += len(line)
                if line.endswith(b"\n"):
                    whole = read
                    self._most_known += 1  # all of them are read again
                    self._is_new(line[:-1])
                    self.tail.append(_text(line[:-1]))
        os.truncate(self.path, whole)
        self._last = None  # what came between is unknown: read all again

    def _follow(self, file):
        wait_s, tries = 0.2, 0
        while not self._stopped.is_set():
            over = self._ended()
            lines, clean = 0, False
            try:
                for line in self._cluster.log(self._pod, self._container, self._since_s(), not over, self._opened):
                    lines += self._keep(file, line)
                    if self._stopped.is_set():
                        return
                clean = True
            except Refused as refusal:
                if refusal.status == 404:
                    return  # the pod is gone, and its log with it
            except Unanswered:
                pass
            finally:
                self._stream = None
                file.flush()
            if over and clean and not lines and self.tail:  # twice the same: no rotation came between
                self.whole = True
                return
            tries = tries + 1 if over and not lines else 0
            if tries > TRIES_AFTER_THE_END:
                return
            wait_s = 0.2 if lines else min(wait_s * 2, 5.0)
            self._news.clear()
            self._news.wait(jittered(wait_s))

    def _opened(self, stream):
        self._stream = stream

    def _since_s(self):
        """Return from how long ago to read on, None from the start. The kubelet counts it by its own clock."""
        if self._last is None:
            return None
        ahead_s = max(self._cluster.ahead_s, self._lead_s)
        return max(0.0, time.time() + ahead_s - self._last) + OVERLAP_S

    def _keep(self, file, line):
        line = _masked(line)
        if not self._is_new(line):
            return False
        file.write(line + b"\n")
        if self._last is not None:
            self._lead_s = max(self._lead_s, self._last - time.time())
        text = _text(line)
        self.tail.append(text)
        if frame.MARK not in text:
            self._told(text)
        return True

    def _is_new(self, line):
        key = hash(line)
        if key in self._known:
            return False
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > self._most_known:
            self._known.discard(self._order.popleft())
        self._last = _time(line) or self._last
        return True


def _masked(line: bytes) -> bytes:
    """Return a line with the secrets in it masked, and a line of a frame as it is."""
    text = line.decode("utf-8", errors="surrogateescape")
    if _OF_A_FRAME.fullmatch(text):
        return line
    return secrets.mask(text).encode("utf-8", errors="surrogateescape")


def _text(line):
    """Return a line without the kubelet's time, and not all of a long one."""
    text = line.decode("utf-8", errors="replace").partition(" ")[2]
    if len(text) <= TOLD:
        return text
    return f"{text[: TOLD - len(CUT) - 1]}…{CUT if text.endswith(CUT) else ''}"


def _time(line):
    """Return the kubelet's time of a line in seconds since 1970, None where it has none."""
    text = line[:40].split(b" ")[0].decode("ascii", errors="replace")
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def _pieces(text: TextIO) -> Iterator[str]:
    """Yield the lines of a text, one that is longer than any that this module keeps in pieces."""
    while piece := text.readline(_MAX_KEPT):
        yield piece


def frames(paths):
    """Return the whole results in some logs, and what is wrong with those that are whole in none, both by attempt."""
    whole: dict[str, bytes] = {}
    problems: dict[str, DamagedResult] = {}
    for path in paths:
        with files.open_regular(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as text:
            found, broken = frame.read(_pieces(text), str(path))
        whole |= found
        problems |= broken
    return whole, {attempt: problem for attempt, problem in problems.items() if attempt not in whole}
