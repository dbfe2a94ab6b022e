"""Carry a result through a log: lines that say what they belong to, and a checksum that a cut or altered log cannot have.

    @frame begin ATTEMPT bytes=N parts=K sha256=HEX
    @frame part ATTEMPT INDEX BASE64
    @frame end ATTEMPT

A reader takes the lines in any order. Before a mark and between lines any text may stand (mpirun's rank tags, a log's timestamps),
and lines may be repeated, as a log that is followed again repeats them. Lines in a JSON text, a table or a web page are read too: a
frame's line ends at the first character that no frame has.

The parts that were read lie in a temporary file and not in memory: a log may hold gigabytes, and one line of a log may too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import tempfile
from typing import IO, Dict, Iterable, Iterator, Mapping, NamedTuple, Tuple

from runner.contract import result, strictjson
from runner.contract.errors import DamagedResult, PublishFailed

MARK = "@frame "
# 8,000 characters of base64: container runtimes cut longer lines at 16 KiB.
PART_BYTES = 6000

# Bounds of one log, which bound the reader's memory: 1 kB a frame, and 200 bytes a part of an unfinished frame.
MAX_FRAMES = 200_000
MAX_PARTS = 500_000

_BEGIN = re.compile(
    rf"begin ({result.ATTEMPT.pattern}) bytes=([0-9]{{1,12}}) parts=([0-9]{{1,7}}) sha256=([0-9a-f]{{64}})"
)
_PART = re.compile(rf"part ({result.ATTEMPT.pattern}) ([0-9]{{1,7}}) ([A-Za-z0-9+/]{{2,8000}}={{0,2}})")

_MARK = MARK.encode()
# The mark and the text behind it. JSON may write / as \/ and any character as \u00XX; a frame has no other backslash.
_TEXT = re.compile(rb"@frame ((?:[A-Za-z0-9+/= -]+|\\/|\\u00[0-9A-Fa-f]{2})*)")
_ESCAPED = re.compile(rb"\\(?:(/)|u00([0-9A-Fa-f]{2}))")
# The end of a log's line in a file, a JSON text or a web page.
_LINE_ENDS = re.compile(rb'[\r\n"<]|\\[rn]')
# A frame's longest line with every character escaped.
_MAX_LINE_BYTES = 6 * 8200
# Bytes that the spool keeps in memory before the temporary file is made.
_IN_MEMORY_BYTES = 16 * 1024 * 1024

# The contents of the whole frames by attempt, and what is wrong with the others by attempt.
Contents = Tuple[Mapping[str, bytes], Dict[str, DamagedResult]]


class _Span(NamedTuple):
    """A place in the spool, in bytes."""

    offset: int
    length: int


class _Begin(NamedTuple):
    """The first line of a frame: the bytes and the number of the parts, and the sha256 of the content."""

    length: int
    parts: int
    sha256: str


def write(attempt: str, content: bytes) -> list[str]:
    """Return the lines that carry the ``content`` of the attempt with the id ``attempt``."""
    parts = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    begin = f"begin {attempt} bytes={len(content)} parts={len(parts)} sha256={hashlib.sha256(content).hexdigest()}"
    lines = [f"part {attempt} {index} {base64.b64encode(part).decode()}" for index, part in enumerate(parts)]
    return [MARK + line for line in (begin, *lines, f"end {attempt}")]


def read(lines: Iterable[str], where: str) -> Contents:
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
        # the end of the bytes that were fed, which may go on in the next piece
        self._rest = b""
        # the first mark of a line counts: the rest of the line is passed over
        self._behind_frame = False
        # the number of parts of unfinished frames
        self._parts = 0
        # the first attempt whose lines were left out, and how many lines were
        self._left_out: dict[str, int] = {}

    def feed(self, piece: bytes) -> None:
        """Read the next bytes of the log. Raises ``PublishFailed`` where the temporary file cannot take them."""
        text, position = self._rest + piece, 0
        while True:
            if self._behind_frame:
                line_end = _LINE_ENDS.search(text, position)
                if line_end is None:
                    self._rest = text[-1:] if text.endswith(b"\\") else b""
                    return
                position, self._behind_frame = line_end.end(), False
            start = text.find(_MARK, position)
            if start < 0:
                self._rest = text[max(position, len(text) - len(_MARK) + 1) :]
                return
            line = _TEXT.match(text, start)
            assert line is not None
            # the line, or an escape at its end, may go on in the next piece
            if len(text) - line.end() < len(b"\\u00XX") and len(text) - start < _MAX_LINE_BYTES:
                next_byte = text[line.end() : line.end() + 1]
                if next_byte in (b"", b"\\"):
                    self._rest = text[start:]
                    return
            self._line(line[1])
            position, self._behind_frame = line.end(), True

    def close(self) -> Contents:
        """Return the whole contents and what is wrong with the others, both by attempt, in the order of attempts.

        Raises ``PublishFailed`` where the temporary file cannot take the last bytes.
        """
        self.feed(b"\n")
        whole: dict[str, _Span] = {}
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

    def _line(self, text: bytes) -> None:
        """Take the text behind a mark into its frame; a text that has not the form of a frame's line is passed over."""
        if len(text) > _MAX_LINE_BYTES:
            return
        if b"\\" in text:
            text = _ESCAPED.sub(lambda escape: escape[1] or bytes([int(escape[2], 16)]), text)
        # behind the frame's text an escape of JSON may stand for the end of a colour
        line = text.decode("latin-1").partition("\x1b")[0].rstrip(" ")
        begin = _BEGIN.fullmatch(line)
        if begin:
            frame = self._frame(begin[1])
            if frame is not None:
                self._parts -= len(frame.parts)
                frame.begin(_Begin(int(begin[2]), int(begin[3]), begin[4]))
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
        """Return the frame of an attempt, None where the log has more frames than ``MAX_FRAMES``."""
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
    """The frame of one attempt, as far as the log was read.

    ``parts`` holds the parts by index until the content is whole, ``place`` the whole content, ``cut`` the indices of parts that
    were cut. ``twice`` says that a part came with two contents, ``wrong`` that the content has another sha256.
    """

    __slots__ = ("begins", "cut", "parts", "place", "twice", "wrong")

    def __init__(self) -> None:
        # the first lines that differ: two are enough to know that they do
        self.begins: list[_Begin] = []
        self.parts: dict[int, _Span] = {}
        self.place: _Span | None = None
        self.cut: set[int] = set()
        self.twice = self.wrong = False

    def begin(self, begin: _Begin) -> None:
        """Take a first line; parts that have not the size that it gives them are cut."""
        if begin not in self.begins and len(self.begins) < 2:
            self.begins.append(begin)
            for index in [index for index, span in self.parts.items() if span.length != self._size(index)]:
                del self.parts[index]
                self.cut.add(index)

    def part(self, index: int, text: str, spool: _Spool) -> None:
        """Take the part ``index``, whose base64 is ``text``."""
        try:
            # the padding, which holds no data, may be lost on the way
            content = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
        except binascii.Error:
            content = b""
        if not content or (self.begins and len(content) != self._size(index)):
            self.cut.add(index)
            return
        if self.place is not None:
            earlier: _Span | None = _Span(self.place.offset + index * PART_BYTES, len(content))
        else:
            earlier = self.parts.get(index)
        if earlier is None:
            self.parts[index] = spool.add(content)
        elif spool.read(earlier) != content:
            self.twice = True

    def finish(self, spool: _Spool) -> None:
        """Put the content together as soon as all parts are there."""
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
        first = places[0].offset if places else 0
        if any(place.offset != first + index * PART_BYTES for index, place in enumerate(places)):
            first = spool.join(places)
        self.place, self.parts, self.cut = _Span(first, length), {}, set()

    def _size(self, index: int) -> int:
        """Return how many bytes the part ``index`` has, by the first line."""
        return max(0, min(PART_BYTES, self.begins[0].length - index * PART_BYTES))

    def _impossible(self) -> str | None:
        length, count, _ = self.begins[0]
        if length > strictjson.MAX_BYTES:
            return f"says it has {length:,} bytes, more than a result can have"
        if count != -(-length // PART_BYTES):
            return f"says it has {length:,} bytes in {count:,} parts, and every part but the last has {PART_BYTES:,}"
        return None

    def problem(self) -> str | None:
        """Return in words what is wrong with the frame, None where it is whole."""
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
        count = self.begins[0].parts
        lost = [index for index in range(count) if index not in self.parts]
        if self.cut.issuperset(lost):
            return "has a part that is cut"
        return f"lost {len(lost)} of its {count} parts, number {lost[0]} first"


class _Spool:
    """A temporary file for the parts that were read of a log; ``where`` names the log in messages."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)
        self._end = 0

    def __del__(self) -> None:
        self._file.close()

    def add(self, content: bytes) -> _Span:
        """Write bytes behind the others. Raises ``PublishFailed`` where the temporary file cannot take them."""
        place = _Span(self._end, len(content))
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

    def read(self, place: _Span) -> bytes:
        """Return the bytes at a place."""
        self._file.seek(place.offset)
        return self._file.read(place.length)

    def join(self, places: list[_Span]) -> int:
        """Write parts once more, one after the other, and return the offset of the first. Raises as ``add`` does."""
        first = self._end
        for place in places:
            self.add(self.read(place))
        return first


class _Whole(Mapping[str, bytes]):
    """Contents by attempt, each read from the spool when it is asked for: one content at a time is in memory."""

    def __init__(self, spool: _Spool, places: dict[str, _Span]) -> None:
        self._spool, self._places = spool, places

    def __getitem__(self, attempt: str) -> bytes:
        return self._spool.read(self._places[attempt])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
