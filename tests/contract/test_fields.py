from __future__ import annotations

import re
from collections import OrderedDict
from typing import Callable, ClassVar, Dict

import pytest

from runner.contract.errors import DamagedResult, InputError
from runner.contract.fields import Fields


def test_values_come_out_as_their_kind() -> None:
    fields = Fields({"text": "a", "count": "12", "number": "2.5", "flag": "yes", "texts": ["a"]}, "x")
    assert (fields.text("text"), fields.count("count"), fields.number("number")) == ("a", 12, 2.5)
    assert fields.flag("flag") is True
    assert fields.texts("texts") == ["a"]
    fields.done()


@pytest.mark.parametrize(
    "read, value, problem",
    [
        (lambda f: f.text("k"), 5, "'k' must be text, a whole number was found"),
        (lambda f: f.text("other"), 5, "the key 'other' is missing"),
        (lambda f: f.count("k"), True, "'k' must be a whole number or text, true or false was found"),
        (lambda f: f.count("k"), "1_0", "'k' must be a whole number, '1_0' was found"),
        (lambda f: f.count("k"), "\u0661", "must be a whole number"),
        (lambda f: f.count("k", least=1), 0, "'k' must be at least 1, 0 was found"),
        (lambda f: f.number("k"), "nan", "'k' must be finite and above 0"),
        (lambda f: f.number("k"), "inf", "'k' must be finite and above 0"),
        (lambda f: f.number("k"), "-1", "'k' must be finite and above 0"),
        (lambda f: f.number("k"), "x", "'k' must be a number"),
        (lambda f: f.fraction("k"), 5, "'k' must be a fraction below 1, 5 was found. Write 0.05 for 5%."),
        (lambda f: f.fraction("k"), "1.0", "'k' must be a fraction below 1, 1 was found"),
        (lambda f: f.fraction("k"), "0", "'k' must be finite and above 0"),
        (lambda f: f.number("k"), [], "'k' must be a whole number or a number or text, a list was found"),
        (lambda f: f.flag("k"), 1.5, "'k' must be true or false or text, a number was found"),
        (lambda f: f.texts("k"), {}, "'k' must be a list, a mapping was found"),
        (lambda f: f.texts("k"), OrderedDict(), "'k' must be a list, a mapping was found"),
        (lambda f: f.flag("k"), "true", "'k' must be yes or no"),
        (lambda f: f.choice("k", ("a", "b")), "c", "'k' is 'c'; it must be one of a, b"),
        (lambda f: f.text("k"), (), "'k' must be text, tuple was found"),
        (lambda f: f.pattern("k", re.compile("a+"), "some a"), "ab", "'k' must be some a, 'ab' was found"),
        (lambda f: f.pattern("other", re.compile("a+"), "some a"), "a", "the key 'other' is missing"),
        (lambda f: f.texts("k"), ["a", 1], "'k' must hold only text, a whole number was found"),
        (lambda f: f.fields("k"), "a", "'k' must be a mapping, text was found"),
        (lambda f: f.done(), 1, "the key 'k' is unknown"),
        (lambda f: (f.text("b", None), f.text("a", None), f.done()), 1, "the key 'k' is unknown; known are a, b.$"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(read: Callable[[Fields], object], value: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read(Fields({"k": value}, "file.row"))
    assert str(caught.value).startswith("file.row: ")


@pytest.mark.parametrize(
    "read, value",
    [
        (lambda f: f.text("k"), 1),
        (lambda f: f.choice("k", ("a", "b")), "c"),
        (lambda f: f.pattern("k", re.compile("a+"), "some a"), "b"),
        (lambda f: f.count("k"), "b"),
        (lambda f: f.count("k", least=1), "0"),
        (lambda f: f.number("k"), "b"),
        (lambda f: f.number("k"), "inf"),
        (lambda f: f.flag("k"), "b"),
        (lambda f: f.texts("k"), [1]),
        (lambda f: f.done(), 1),
    ],
)
def test_a_mapping_that_knows_its_lines_says_them(read: Callable[[Fields], object], value: object) -> None:
    class Lined(Dict[str, object]):
        lines: ClassVar[dict[str, int]] = {"k": 7}

    with pytest.raises(InputError, match=r"^file \(line 7\): "):
        read(Fields(Lined(k=value), "file"))


GETTERS: dict[str, Callable[..., object]] = {
    "text": Fields.text,
    "choice": lambda fields, key, *default: fields.choice(key, ("a", "b"), *default),
    "pattern": lambda fields, key, *default: fields.pattern(key, re.compile("a+"), "some a", *default),
    "count": Fields.count,
    "number": Fields.number,
    "flag": Fields.flag,
    "texts": Fields.texts,
}


@pytest.mark.parametrize("name", GETTERS)
def test_what_may_be_left_out_has_a_default_and_all_else_is_missing(name: str) -> None:
    assert GETTERS[name](Fields({}, "x"), "k", None) is None
    with pytest.raises(InputError, match="^x: the key 'k' is missing.$"):
        GETTERS[name](Fields({}, "x"), "k")


def test_what_is_no_mapping_is_refused_with_its_kind() -> None:
    with pytest.raises(InputError, match="^x: a mapping is expected, a list was found.$"):
        Fields([], "x")


def test_a_mapping_inside_fails_as_its_holder_does() -> None:
    inner = Fields({"k": {"unknown": 1}}, "x", DamagedResult).fields("k")
    with pytest.raises(DamagedResult, match="^x.k: the key 'unknown' is unknown"):
        inner.done()


def test_keys_of_any_kind_may_be_unknown() -> None:
    with pytest.raises(InputError, match="the key 1 is unknown"):
        Fields({"k": 1, 1: 1}, "x").done()


def test_none_of_a_thing_is_a_count() -> None:
    assert Fields({"k": "0"}, "x").count("k") == 0


def test_null_is_allowed_only_where_it_is_asked_for() -> None:
    assert Fields({"k": None}, "x").optional(Fields.text, "k") is None
    with pytest.raises(InputError, match="'k' must be text, nothing was found"):
        Fields({"k": None}, "x").text("k")
