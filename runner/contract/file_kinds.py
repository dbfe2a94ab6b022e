"""Tell from the first bytes of a file which kind it is, and in which encoding its text is.

Sources: RFC 1952 (gzip), RFC 8878 (Zstandard), RFC 8118 (PDF), the format descriptions of bzip2, xz, LZ4, zip (APPNOTE.TXT), 7z, RAR,
PNG, SQLite, Parquet and systemd's journal; The Unicode Standard, section 23.8, for byte order marks.
"""

from __future__ import annotations

import codecs
from typing import Literal

from runner.contract import files

FileKind = Literal[
    "gzip",
    "bzip2",
    "xz",
    "zstd",
    "lz4",
    "compress",
    "zip",
    "7z",
    "rar",
    "pdf",
    "journal",
    "office document",
    "sqlite",
    "png",
    "parquet",
    "git-lfs pointer",
]
Encoding = Literal["UTF-8", "UTF-16", "UTF-32"]

_MAGICS: dict[bytes, FileKind] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"%PDF": "pdf",
    b"LPKSHHRH": "journal",
    b"\xd0\xcf\x11\xe0": "office document",
    b"SQLite format 3\x00": "sqlite",
    b"\x89PNG": "png",
    b"PAR1": "parquet",
    files.POINTER: "git-lfs pointer",
}
# The marks of UTF-32 come first: that of little-endian UTF-32 begins with that of little-endian UTF-16.
_BYTE_ORDER_MARKS: dict[bytes, Encoding] = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    codecs.BOM_UTF8: "UTF-8",
}
# Python's names of the encodings with a byte order mark, which is no part of the decoded text.
_CODECS: dict[Encoding, str] = {"UTF-8": "utf-8-sig", "UTF-16": "utf-16", "UTF-32": "utf-32"}

# As many bytes tell every kind and every encoding.
HEAD_BYTES = max(map(len, [*_MAGICS, *_BYTE_ORDER_MARKS]))


def kind_of(head: bytes) -> FileKind | None:
    """Return the kind of a file by its first ``HEAD_BYTES`` bytes; None for text, and for a kind that no reader here knows."""
    return next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), None)


def encoding_of(head: bytes) -> Encoding | None:
    """Return the encoding that a byte order mark at the beginning of a text names; None where there is no mark."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def decoded(content: bytes, errors: str = "strict") -> str:
    """Return a text without its byte order mark, in the encoding that the mark names, or in UTF-8 where there is no mark.

    ``errors`` is that of ``bytes.decode``. Raises ``UnicodeDecodeError`` where it is ``strict``.
    """
    encoding = encoding_of(content)
    return content.decode("utf-8" if encoding is None else _CODECS[encoding], errors)


def without_utf8_mark(content: bytes) -> bytes:
    """Return bytes without the byte order mark of UTF-8, which editors of Windows write."""
    return content[len(codecs.BOM_UTF8) :] if content.startswith(codecs.BOM_UTF8) else content
