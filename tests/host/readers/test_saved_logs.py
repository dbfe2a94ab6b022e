from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.contract import frame
from runner.contract.errors import InputError
from runner.host.readers import saved_logs

ATTEMPT = "20261122T100000Z-0123abcd"
CONTENT = random.Random(1).randbytes(20_000)
LINES = ["loading", *frame.write(ATTEMPT, CONTENT), "done"]
TEXT = "\n".join(LINES) + "\n"
TIME = "2026-11-22T10:00:00.123456789Z"


def docker(line: str, ends: bool = True, stream: str = "stdout") -> str:
    return json.dumps({"log": line + "\n" * ends, "stream": stream, "time": TIME}) + "\n"


def cut_lines(write: Callable[..., str]) -> Iterator[str]:
    """Yield a log in which every line is cut in three, with lines of another stream between the parts."""
    for line in LINES:
        yield write("x" * 9000 + line[:3000], False)
        yield write("a warning", True, stream="stderr")
        yield write(line[3000:6000], False)
        yield write(line[6000:], True)


def cri(line: str, ends: bool = True, stream: str = "stdout") -> str:
    return f"{TIME} {stream} {'F' if ends else 'P'} {line}\n"


FORMS = {
    "plain": TEXT.encode(),
    "CRLF": TEXT.replace("\n", "\r\n").encode(),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "UTF-32": TEXT.encode("utf-32"),
    "UTF-16 behind UTF-8": "\n".join([*LINES[:2], ""]).encode() + "\n".join(LINES[2:]).encode("utf-16"),
    "UTF-8 behind UTF-16": "\n".join([*LINES[:2], ""]).encode("utf-16-le") + "\n".join(LINES[2:]).encode(),
    "zeros of a file that was emptied as it was written": bytes(300_000) + TEXT.encode(),
    "bytes that look like a mark": b"\xff\xfe noise\n" + TEXT.encode(),
    "timestamps": "".join(f"{TIME} {line}\n" for line in LINES).encode(),
    "a pod's prefix": "".join(f"[pod/bench-0/bench] {line}\n" for line in LINES).encode(),
    "colours": "".join(f"\x1b[36mbench-0\x1b[0m {line}\x1b[0m\n" for line in LINES).encode(),
    "colours of grep": TEXT.replace("@frame", "\x1b[01;31m\x1b[K@frame\x1b[m\x1b[K").encode(),
    "colours in JSON": "".join(json.dumps({"line": f"\x1b[1m{line}\x1b[0m"}) + "\n" for line in LINES).encode(),
    "Docker": "".join(map(docker, LINES)).encode(),
    "Docker, cut": "".join(cut_lines(docker)).encode(),
    "CRI": "".join(map(cri, LINES)).encode(),
    "CRI, cut": "".join(cut_lines(cri)).encode(),
    "CRI, cut, with Windows' ends of lines": "".join(cut_lines(cri)).replace("\n", "\r\n").encode(),
    "Loki": json.dumps({"data": {"result": [{"stream": {}, "values": [["1", line] for line in LINES]}]}}).encode(),
    "Loki, newest first": json.dumps([{"line": line} for line in reversed(LINES)], indent=2).encode(),
    "lines of JSON": "".join(json.dumps({"labels": {}, "line": line}) + "\n" for line in LINES).encode(),
    "a table": "".join(f'"{TIME}","{line}"\n' for line in LINES).encode(),
    "gzip": gzip.compress(TEXT.encode()),
    "gzip, two in one": gzip.compress(TEXT[:9000].encode()) + gzip.compress(TEXT[9000:].encode()),
    "gzip of bzip2 of UTF-16": gzip.compress(bz2.compress(TEXT.encode("utf-16"))),
    "xz": lzma.compress(TEXT.encode()),
}


def gzipped(content: bytes) -> bytes:
    """Return packed bytes without the time, which would stand in the name of a test and differ from worker to worker."""
    return gzip.compress(content, mtime=0)


def read(tmp_path: Path, content: bytes) -> saved_logs.SavedLog:
    path = tmp_path / "pod.log"
    path.write_bytes(content)
    return saved_logs.read(str(path))


@pytest.mark.parametrize("form", FORMS)
def test_a_log_is_taken_in_every_form_that_people_save_it_in(tmp_path: Path, form: str) -> None:
    log = read(tmp_path, FORMS[form])
    assert (dict(log.whole), log.damaged, log.unread) == ({ATTEMPT: CONTENT}, {}, None)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"PK\x03\x04" + bytes(100), "is a zip archive; unpack it (unzip)"),
        (b"(\xb5/\xfd" + bytes(100), "is compressed by Zstandard; unpack it (zstd -d)"),
        (gzipped(b"%PDF-1.7"), "is a PDF; save the log as text"),
        (gzipped(gzipped(gzipped(gzipped(b"x")))), "is packed more than 3 times"),
    ],
)
def test_a_form_that_cannot_be_taken_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    log = read(tmp_path, content)
    assert (dict(log.whole), log.damaged) == ({}, {})
    assert str(log.unread).startswith(f"{tmp_path}/pod.log {words}")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_stands_before_the_damage_of_a_packed_log_is_taken(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = pack((TEXT + random.Random(3).randbytes(400_000).hex()).encode())
    for damaged in (packed[:-2000], packed[:-2000] + bytes(2000)):
        log = read(tmp_path, damaged)
        assert "file that is cut or damaged" in str(log.unread) and "what stands before is taken" in str(log.unread)
        assert log.damaged == {}
        assert dict(log.whole) in ({ATTEMPT: CONTENT}, {})
        # bzip2 gives its blocks of 900 kB whole or not at all
        assert pack is bz2.compress or dict(log.whole)


def test_a_bomb_is_read_to_its_bound_and_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_logs, "MAX_UNPACKED_BYTES", 1 << 20)
    log = read(tmp_path, gzip.compress(TEXT.encode() + bytes(4 << 20)))
    assert dict(log.whole) == {ATTEMPT: CONTENT}
    assert "unpacks to more than 1,048,576 bytes" in str(log.unread)


def test_no_piece_of_a_log_grows_with_its_lines() -> None:
    pieces = iter([b'{"log":"' + b"x" * 200_000] + [b"x" * 200_000] * 20 + [b"\n" + TEXT.encode()])
    reader = frame.Reader("a log")
    for piece in saved_logs._lines_joined(pieces):
        assert len(piece) < 1_000_000
        reader.feed(piece)
    assert reader.close() == ({ATTEMPT: CONTENT}, {})
    joiner = saved_logs._Joiner()
    for _ in range(100):
        joiner.line(cri("x" * 10_000, ends=False).rstrip("\n").encode())
    assert max(map(len, joiner._begun.values())) <= 1 << 16


def test_what_is_no_file_is_refused_with_its_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        saved_logs.read(str(tmp_path))
