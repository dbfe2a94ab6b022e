from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract.text import printable
from runner.host.figures import words

TEXTS = st.text(max_size=80)


@given(TEXTS, st.floats(20, 400))
def test_a_fitted_line_fits_and_is_whole_where_there_is_room(text: str, most: float) -> None:
    line = words.fitted(text, most)
    assert words.width(line) <= most
    assert (line == printable(text)) == (words.width(printable(text)) <= most)


@given(TEXTS, st.floats(20, 400), st.integers(1, 4))
def test_wrapped_lines_fit_and_keep_the_order(text: str, most: float, lines: int) -> None:
    made = words.wrapped(text, most, lines)
    assert len(made) <= lines
    assert all(words.width(line) <= most for line in made)
    if not any(line.endswith("…") for line in made):
        assert " ".join(made).split() == printable(text).split()


def test_every_letter_has_an_advance_and_wide_ones_are_wider() -> None:
    letters = string.digits + string.ascii_letters + string.punctuation + " "
    assert {letter for letter in letters if letter not in words._ADVANCES} == set("@%MWm")
    assert words.width("i") < words.width("a") < words.width("w") < words.width("m")
    assert words.width("\u8a9e") == words.width("m")


def test_words_are_wrapped_between_words() -> None:
    assert words.wrapped("walk-through on a CPU: reproduces nothing", 130) == [
        "walk-through on a",
        "CPU: reproduces not…",
    ]
    assert words.wrapped("short", 200) == ["short"]
    assert words.wrapped("", 200) == []


def test_strong_and_great_text_is_wider() -> None:
    assert words.width("3.103 s", 12, strong=True) > words.width("3.103 s", 12) > words.width("3.103 s", 11)


@pytest.mark.parametrize(("number", "text"), [(0, "0 launches"), (1, "1 launch"), (2, "2 launches")])
def test_a_number_has_its_noun(number: int, text: str) -> None:
    assert words.counted(number, "launch", "launches") == text
