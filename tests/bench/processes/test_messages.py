"""The parent's input for a rank, as one word of a command."""

from __future__ import annotations

import base64

import pytest

from runner.bench.processes import messages
from runner.contract.errors import LaunchFailed
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
