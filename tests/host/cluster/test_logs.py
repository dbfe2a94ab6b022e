"""Logs of containers kept as files: what is asked for again, and what is not written twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from runner.contract import frame
from runner.host.cluster import answers, logs
from runner.host.cluster.answers import Stream, Unanswered
from runner.host.cluster.logs import LogReader, Slots


def stamped(when_s: float, text: str) -> bytes:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(when_s))}.000000000Z {text}".encode()


class Node:
    """A kubelet whose clock is ``ahead_s`` ahead of everybody's: each stream gives what it has of the log and breaks off."""

    clock_ahead_s = 0.0  # of the API server

    def __init__(self, clock: Clock, ahead_s: float) -> None:
        self.clock, self.node_ahead_s, self.broken = clock, ahead_s, True
        self.lines: list[tuple[float, str]] = []
        self.asked: list[float | None] = []

    def write(self, *texts: str) -> None:
        self.lines += [(self.clock.now_s + self.node_ahead_s, text) for text in texts]

    def log(
        self, pod: str, container: str, since_s: float | None, follow: bool, opened: Callable[[Stream], None]
    ) -> Iterator[bytes]:
        self.asked.append(since_s)
        began_s = self.clock.now_s + self.node_ahead_s - since_s if since_s is not None else 0.0
        yield from [stamped(when_s, text) for when_s, text in self.lines if when_s >= began_s]
        if self.broken:
            raise Unanswered("broken off", "read the log")


class Clock:
    now_s = 1_790_000_000.0

    def time(self) -> float:
        return self.now_s


def reader(
    node: Node,
    path: Path,
    ended: Callable[[], bool] = lambda: False,
    show: Callable[[str], None] = lambda line: None,
) -> LogReader:
    return LogReader(
        node,
        "pod",
        "bench",
        path,
        ended,
        show,
        lambda: None,
        lambda problem: None,
        Slots(1),
    )


def texts(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("ahead_s", [-300.0, 0.0, 300.0])
def test_a_stream_that_broke_off_is_read_on_by_the_clock_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(logs.time, "time", clock.time)
    monkeypatch.setattr(logs, "jittered", lambda seconds: 0.0)
    node, path = Node(clock, ahead_s), tmp_path / "log"
    node.write("one")
    ended = threading.Event()

    def wait_and_end() -> bool:
        if len(node.asked) == 1:  # a minute without the API server, in which the run goes on and ends
            clock.now_s += 30
            node.write("two", "three")
            clock.now_s += 30
            node.broken = False
            ended.set()
        return ended.is_set()

    log = reader(node, path, wait_and_end)
    log.run()
    assert texts(path) == ["one", "two", "three"]
    assert log.whole
    first_s, second_s = node.asked[:2]
    assert first_s is None and second_s is not None and second_s >= 60


def test_a_long_log_that_is_followed_again_gets_no_line_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KNOWN_LINES", 20)
    clock = Clock()
    monkeypatch.setattr(logs.time, "time", clock.time)
    node, path = Node(clock, 0.0), tmp_path / "log"
    node.broken = False
    for number in range(50):
        clock.now_s += 1
        node.write(str(number))
    reader(node, path, lambda: True).run()
    assert texts(path) == [str(number) for number in range(50)]
    node.write("50")
    reader(node, path, lambda: True).run()
    assert texts(path) == [str(number) for number in range(51)]


class OpenAnswer:
    """An open answer that gives some chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def stream(self, amt: int) -> Iterator[bytes]:
        yield from self._chunks

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000_000])
def test_a_line_without_an_end_is_cut_wherever_its_chunks_end(size: int) -> None:
    whole = b"first\n" + b"x" * 1000 + b"\n" + b"y" * 1001 + b"\n\n" + b"z" * 5000 + b"\nlast"
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    lines = list(answers.read_lines(OpenAnswer(chunks), "read the log", 1000, b"[cut]", with_rest=True))
    assert lines == [b"first", b"x" * 1000, b"y" * 1000 + b"[cut]", b"", b"z" * 1000 + b"[cut]", b"last"]
    assert list(answers.read_lines(OpenAnswer(chunks), "read the log", 1000, b"[cut]"))[-1] == b"z" * 1000 + b"[cut]"


def test_an_event_without_an_end_is_refused_before_it_is_kept() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 1000
        raise AssertionError("read on")

    with pytest.raises(Unanswered, match="one line of the answer has more than 10,000 bytes") as refused:
        list(answers.read_lines(OpenAnswer(endless()), "watch Pods", 10_000))
    assert not refused.value.may_pass


def test_a_long_line_is_kept_shown_and_quoted_as_far_as_it_is_of_use(tmp_path: Path) -> None:
    node = Node(Clock(), 0.0)
    shown: list[str] = []
    node.broken, long = False, "y" * 50_000
    node.write("short", long, long + answers.CUT)
    log = reader(node, tmp_path / "a.log", ended=lambda: True, show=shown.append)
    log.run()
    assert texts(tmp_path / "a.log") == ["short", long, long + answers.CUT]
    assert shown[0] == "short" and shown[1].endswith("y…") and shown[2].endswith(f"y…{answers.CUT}")
    assert all(len(line) <= logs.QUOTED_CHARACTERS for line in [*shown, *log.tail])


def test_secrets_are_masked_in_a_log_and_known_again_and_frames_stay_to_the_byte(tmp_path: Path) -> None:
    node = Node(Clock(), 0.0)
    node.broken = False
    frames = frame.write("20261122T100000Z-0123abcd", b"token=hf_abcdefghijklmnopqrstuvwxyz " * 300)
    node.write("HUB_TOKEN=abc", *frames, f"{frame.MARK}part x hf_abcdefghijklmnopqrstuvwxyz", "caf\u00e9")
    for _ in range(2):
        reader(node, tmp_path / "a.log", ended=lambda: True).run()
    assert texts(tmp_path / "a.log") == ["HUB_TOKEN=***", *frames, f"{frame.MARK}part x ***", "caf\u00e9"]
