"""The parent's input for a rank, as one word of a command."""

from __future__ import annotations

import base64

import pytest

from runner.bench.processes import messages
from runner.contract.errors import LaunchFailed
from runner.contract.progress import Step
from tests.support import samples


def test_what_is_packed_is_one_plain_word_and_comes_back() -> None:
    value = {"request": samples.request().to_json(), "variables": {"A": "with 'quotes', $signs and\nlines"}}
    word = messages.pack(value)
    assert set(word) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert not word.startswith("-")
    assert messages.unpack(word) == value


@pytest.mark.parametrize("word", ["", "x", "!", base64.b64encode(b"{}").decode(), messages.pack({"a": 1})[:-6]])
def test_a_word_that_was_changed_is_refused(word: str) -> None:
    with pytest.raises(LaunchFailed, match="not what the parent packed"):
        messages.unpack(word)


STEPS = [
    Step("loading the model", sentence='loading "bloomz"\non 2 ranks'),
    Step("timed calls: 5", quiet=True),
    Step("completing rows", 3, 8, "rows", "completed 3 of 8 rows", True),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_one_line_and_comes_back(step: Step) -> None:
    line = messages.step_line(step)
    assert line.startswith(messages.STEP) and "\n" not in line
    assert messages.step_of(line) == step


def test_a_step_that_is_counted_by_a_function_is_counted_when_it_is_told() -> None:
    assert messages.step_of(messages.step_line(Step("a", lambda: 5, 9, "bytes"))) == Step("a", 5, 9, "bytes")


@pytest.mark.parametrize(
    "line",
    [
        "@bench loading",
        "@bench-step",
        "@bench-step {",
        "@bench-step []",
        "@bench-step {}",
        messages.step_line(STEPS[2])[:-1],
        messages.step_line(STEPS[2]._replace(done=-1)),
        messages.step_line(STEPS[2]._replace(of=None)),
        messages.step_line(STEPS[2]).replace("3", "true", 1),
        messages.step_line(STEPS[2]).replace('"rows"', '"files"'),
        messages.step_line(STEPS[0]).replace('"loading the model"', "7"),
        messages.step_line(STEPS[0]).replace('"what"', '"that"'),
    ],
)
def test_any_other_line_is_no_step(line: str) -> None:
    assert messages.step_of(line) is None
