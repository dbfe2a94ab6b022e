from __future__ import annotations

import pytest

from runner.contract.text import first_line, printable


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("right\u202eleft", "right\\u202eleft"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
    ],
)
def test_no_unsafe_character_reaches_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("a" * 10, limit=4) == "aaaa…"


@pytest.mark.parametrize(
    "problem, words",
    [
        (ValueError("one.\ntwo"), "one"),
        (ValueError("\n\x1b[31mone"), "\\x1b[31mone"),
        (ValueError(), "ValueError"),
        (ValueError(" ."), "ValueError"),
        ("what it holds is none", "what it holds is none"),
    ],
)
def test_the_first_line_of_an_exception_tells_it(problem: object, words: str) -> None:
    assert first_line(problem) == words


def test_a_secret_that_a_cut_parts_is_masked_before_the_cut() -> None:
    token = "hf_" + "aBcD" * 8
    assert printable("the hub refused " + token + " and more", 25) == "the hub refused *** and m…"
    assert token[:8] not in printable("x" * 25 + " " + token, 30)
