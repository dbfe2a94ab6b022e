from __future__ import annotations

import base64
import json
import random
from typing import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import frame, strictjson
from runner.contract.errors import PublishFailed

ONE, TWO = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"
CONTENT = bytes(range(256)) * 100  # five parts


def only(lines: Iterable[str], attempt: str = ONE) -> bytes:
    whole, problems = frame.read(lines, "a log")
    assert problems == {}
    assert list(whole) == [attempt]
    return whole[attempt]


def refusal(lines: Iterable[str]) -> str:
    whole, problems = frame.read(lines, "a log")
    assert whole == {}
    (problem,) = problems.values()
    begin, end = f"a log: the frame of attempt {ONE} ", ". Fetch the log again, or the file itself."
    message = str(problem)
    assert message.startswith(begin) and message.endswith(end)
    return message[len(begin) : -len(end)]


@settings(max_examples=100)
@given(st.binary(max_size=20_000))
def test_what_is_written_is_read_back(content: bytes) -> None:
    assert only(frame.write(ONE, content)) == content


def test_lines_are_short_enough_for_every_container_runtime() -> None:
    assert max(map(len, frame.write(ONE, CONTENT))) < 8192


@pytest.mark.parametrize("prefix", ["[1,0]<stdout>:", "2026-11-22T10:00:00.123Z ", "  "])
def test_what_stands_before_the_mark_does_not_matter(prefix: str) -> None:
    assert only(prefix + line + "\r\n" for line in frame.write(ONE, CONTENT)) == CONTENT


def test_frames_may_be_mixed_with_each_other_and_with_other_lines_repeated_and_in_any_order() -> None:
    lines = [*frame.write(ONE, CONTENT), *frame.write(TWO, b"x"), "noise", "@frame", "@frame part nobody 0 AAAA"] * 2
    random.Random(1).shuffle(lines)
    whole, problems = frame.read(lines, "a log")
    assert (whole, problems) == ({ONE: CONTENT, TWO: b"x"}, {})


def test_a_log_without_a_frame_has_nothing_to_tell() -> None:
    assert frame.read(["loading", "", "@frame end " + ONE], "a log") == ({}, {})


@pytest.mark.parametrize(
    "lost, problem",
    [
        (0, "lost its first line"),
        (1, "lost 1 of its 5 parts, number 0 first"),
        (5, "lost 1 of its 5 parts, number 4 first"),
    ],
)
def test_a_line_that_is_lost_is_told(lost: int, problem: str) -> None:
    lines = frame.write(ONE, CONTENT)
    assert refusal(lines[:lost] + lines[lost + 1 :]) == problem


def test_a_frame_without_its_last_line_is_whole_all_the_same() -> None:
    assert only(frame.write(ONE, CONTENT)[:-1]) == CONTENT


def test_no_cut_and_no_changed_character_is_taken_for_the_truth() -> None:
    """The log is cut at, or one character of it is changed at, each of some thousand places."""
    content = bytes(range(200))
    log = "\n".join(frame.write(ONE, content))
    noticed = 0
    for place in range(len(log)):
        for other in (
            log[:place],
            log[:place] + chr(ord(log[place]) ^ 1) + log[place + 1 :],
            log[:place] + log[place + 1 :],
        ):
            whole, problems = frame.read(other.splitlines(), "a log")
            assert whole in ({}, {ONE: content})
            noticed += bool(problems)
    assert noticed > len(log)


def test_a_second_frame_of_one_attempt_must_be_the_same() -> None:
    lines = frame.write(ONE, CONTENT)
    assert refusal(lines + frame.write(ONE, CONTENT + b"x")[:1]) == "begins twice with different content"
    assert refusal([*lines, lines[1].replace("AAEC", "AAED")]) == "has a part twice with different content"


def test_a_part_that_does_not_decode_is_told() -> None:
    lines = frame.write(ONE, b"abcdef")
    assert refusal([lines[0], lines[1][:-1]]) == "has a part that is cut"


def test_a_checksum_that_does_not_fit_is_told() -> None:
    lines = frame.write(ONE, b"abcdef")
    forged = f"@frame part {ONE} 0 {base64.b64encode(b'abcdeg').decode()}"
    assert refusal([lines[0], forged]) == "does not match its own sha256"
    assert refusal([lines[0].replace("bytes=6", "bytes=7"), lines[1]]) == "has a part that is cut"


def test_a_frame_of_hostile_size_is_refused_without_being_put_together() -> None:
    begin = f"@frame begin {ONE} bytes={strictjson.MAX_BYTES + 1} parts=9999999 sha256={'0' * 64}"
    assert refusal([begin]) == f"says it has {strictjson.MAX_BYTES + 1:,} bytes, more than a result can have"
    endless = f"@frame begin {ONE} bytes=1 parts=9999999 sha256={'0' * 64}"
    problem = "says it has 1 bytes in 9,999,999 parts, and every part but the last has 6,000"
    assert refusal([endless]) == problem
    assert refusal([endless, *(f"@frame part {ONE} {index} AAAA" for index in range(9))]) == problem


def test_parts_beyond_what_a_result_can_have_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strictjson, "MAX_BYTES", 2 * frame.PART_BYTES)
    reader = frame.Reader("a log")
    for index in range(9):
        reader.feed(f"@frame part {ONE} {index} AAAA\n".encode())
    assert {index for stored in reader._frames.values() for index in stored.parts} == {0, 1, 2}


def test_parts_of_frames_that_never_end_are_bounded_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MAX_PARTS", 3)
    lines = [f"@frame part {ONE} {index} AAAA" for index in range(9)]
    whole, problems = frame.read([*lines, *frame.write(TWO, b"")], "a log")
    assert dict(whole) == {TWO: b""}
    assert str(problems[ONE]).startswith(f"a log: 6 line(s) of frames are left out, of attempt {ONE} first: ")


def test_a_mark_inside_another_line_s_text_is_no_frame() -> None:
    """The first mark counts: what a frame's own line carries behind it cannot be another line."""
    line = f"@frame note @frame begin {ONE} bytes=0 parts=0 sha256={'0' * 64}"
    assert frame.read([line, "begin " + line], "a log") == ({}, {})
    assert frame.read([f"begin {ONE} bytes=0 parts=0 sha256={'0' * 64}"], "a log") == ({}, {})


def test_a_result_of_the_greatest_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strictjson, "MAX_BYTES", len(CONTENT))
    assert only(frame.write(ONE, CONTENT)) == CONTENT
    monkeypatch.setattr(strictjson, "MAX_BYTES", len(CONTENT) - 1)
    assert refusal(frame.write(ONE, CONTENT)) == f"says it has {len(CONTENT):,} bytes, more than a result can have"


def test_frames_beyond_what_a_log_can_hold_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MAX_FRAMES", 2)
    attempts = [f"20261122T10000{number}Z-0123abcd" for number in range(4)]
    lines = [line for attempt in attempts for line in frame.write(attempt, b"abc")]
    whole, problems = frame.read(lines, "a log")
    assert list(whole) == attempts[:2]
    assert [(attempt, str(problem)) for attempt, problem in problems.items()] == [
        (
            attempts[2],
            f"a log: 4 line(s) of frames are left out, of attempt {attempts[2]} first: one log may hold 2 results and"
            " 500,000 parts of unfinished ones. Split the log, and collect its pieces.",
        )
    ]


@pytest.mark.parametrize("size", [1, 7, 4096, 100_000])
def test_a_log_is_read_in_pieces_of_any_size(size: int) -> None:
    log = "\n".join(["loading", *frame.write(ONE, CONTENT), "noise", *frame.write(TWO, b"x")]).encode()
    reader = frame.Reader("a log")
    for start in range(0, len(log), size):
        reader.feed(log[start : start + size])
    assert reader.close() == ({ONE: CONTENT, TWO: b"x"}, {})


def test_what_a_reader_holds_does_not_grow_with_a_line() -> None:
    reader = frame.Reader("a log")
    for piece in (b"@frame part ", b"A" * 60_000, b"\\" * 60_000, b"noise " * 20_000, b"@frame "):
        for _ in range(20):
            reader.feed(piece)
            assert len(reader._rest) <= frame._MAX_LINE_BYTES
    for line in frame.write(ONE, CONTENT):
        reader.feed(b"\n" + line.encode())
    assert reader.close() == ({ONE: CONTENT}, {})


def test_contents_that_memory_should_not_hold_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "_IN_MEMORY_BYTES", 1000)
    lines = [*frame.write(ONE, CONTENT), *frame.write(TWO, CONTENT[::-1])]
    random.Random(2).shuffle(lines)
    whole, problems = frame.read(lines, "a log")
    assert (whole, problems) == ({ONE: CONTENT, TWO: CONTENT[::-1]}, {})
    assert isinstance(whole, frame._Whole)
    # of tempfile.SpooledTemporaryFile
    assert getattr(whole._spool._file, "_rolled") is True  # noqa: B009


def test_a_full_disk_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    reader = frame.Reader("a log")
    monkeypatch.setattr(reader._spool._file, "write", full)
    with pytest.raises(PublishFailed, match="cannot take what was read of a log: No space left on device. Free space"):
        for line in frame.write(ONE, CONTENT):
            reader.feed(line.encode() + b"\n")


@pytest.mark.parametrize(
    "form",
    [
        lambda line: json.dumps({"log": line + "\n", "stream": "stdout"}),
        lambda line: json.dumps({"log": line + "\r\n"}).replace("/", "\\/").replace("=", "\\u003D"),
        lambda line: f'"2026-11-22","{line}"',
        lambda line: f"<td>{line}</td>",
        lambda line: f"\x1b[32m{line}\x1b[0m",
        lambda line: line.rstrip("="),
    ],
)
def test_a_line_that_stands_inside_another_form_is_taken(form: Callable[[str], str]) -> None:
    content = bytes(range(200, 256)) * 200
    lines = frame.write(ONE, content)
    assert "/" in lines[1] and lines[2].endswith("=")
    assert only(map(form, lines)) == content
    if '"' in form("") or "<" in form(""):  # a text of one line
        assert only(["[" + ", ".join(map(form, lines)) + "]"]) == content


def test_a_third_first_line_and_a_third_form_of_a_part_are_as_wrong_as_a_second() -> None:
    lines = frame.write(ONE, b"abcdef")
    for count in (2, 3, 4):
        more = [lines[0].replace("bytes=6", f"bytes={6 + number}") for number in range(count)]
        assert refusal([*more, *lines[1:]]) == "begins twice with different content"
