"""Read logs as people save them: packed, in UTF-16, as container runtimes and log stores write them.

Whatever the form, what comes out is bytes in which a frame's lines stand as they were printed; ``runner.contract.frame`` finds
them, in JSON texts and tables too. Nothing here grows with the log: a log may hold gigabytes in one line, and a packed one more.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.contract import files, frame
from runner.contract.errors import DamagedResult, InputError

STANDARD_INPUT = "-"

_PIECE_BYTES = 1 << 18
_HEAD_BYTES = 4096
MAX_UNPACKED_BYTES = 64 << 30  # of a packed log: 100,000 results have 7 GB
_MAX_PACKINGS = 3  # one inside the other

_PACKINGS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
}
# Forms whose content cannot be read here: what each is, and what makes a log of it.
_FOREIGN = {
    b"PK\x03\x04": "a zip archive; unpack it (unzip), and name the log",
    b"(\xb5/\xfd": "compressed by Zstandard; unpack it (zstd -d), and name the log",
    b"\x04\x22\x4d\x18": "compressed by LZ4; unpack it (lz4 -d), and name the log",
    b"\x1f\x9d": "compressed by compress; unpack it (gzip -d), and name the log",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it, and name the log",
    b"Rar!\x1a\x07": "a RAR archive; unpack it, and name the log",
    b"%PDF": "a PDF; save the log as text",
    b"LPKSHHRH": "a journal of systemd; print it with `journalctl --file`, and save that",
    b"\xd0\xcf\x11\xe0": "a document of an office program; save the log as text",
    b"SQLite format 3\x00": "an SQLite database, and no log",
    b"\x89PNG": "a picture, and no log",
}

# How containerd and CRI-O write a line, or a part (P) of one: time, stream, tag, text.
_CRI = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]{1,40} (stdout|stderr) ([PF])(?::[^ ]*)? ")
# How Docker writes a line, or a part of one (its text has no newline then), as one JSON text.
_DOCKER = re.compile(rb'\{ ?"log" ?:')
# Colours, as grep and stern put them around and into lines (ECMA-48, control sequences).
_STYLE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_MAX_WRAPPED_BYTES = 1 << 18  # both cut at 16 KiB, JSON's escapes make six of one
_KEPT_BYTES = 1 << 16  # of the parts of one line: a frame's line is shorter


class Unreadable(Exception):
    """A log, or the rest of one, whose bytes are none that can be read here; the text says what they are, or what broke."""


def read(name: str) -> tuple[Mapping[str, bytes], dict[str, DamagedResult], DamagedResult | None]:
    """Return the results in a log by attempt, those that are not whole there, and what kept the rest from being read.

    ``name`` is a file, or ``-`` for standard input. Raises ``InputError`` where nothing can be read.
    """
    reader = frame.Reader(shown(name))
    broken = None
    try:
        with _opened(name) as file:
            for piece in _lines_joined(_ascii(_unpacked(file))):
                reader.feed(piece)
    except Unreadable as problem:
        broken = DamagedResult(f"{shown(name)} {problem}.")
    except OSError as problem:
        raise InputError(f"{shown(name)} cannot be read: {files.reason(problem)}. Check the path.") from None
    whole, problems = reader.close()
    return whole, problems, broken


def shown(name: str) -> str:
    """Return a log's name as messages show it."""
    return "standard input" if name == STANDARD_INPUT else name


def _opened(name: str) -> contextlib.AbstractContextManager[Any]:
    if name != STANDARD_INPUT:
        return files.open_regular(name)
    if sys.stdin is None:
        raise InputError("Standard input is closed. Name the file of the log instead of -.")
    return contextlib.nullcontext(sys.stdin.buffer)  # it stays open


class _WithHead(io.RawIOBase):
    """A file whose first bytes were read already, from its beginning on."""

    def __init__(self, head: bytes, file: Any) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._head[: len(buffer)] or self._file.read(len(buffer)) or b""
        self._head = self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _head(file: Any) -> tuple[bytes, Any]:
    """Return the first bytes of a file, and the file as if none were read."""
    head = b""
    while len(head) < _HEAD_BYTES:
        piece = file.read(_HEAD_BYTES - len(head))
        if not piece:
            break
        head += piece
    return head, io.BufferedReader(_WithHead(head, file), _PIECE_BYTES)


def _unpacked(file: Any, packings: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a log, unpacked where the log is packed. Raises ``Unreadable`` for what cannot be."""
    head, file = _head(file)
    for magic, told in _FOREIGN.items():
        if head.startswith(magic):
            raise Unreadable(f"is {told}")
    for magic, (name, unpack) in _PACKINGS.items():
        if head.startswith(magic):
            if packings == _MAX_PACKINGS:
                raise Unreadable(f"is packed more than {_MAX_PACKINGS} times, one packing inside the other; unpack it")
            yield from _unpacked_as(name, unpack(file), packings)
            return
    while piece := file.read1(_PIECE_BYTES):
        yield piece


def _unpacked_as(name: str, unpacked: Any, packings: int) -> Iterator[bytes]:
    total = 0
    try:
        for piece in _unpacked(unpacked, packings + 1):
            yield piece
            total += len(piece)
            if total > MAX_UNPACKED_BYTES:
                raise Unreadable(f"unpacks to more than {MAX_UNPACKED_BYTES:,} bytes, and is read no further")
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as problem:
        raise Unreadable(
            f"is a {name} file that is cut or damaged ({problem}); what stands before is taken. Fetch it again"
        ) from None


def _ascii(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces without zeros: what is ASCII in UTF-16 or UTF-32 is ASCII then, whole or in a part of the log.

    Windows' shells append text of one coding to a file of another. A frame is ASCII alone, and no other character becomes its mark.
    """
    for piece in pieces:
        yield piece.replace(b"\0", b"")


def _lines_joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces in which the lines that Docker, containerd or CRI-O cut in two are one again."""
    joiner = _Joiner()
    rest = b""
    for piece in pieces:
        if len(rest) > _MAX_WRAPPED_BYTES:  # no runtime's line: it goes on as it is
            yield rest
            rest = b""
        *lines, rest = (rest + piece).split(b"\n")
        yield b"".join(joiner.line(line) for line in lines)
    yield joiner.line(rest)


class _Joiner:
    """Join the parts of lines, each stream's own."""

    def __init__(self) -> None:
        self._begun: dict[str, bytes] = {}

    def line(self, line: bytes) -> bytes:
        """Return what to read of a line of the log: nothing yet where it is a part, all of it with its last part."""
        if b"\x1b" in line:
            line = _STYLE.sub(b"", line)
        wrapped = self._docker(line) if _DOCKER.match(line) else self._cri(line)
        if wrapped is None:
            return line + b"\n"
        stream, text, ends = wrapped
        text = self._begun.pop(stream, b"") + text
        if ends:
            return text + b"\n"
        self._begun[stream] = text[-_KEPT_BYTES:]
        return b""

    @staticmethod
    def _docker(line: bytes) -> tuple[str, bytes, bool] | None:
        """Return stream, text and whether the line ends with it; None of what Docker does not write."""
        try:
            told = json.loads(line[:_MAX_WRAPPED_BYTES])
            text, stream = told["log"], "stderr" if told.get("stream") == "stderr" else "stdout"
        except (ValueError, KeyError, RecursionError):
            return None
        if not isinstance(text, str):
            return None
        return stream, text.rstrip("\r\n").encode("utf-8", "replace"), text.endswith("\n")

    @staticmethod
    def _cri(line: bytes) -> tuple[str, bytes, bool] | None:
        found = _CRI.match(line)
        return (found[1].decode(), line[found.end() :].rstrip(b"\r"), found[2] == b"F") if found else None
