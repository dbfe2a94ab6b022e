"""Read logs as people save them: packed, in UTF-16, as container runtimes and log stores write them.

Whatever the form, ``runner.contract.frame`` gets bytes in which a frame's lines stand as they were printed, and finds the lines, in
JSON texts and tables too. No buffer grows with the log: a log may hold gigabytes in one line, and a packed log even more.
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
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from runner.contract import file_kinds, files, frame
from runner.contract.errors import DamagedResult, InputError
from runner.contract.file_kinds import FileKind

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD_INPUT = "-"

_PIECE_BYTES = 1 << 18
_HEAD_BYTES = 4096
# Of a packed log: 100,000 results have 7 GB.
MAX_UNPACKED_BYTES = 64 << 30
# Packings inside each other.
_MAX_PACKINGS = 3


class _Readable(Protocol):
    """A file of bytes, packed or not."""

    def read(self, size: int, /) -> bytes: ...


_UNPACKERS: dict[FileKind, Callable[[BinaryIO], _Readable]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
# Kinds of file that are not read here: what each is, and how to make a log of it.
_FOREIGN: dict[FileKind, str] = {
    "zip": "a zip archive; unpack it (unzip), and name the log",
    "zstd": "compressed by Zstandard; unpack it (zstd -d), and name the log",
    "lz4": "compressed by LZ4; unpack it (lz4 -d), and name the log",
    "compress": "compressed by compress; unpack it (gzip -d), and name the log",
    "7z": "a 7z archive; unpack it, and name the log",
    "rar": "a RAR archive; unpack it, and name the log",
    "pdf": "a PDF; save the log as text",
    "journal": "a journal of systemd; print it with `journalctl --file`, and save that",
    "office document": "a document of an office program; save the log as text",
    "sqlite": "an SQLite database, and no log",
    "png": "a picture, and no log",
}

# How containerd and CRI-O write a line (F) or a part (P) of a line: time, stream, tag, text.
_CRI = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]{1,40} (stdout|stderr) ([PF])(?::[^ ]*)? ")
# How Docker writes a line or a part of a line, as one JSON text; the text of a part has no newline at its end.
_DOCKER = re.compile(rb'\{ ?"log" ?:')
# Colours, as grep and stern put them around and into lines (ECMA-48, control sequences).
_STYLE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
# Docker and containerd cut lines at 16 KiB; JSON's escapes write six bytes for one.
_MAX_WRAPPED_BYTES = 1 << 18
# Bytes that are kept of the parts of one line: a frame's line is shorter.
_KEPT_BYTES = 1 << 16


class Unreadable(Exception):
    """A log, or the rest of a log, that cannot be read; the text says what the bytes are, or what is damaged."""


@dataclass(frozen=True)
class SavedLog:
    """The results in one log.

    ``whole`` holds the bytes of the whole results by attempt, ``damaged`` an error for each attempt whose frame is not whole, and
    ``unread`` the error that kept the rest of the log from being read, None where all of the log was read.
    """

    whole: Mapping[str, bytes]
    damaged: Mapping[str, DamagedResult]
    unread: DamagedResult | None


def read(name: str) -> SavedLog:
    """Return the results in the log ``name``: a path, or ``-`` for standard input.

    Raises ``InputError`` where the log cannot be opened or read, ``PublishFailed`` where the folder for temporary files is full.
    """
    reader = frame.Reader(shown(name))
    unread = None
    try:
        with _opened(name) as file:
            for piece in _lines_joined(_ascii(_unpacked(file))):
                reader.feed(piece)
    except Unreadable as problem:
        unread = DamagedResult(f"{shown(name)} {problem}.")
    except OSError as problem:
        raise InputError(f"{shown(name)} cannot be read: {files.reason(problem)}. Check the path.") from None
    whole, damaged = reader.close()
    return SavedLog(whole, damaged, unread)


def shown(name: str) -> str:
    """Return a log's name as messages show it."""
    return "standard input" if name == STANDARD_INPUT else name


def _opened(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name != STANDARD_INPUT:
        return files.open_regular(name)
    if sys.stdin is None:
        raise InputError("Standard input is closed. Name the file of the log instead of -.")
    # standard input stays open
    return contextlib.nullcontext(sys.stdin.buffer)


class _WithHead(io.RawIOBase):
    """A file from its beginning on, although its first bytes, ``head``, were read already."""

    def __init__(self, head: bytes, file: _Readable) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` from the head, then from the file; return the number of bytes, 0 at the end."""
        view = memoryview(buffer)
        piece = self._head[: len(view)] or self._file.read(len(view)) or b""
        self._head = self._head[len(view) :]
        view[: len(piece)] = piece
        return len(piece)


def _head(file: _Readable) -> tuple[bytes, io.BufferedReader]:
    """Return the first bytes of a file, and the whole file as a reader."""
    head = b""
    while len(head) < _HEAD_BYTES:
        piece = file.read(_HEAD_BYTES - len(head))
        if not piece:
            break
        head += piece
    return head, io.BufferedReader(_WithHead(head, file), _PIECE_BYTES)


def _unpacked(file: _Readable, packings: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a log, unpacked where the log is packed. Raises ``Unreadable`` for a log of a foreign kind."""
    head, whole = _head(file)
    kind = file_kinds.kind_of(head)
    if kind in _FOREIGN:
        raise Unreadable(f"is {_FOREIGN[kind]}")
    if kind in _UNPACKERS:
        if packings == _MAX_PACKINGS:
            raise Unreadable(f"is packed more than {_MAX_PACKINGS} times, one packing inside the other; unpack it")
        yield from _unpacked_as(kind, _UNPACKERS[kind](whole), packings)
        return
    while piece := whole.read1(_PIECE_BYTES):
        yield piece


def _unpacked_as(kind: FileKind, unpacked: _Readable, packings: int) -> Iterator[bytes]:
    total_bytes = 0
    try:
        for piece in _unpacked(unpacked, packings + 1):
            yield piece
            total_bytes += len(piece)
            if total_bytes > MAX_UNPACKED_BYTES:
                raise Unreadable(f"unpacks to more than {MAX_UNPACKED_BYTES:,} bytes, and is read no further")
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as problem:
        raise Unreadable(
            f"is a {kind} file that is cut or damaged ({problem}); what stands before is taken. Fetch it again"
        ) from None


def _ascii(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces without zero bytes, which turns ASCII in UTF-16 or UTF-32 into ASCII, in all of the log or in a part of it.

    Windows' shells append text of one encoding to a file of another. A frame is ASCII alone, and no other character becomes its mark.
    """
    for piece in pieces:
        yield piece.replace(b"\0", b"")


def _lines_joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces in which lines that Docker, containerd or CRI-O cut in parts are whole again."""
    joiner = _Joiner()
    rest = b""
    for piece in pieces:
        # no runtime writes so long a line: it is passed on as it is
        if len(rest) > _MAX_WRAPPED_BYTES:
            yield rest
            rest = b""
        *lines, rest = (rest + piece).split(b"\n")
        yield b"".join(joiner.line(line) for line in lines)
    yield joiner.line(rest)


class _Part(NamedTuple):
    """A line that a program printed, or a part of it, without the wrapping of a container runtime."""

    stream: str
    text: bytes
    is_last: bool


class _Joiner:
    """Join the parts of lines, separately for each stream."""

    def __init__(self) -> None:
        self._begun: dict[str, bytes] = {}

    def line(self, line: bytes) -> bytes:
        """Return the text that a line of the log completes: nothing for a part that is not the last, else the whole line."""
        if b"\x1b" in line:
            line = _STYLE.sub(b"", line)
        part = _docker_part(line) if _DOCKER.match(line) else _cri_part(line)
        if part is None:
            return line + b"\n"
        text = self._begun.pop(part.stream, b"") + part.text
        if part.is_last:
            return text + b"\n"
        self._begun[part.stream] = text[-_KEPT_BYTES:]
        return b""


def _docker_part(line: bytes) -> _Part | None:
    """Return the part in a line as Docker writes it; None for another line."""
    try:
        record = json.loads(line[:_MAX_WRAPPED_BYTES])
        text, stream = record["log"], "stderr" if record.get("stream") == "stderr" else "stdout"
    except (ValueError, KeyError, RecursionError):
        return None
    if not isinstance(text, str):
        return None
    return _Part(stream, text.rstrip("\r\n").encode("utf-8", "replace"), text.endswith("\n"))


def _cri_part(line: bytes) -> _Part | None:
    """Return the part in a line as containerd or CRI-O writes it; None for another line."""
    match = _CRI.match(line)
    return None if match is None else _Part(match[1].decode(), line[match.end() :].rstrip(b"\r"), match[2] == b"F")
