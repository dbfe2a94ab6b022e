from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from typing import get_args

import pytest

from runner.contract import file_kinds, files


def zip_archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        # a ZipInfo has a fixed time: the names of the tests hold these bytes, and must not differ from worker to worker
        archive.writestr(zipfile.ZipInfo("a.log"), "a line\n")
    return packed.getvalue()


@pytest.mark.parametrize(
    "content, kind",
    [
        # without the time, which would differ in the names of the tests from worker to worker
        (gzip.compress(b"a line\n", mtime=0), "gzip"),
        (bz2.compress(b"a line\n"), "bzip2"),
        (lzma.compress(b"a line\n"), "xz"),
        (zip_archive(), "zip"),
        (files.POINTER + b"v1\n", "git-lfs pointer"),
        (b"PAR1" + bytes(8), "parquet"),
        (b"a line\n", None),
        (b"\x1f", None),
        (b"", None),
    ],
)
def test_a_kind_is_known_by_the_first_bytes_that_its_program_writes(content: bytes, kind: str | None) -> None:
    assert file_kinds.kind_of(content[: file_kinds.HEAD_BYTES]) == kind


@pytest.mark.parametrize(
    "codec, encoding", [("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("utf-32", "UTF-32"), ("utf-8", None)]
)
def test_a_byte_order_mark_names_the_encoding_and_is_no_part_of_the_text(codec: str, encoding: str | None) -> None:
    content = "é 1\n".encode(codec)
    assert file_kinds.encoding_of(content) == encoding
    assert file_kinds.decoded(content) == "é 1\n"


def test_marks_of_both_byte_orders_are_known() -> None:
    for order in ("le", "be"):
        for encoding in ("utf-16", "utf-32"):
            content = f"\ufeff{encoding}".encode(f"{encoding}-{order}")
            assert file_kinds.encoding_of(content) == encoding.upper()
            assert file_kinds.decoded(content) == encoding


def test_a_text_that_is_not_utf_8_is_refused_or_replaced() -> None:
    with pytest.raises(UnicodeDecodeError):
        file_kinds.decoded(b"\xff")
    assert file_kinds.decoded(b"\xff", "replace") == "\ufffd"
    assert file_kinds.without_utf8_mark(b"\xef\xbb\xbf\xff") == b"\xff"
    assert file_kinds.without_utf8_mark(b"\xff") == b"\xff"


def test_every_kind_has_its_first_bytes() -> None:
    assert set(file_kinds._MAGICS.values()) == set(get_args(file_kinds.FileKind))
