"""What is said of a program of a side that failed."""

from __future__ import annotations

import json

import pytest

from runner.contract.errors import LaunchFailed
from tools.bump_check import sides


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", ""),
        ("first\nlast line.\n\n", "last line"),
        ('{"event": "result"}\n' + json.dumps({"event": "error", "message": "It broke. Look."}) + "\n", "It broke. Look"),
        ('{"event": "error"}', '{"event": "error"}'),
        ('{"event": "error", "message": 1}', '{"event": "error", "message": 1}'),
        ('{"event": "err', '{"event": "err'),
        ("[1]", "[1]"),
        ("x" * 400, "x" * 300 + "…"),
    ],
)  # fmt: skip
def test_the_last_words_are_the_last_line_or_the_message_of_an_error_s_event(words: str, said: str) -> None:
    assert sides.last_words(words) == said


def test_the_error_is_that_of_the_exit_code_with_the_program_s_last_words() -> None:
    error = sides.failure("head: runner bench", LaunchFailed.exit_code, '{"event": "error", "message": "It broke."}')
    assert (type(error), str(error)) == (LaunchFailed, "head: runner bench: It broke.")
    assert str(sides.failure("x", 3, "")) == "x: it ended with status 3 and said nothing."
