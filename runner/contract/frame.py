"""Carry a result through a log: lines that say what they belong to, and a checksum that a cut or altered log cannot have.

    @frame begin ATTEMPT bytes=N parts=K sha256=HEX
    @frame part ATTEMPT INDEX BASE64
    @frame end ATTEMPT

A reader takes lines in any order, with anything before the mark (mpirun's rank tags, a log's timestamps) and anything
between them, and repeated lines, as a log that is followed again gives them. What stands in a JSON text, a table or a web page
is taken too: a frame's line ends where a character stands that no frame has.

What was read lies in a temporary file and not in memory: a log may hold gigabytes, and a line of a log too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.contract import result, strictjson
from runner.contract.errors import DamagedResult, PublishFailed

MARK = "@frame "
PART_BYTES = 6000  # 8,000 characters of base64: container runtimes cut longer lines at 16 KiB

# What one log may hold: the reader's memory, 1 kB a frame and 200 bytes a part of an unfinished one, ends there.
MAX_FRAMES = 200_000
MAX_PARTS = 500_000

_BEGIN = re.compile(
    rf"begin ({result.ATTEMPT.pattern}) bytes=([0-9]{{1,12}}) parts=([0-9]{{1,7}}) sha256=([0-9a-f]{{64}})"
)
_PART = re.compile(rf"part ({result.ATTEMPT.pattern}) ([0-9]{{1,7}}) ([A-Za-z0-9+/]{{2,8000}}={{0,2}})")

_MARK = MARK.encode()
# What follows the mark. JSON may write / as \/ and any character as \u00XX; no other backslash is a frame's.
_TOLD = re.compile(rb"@frame ((?:[A-Za-z0-9+/= -]+|\\/|\\u00[0-9A-Fa-f]{2})*)")
_ESCAPED = re.compile(rb"\\(?:(/)|u00([0-9A-Fa-f]{2}))")
# Where the line of a log ends, as a file, a JSON text or a web page has it.
_LINE_ENDS = re.compile(rb'[\r\n"<]|\\[rn]')
_MAX_LINE_BYTES = 6 * 8200  # a frame's longest line with every character escaped
_IN_MEMORY_BYTES = 16 * 1024 * 1024  # what is kept in memory before the temporary file is made


def write(attempt, content):
    """Return the lines that carry ``content`` (bytes) of the attempt ``attempt``."""
    parts = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    begin = f"begin {attempt} bytes={len(content)} parts={len(parts)} sha256={hashlib.sha256(content).hexdigest()}"
    told = [f"part {attempt} {index} {base64.b64encode(part).decode()}" for index, part in enumerate(parts)]
    return [MARK + line for line in (begin, *told, f"end {attempt}")]


def read(lines: Iterable[str], where: str) -> tuple[Mapping[str, bytes], dict[str, DamagedResult]]:
    """Return the contents in a log's lines, and a ``DamagedResult`` of each that is not whole there, both by attempt."""
    reader = Reader(where)
    for line in lines:
        reader.feed(line.encode("utf-8", "replace") + b"\n")
    return reader.close()


class Reader:
    """Take frames out of a log whose bytes are fed in pieces of any size; ``where`` names the log in messages.

    Raises ``PublishFailed`` where the temporary file cannot take what was read.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._spool = _Spool(where)
        self._frames: dict[str, _Frame] = {}
        self._rest = b""  # of the bytes that were fed: they may go on in the next piece
        self._behind_frame = False  # the first mark of a line counts: the line's rest is passed over
        self._parts = 0  # of unfinished frames
        self._left_out: dict[str, int] = {}  # the first attempt whose lines were left out, and how many lines

    def feed(self, piece: bytes) -> None:
        """Read the next bytes of the log."""
        text, place = self._rest + piece, 0
        while True:
            if self._behind_frame:
                line_end = _LINE_ENDS.search(text, place)
                if line_end is None:
                    self._rest = text[-1:] if text.endswith(b"\\") else b""
                    return
                place, self._behind_frame = line_end.end(), False
            start = text.find(_MARK, place)
            if start < 0:
                self._rest = text[max(place, len(text) - len(_MARK) + 1) :]
                return
            found = _TOLD.match(text, start)
            assert found is not None
            # the line, or an escape at its end, may go on in the next piece
            if len(text) - found.end() < len(b"\\u00XX") and len(text) - start < _MAX_LINE_BYTES:
                ended = text[found.end() : found.end() + 1]
                if ended in (b"", b"\\"):
                    self._rest = text[start:]
                    return
            self._line(found[1])
            place, self._behind_frame = found.end(), True

    def close(self) -> tuple[Mapping[str, bytes], dict[str, DamagedResult]]:
        """Return the whole contents and what is wrong with the others, both by attempt, in the order of attempts."""
        self.feed(b"\n")
        whole: dict[str, tuple[int, int]] = {}
        problems: dict[str, DamagedResult] = {}
        for attempt in sorted(self._frames):
            frame = self._frames[attempt]
            problem = frame.problem()
            if problem is None and frame.place is not None:
                whole[attempt] = frame.place
            else:
                problems[attempt] = DamagedResult(
                    f"{self._where}: the frame of attempt {attempt} {problem}. Fetch the log again, or the file itself."
                )
        for attempt, lines in self._left_out.items():
            problems[attempt] = DamagedResult(
                f"{self._where}: {lines:,} line(s) of frames are left out, of attempt {attempt} first: one log may hold"
                f" {MAX_FRAMES:,} results and {MAX_PARTS:,} parts of unfinished ones. Split the log, and collect its pieces."
            )
        return _Whole(self._spool, whole), problems

    def _line(self, told: bytes) -> None:
        """Note what one line of a frame says; another line that begins as a frame's is none."""
        if len(told) > _MAX_LINE_BYTES:
            return
        if b"\\" in told:
            told = _ESCAPED.sub(lambda found: found[1] or bytes([int(found[2], 16)]), told)
        # an escape of JSON may be of a colour's end, behind the frame's text
        line = told.decode("latin-1").partition("\x1b")[0].rstrip(" ")
        begin = _BEGIN.fullmatch(line)
        if begin:
            frame = self._frame(begin[1])
            if frame is not None:
                self._parts -= len(frame.parts)
                frame.begin(int(begin[2]), int(begin[3]), begin[4])
                self._finish(frame)
            return
        part = _PART.fullmatch(line)
        if part and int(part[2]) <= strictjson.MAX_BYTES // PART_BYTES:
            frame = self._frame(part[1])
            if frame is None:
                return
            if self._parts >= MAX_PARTS:
                self._leave_out(part[1])
                return
            self._parts -= len(frame.parts)
            frame.part(int(part[2]), part[3], self._spool)
            self._finish(frame)

    def _finish(self, frame: _Frame) -> None:
        frame.finish(self._spool)
        self._parts += len(frame.parts)

    def _frame(self, attempt: str) -> _Frame | None:
        """Return the frame of an attempt, None where the log has more of them than are kept."""
        frame = self._frames.get(attempt)
        if frame is None:
            if len(self._frames) >= MAX_FRAMES:
                self._leave_out(attempt)
                return None
            frame = self._frames[attempt] = _Frame()
        return frame

    def _leave_out(self, attempt: str) -> None:
        first = next(iter(self._left_out), attempt)
        self._left_out[first] = self._left_out.get(first, 0) + 1


class _Frame:
    """What a log told of one attempt so far. ``parts`` are places in the spool by index, until the content is whole."""

    __slots__ = ("begins", "cut", "parts", "place", "twice", "wrong")

    def __init__(self) -> None:
        # bytes, parts, sha256 of each first line; two that differ are enough to know that they do
        self.begins: list[tuple[int, int, str]] = []
        self.parts: dict[int, tuple[int, int]] = {}
        self.place: tuple[int, int] | None = None
        self.cut: set[int] = set()
        self.twice = self.wrong = False

    def begin(self, length: int, count: int, sha256: str) -> None:
        if (length, count, sha256) not in self.begins and len(self.begins) < 2:
            self.begins.append((length, count, sha256))
            for index in [index for index, (_, size) in self.parts.items() if size != self._size(index)]:
                del self.parts[index]
                self.cut.add(index)

    def part(self, index: int, text: str, spool: _Spool) -> None:
        try:
            # the padding, which tells nothing, may be lost on the way
            content = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
        except binascii.Error:
            content = b""
        if not content or (self.begins and len(content) != self._size(index)):
            self.cut.add(index)
            return
        if self.place is not None:
            known: tuple[int, int] | None = (self.place[0] + index * PART_BYTES, len(content))
        else:
            known = self.parts.get(index)
        if known is None:
            self.parts[index] = spool.add(content)
        elif spool.read(known) != content:
            self.twice = True

    def finish(self, spool: _Spool) -> None:
        """Put the content together as soon as all of it is there."""
        if self.place is not None or self.twice or self.wrong or len(self.begins) != 1 or self._impossible():
            return
        length, count, sha256 = self.begins[0]
        if len(self.parts) < count:
            return
        places = [self.parts[index] for index in range(count)]
        digest = hashlib.sha256()
        for place in places:
            digest.update(spool.read(place))
        if digest.hexdigest() != sha256:
            self.wrong = True
            return
        first = places[0][0] if places else 0
        if any(place[0] != first + index * PART_BYTES for index, place in enumerate(places)):
            first = spool.join(places)
        self.place, self.parts, self.cut = (first, length), {}, set()

    def _size(self, index: int) -> int:
        """Return how many bytes the part ``index`` has, by the first line."""
        return max(0, min(PART_BYTES, self.begins[0][0] - index * PART_BYTES))

    def _impossible(self) -> str | None:
        length, count, _ = self.begins[0]
        if length > strictjson.MAX_BYTES:
            return f"says it has {length:,} bytes, more than a result can have"
        if count != -(-length // PART_BYTES):
            return f"says it has {length:,} bytes in {count:,} parts, and every part but the last has {PART_BYTES:,}"
        return None

    def problem(self) -> str | None:
        """Return in words what is wrong with the frame, None of a whole one."""
        if len(self.begins) != 1:
            return "lost its first line" if not self.begins else "begins twice with different content"
        impossible = self._impossible()
        if impossible is not None:
            return impossible
        if self.twice:
            return "has a part twice with different content"
        if self.wrong:
            return "does not match its own sha256"
        if self.place is not None:
            return None
        count = self.begins[0][1]
        lost = [index for index in range(count) if index not in self.parts]
        if self.cut.issuperset(lost):
            return "has a part that is cut"
        return f"lost {len(lost)} of its {count} parts, number {lost[0]} first"


class _Spool:
    """A temporary file that takes what was read of a log; a place in it is an offset and a length in bytes."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)
        self._end = 0

    def __del__(self) -> None:
        self._file.close()

    def add(self, content: bytes) -> tuple[int, int]:
        place = (self._end, len(content))
        try:
            self._file.seek(self._end)
            self._file.write(content)
        except OSError as problem:
            raise PublishFailed(
                f"{tempfile.gettempdir()} cannot take what was read of {self._where}: {problem.strerror}. Free space there, or"
                " name another folder with TMPDIR."
            ) from None
        self._end += len(content)
        return place

    def read(self, place: tuple[int, int]) -> bytes:
        self._file.seek(place[0])
        return self._file.read(place[1])

    def join(self, places: list[tuple[int, int]]) -> int:
        """Write parts once more, one after the other, and return where they begin."""
        first = self._end
        for place in places:
            self.add(self.read(place))
        return first


class _Whole(Mapping):
    """Contents by attempt, read from the spool when they are asked for: one at a time is in memory."""

    def __init__(self, spool: _Spool, places: dict[str, tuple[int, int]]) -> None:
        self._spool, self._places = spool, places

    def __getitem__(self, attempt: str) -> bytes:
        return self._spool.read(self._places[attempt])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
