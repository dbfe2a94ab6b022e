"""Tasks without a terminal, and the choice of the display."""

from __future__ import annotations

import contextlib
from typing import Iterator

from runner.contract import progress
from runner.contract.progress import LINE_S, Display, Part, PlainTask, Step


def rows(done: int, of: int = 9) -> Step:
    return Step("completing rows", done, of, "rows", f"completed {done} of {of} rows")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_counted_step_gets_a_line_at_first_now_and_then_and_at_its_last() -> None:
    lines: list[str] = []
    clock = Clock()
    task = PlainTask(lines.append, clock)
    for done in range(1, 10):
        task.update(rows(done))
        clock.now_s += LINE_S / 4
    assert lines == [f"completed {done} of 9 rows" for done in (1, 5, 9)]


def test_a_step_without_a_sentence_prints_nothing_and_ends_the_step_before() -> None:
    lines: list[str] = []
    task = PlainTask(lines.append, Clock())
    for step in (rows(1), Step("timed calls: 5", quiet=True), rows(2), Step("loading", sentence="loading a model")):
        task.update(step)
    assert lines == ["completed 1 of 9 rows", "completed 2 of 9 rows", "loading a model"]


def test_a_task_that_ended_begins_anew() -> None:
    lines: list[str] = []
    task = PlainTask(lines.append, Clock())
    task.update(rows(1))
    task.end()
    task.update(rows(2))
    assert lines == ["completed 1 of 9 rows", "completed 2 of 9 rows"]


def test_the_name_of_a_part_stands_before_all_that_it_shows() -> None:
    lines: list[str] = []
    steps: list[Step] = []

    class Kept(PlainTask):
        def update(self, step: Step) -> None:
            steps.append(step)
            super().update(step)

    part = Part(Kept(lines.append, Clock()), "launch 1/2")
    part.line("starting")
    part.update(rows(1))
    part.update(Step("timed calls: 5"))
    assert lines == ["launch 1/2: starting", "launch 1/2: completed 1 of 9 rows"]
    assert [step.what for step in steps] == ["launch 1/2: completing rows", "launch 1/2: timed calls: 5"]


def test_a_display_is_opened_by_the_first_task_and_closed_at_the_end() -> None:
    events: list[str] = []

    class Kept(progress.PlainDisplay):
        pass

    @contextlib.contextmanager
    def opened() -> Iterator[Display]:
        events.append("opened")
        yield Kept()
        events.append("closed")

    with progress.shown_by(opened):
        events.append("works")
        progress.begin("a", events.append).line("one")
        progress.begin("b", events.append).line("two")
    progress.begin("c", events.append).line("three")
    assert events == ["works", "opened", "one", "two", "closed", "three"]


def test_a_step_may_be_counted_by_a_function() -> None:
    assert Step("fetching", lambda: 7, 9, "bytes").done_now() == 7
    assert (rows(3).done_now(), Step("loading").done_now()) == (3, None)


def test_counted_bytes_are_told_once_a_second_with_the_time_that_is_left() -> None:
    now_s, steps = [0.0], []

    class Steps:
        def line(self, text: str) -> None:
            raise AssertionError(text)

        def update(self, step: Step) -> None:
            steps.append(step)

        def end(self) -> None:
            raise AssertionError

    count = progress.ByteCount(Steps(), "comparing", 4_000_000_000, 1_000_000_000, lambda: now_s[0])
    count.add(500_000_000)
    # a terminal draws the bar at once, and without one nothing is said yet
    assert steps == [Step("comparing", 1_000_000_000, 4_000_000_000, "bytes")]
    now_s[0] = 2.0
    count.add(500_000_000)
    assert steps[1:] == [
        Step("comparing", 2_000_000_000, 4_000_000_000, "bytes", "comparing: 2.00 of 4.00 GB, about 4 s left")
    ]
    now_s[0] = 2.5
    count.add(1)
    assert len(steps) == 2
