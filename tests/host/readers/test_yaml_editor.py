"""Rows and items that are added to a file of strict YAML in place: all else keeps its bytes, comments and order."""

import pytest
from hypothesis import given, strategies

from runner.contract.errors import InputError
from runner.host.readers import strictyaml, yaml_editor

TEXT = b"""# head
rows:
  # about a
  a:
    x: 1   # behind
    y: {b: 2}

  # about c
  c:
    x: 3
lists:
  one: [p, q]   # behind
  none: []
  many:
    - p
"""
ROW = yaml_editor.as_mapping(
    {"x": "1.10", "inner": yaml_editor.as_mapping({"note": "a: b, # c"}), "list": ["p", "q, r"]}
)


def test_a_row_follows_the_row_that_is_named_and_comments_keep_their_places() -> None:
    after = yaml_editor.with_row(TEXT, ("rows",), "a", "b", ROW, "file")
    added = b"  b:\n    x: 1.10\n    inner:\n      note: 'a: b, # c'\n    list: [p, 'q, r']\n"
    assert after == TEXT.replace(b"    y: {b: 2}\n", b"    y: {b: 2}\n" + added)
    assert strictyaml.loads(after, "file")["rows"]["b"] == ROW  # type: ignore[index, call-overload]


def test_a_comment_at_the_end_of_a_row_stays_in_the_row() -> None:
    text = b"rows:\n  a:\n    x: 1\n\n    # y: 2, once it is read\n\n  # about c\n  c: 3\n"
    after = yaml_editor.with_row(text, ("rows",), "a", "b", "2", "file")
    assert after == text.replace(b"is read\n", b"is read\n  b: 2\n")


def test_a_row_may_be_the_last_of_a_file_without_a_newline_at_its_end() -> None:
    assert yaml_editor.with_row(b"rows:\n  a: 1", ("rows",), "a", "b", "2", "file") == b"rows:\n  a: 1\n  b: 2\n"
    assert yaml_editor.with_row(TEXT, ("lists",), "many", "last", "x", "file") == TEXT + b"  last: x\n"


def test_the_ends_of_lines_are_those_of_the_file() -> None:
    windows = TEXT.replace(b"\n", b"\r\n")
    for after in (
        yaml_editor.with_row(windows, ("rows",), "c", "d", ROW, "file"),
        yaml_editor.with_items(windows, ("lists", "one"), ["r"], "file"),
    ):
        assert after.count(b"\n") == after.count(b"\r\n")
        assert len(after) > len(windows)


@pytest.mark.parametrize(
    "table, after, name, told",
    [
        (("rows",), "z", "b", "file has no row z in lines of rows"),
        (("none",), "a", "b", "file has no row a in lines of none"),
        (("rows", "a", "y"), "b", "c", "file has no row b in lines of rows.a.y"),
        (("rows",), "a", "c", "file has a row c in rows already"),
    ],
)
def test_a_row_without_a_place_is_refused(table: tuple[str, ...], after: str, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        yaml_editor.with_row(TEXT, table, after, name, ROW, "file")


def test_items_end_a_list_in_brackets() -> None:
    assert yaml_editor.with_items(TEXT, ("lists", "one"), ["r", "s, t"], "file") == TEXT.replace(
        b"[p, q]", b"[p, q, r, 's, t']"
    )
    assert yaml_editor.with_items(TEXT, ("lists", "none"), ["r"], "file") == TEXT.replace(b"[]", b"[r]")
    assert yaml_editor.with_items(TEXT, ("lists", "one"), [], "file") == TEXT
    broken = TEXT.replace(b"[p, q]", b"[p,\n    q,\n  ]")
    assert yaml_editor.with_items(broken, ("lists", "one"), ["r"], "file") == broken.replace(b"q,\n  ]", b"q, r]")


@pytest.mark.parametrize("keys", [("lists", "many"), ("lists", "two"), ("rows", "a"), ("x", "y")])
def test_a_list_that_is_not_in_brackets_is_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="has no list in brackets at"):
        yaml_editor.with_items(TEXT, keys, ["r"], "file")


@given(strategies.text(strategies.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=40))
def test_every_text_on_one_line_is_read_as_it_was_written(text: str) -> None:
    try:
        written = yaml_editor.scalar(text)
    # a character that YAML does not have
    except InputError:
        assert any(not character.isprintable() for character in text)
        return
    assert strictyaml.loads(f"key: {written}\n".encode(), "file") == {"key": text}


@pytest.mark.parametrize("text", ["a\nb", "a\x00"])
def test_a_text_of_several_lines_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="cannot be written as a text on one line"):
        yaml_editor.scalar(text)
