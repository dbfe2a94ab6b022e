import re

import pytest

from runner.contract.errors import InputError
from runner.contract.fields import Fields


def test_values_come_out_as_their_kind():
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
        (lambda f: f.flag("k"), "true", "'k' must be yes or no"),
        (lambda f: f.choice("k", ("a", "b")), "c", "'k' is 'c'; it must be one of a, b"),
        (lambda f: f.text("k"), (), "'k' must be text, tuple was found"),
        (lambda f: f.pattern("k", re.compile("a+"), "some a"), "ab", "'k' must be some a, 'ab' was found"),
        (lambda f: f.pattern("other", re.compile("a+"), "some a"), "a", "the key 'other' is missing"),
        (lambda f: f.texts("k"), ["a", 1], "'k' must hold only text"),
        (lambda f: f.fields("k"), "a", "'k' must be a mapping, text was found"),
        (lambda f: f.done(), 1, "the key 'k' is unknown"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(read, value, problem):
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
def test_a_mapping_that_knows_its_lines_says_them(read, value):
    class Lined(dict):
        lines = {"k": 7}

    with pytest.raises(InputError, match=r"^file \(line 7\): "):
        read(Fields(Lined(k=value), "file"))


def test_null_is_allowed_only_where_it_is_asked_for():
    assert Fields({"k": None}, "x").optional(Fields.text, "k") is None
    with pytest.raises(InputError, match="'k' must be text, nothing was found"):
        Fields({"k": None}, "x").text("k")
