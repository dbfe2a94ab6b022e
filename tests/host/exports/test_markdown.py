from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host.exports import markdown
from runner.host.judging.measured import Measured
from tests.host.exports import made


def tokens(text: str) -> list[Token]:
    """Return all tokens of a Markdown text with tables, as GitHub and GitLab read it, those inside of lines too."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found += [token, *(token.children or [])]
    return found


def table(measured: list[Measured]) -> list[list[str]]:
    """Return the cells of the table as a renderer reads them, row by row, the header first."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown.text(measured)):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and len(rows[-1]) < len(markdown._COLUMNS):
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_a_renderer_reads_a_row_for_each_published_cell() -> None:
    header, row = table(made.of(made.gaudi2()))
    assert tuple(header) == markdown._COLUMNS
    assert row[:3] == ["8 x gaudi2, bloomz", "3.103 s", "3.104 s"]
    assert row[3].startswith("1.000 (0.99") and row[4:7] == ["5%", "REPRODUCED", "5"]
    assert row[7] == "8 x gaudi2, bloomz, hub weights, bfloat16, gaudi-1.10, gaudi-1.10"


def test_seconds_of_a_slow_machine_are_plain_digits() -> None:
    _, row = table(made.of(made.gaudi2(12345.6, 12345.6)))
    assert row[2] == "12346 s"


def test_a_walk_through_says_so_and_what_differs() -> None:
    measured = made.of(made.cpu())
    _, row = table(measured)
    assert row[5] == "walk-through, not a reproduction" and "dummy weights" in row[7]
    text = markdown.text(measured)
    assert "  - `walk-through on a CPU: reproduces no published cell`\n  - `dummy weights: no output parity`\n" in text
    assert "  - differs: `accelerator` `cpu`, not `gaudi2`; " in text and "accelerator differs" not in text


def test_a_stand_in_has_no_numbers() -> None:
    _, row = table(made.of(made.stand_in()))
    assert row[2:6] == ["-", "-", "-", "NOT-COMPARABLE"]


def test_a_request_without_a_published_cell_is_named() -> None:
    (found,) = made.of(made.cpu())
    found.rows.clear()
    assert f"- `{found.group.request.id}` has no published cell beside it" in markdown.text([found])


@pytest.mark.parametrize("make", [made.gaudi2, made.cpu])
def test_rows_beyond_the_comment_of_a_forge_are_counted(make: Callable[[], tuple[JsonObject, Request]]) -> None:
    (found,) = made.of(make())
    text = markdown.text([found] * 200)
    shown = re.findall("^- `.*` beside `", text, re.MULTILINE)
    (left_out,) = re.findall("^- ([0-9]+) more rows are left out", text, re.MULTILINE)
    assert len(shown) + int(left_out) == 200 * len(found.rows)
    assert 55_000 < len(text) < 65_536


def test_many_requests_without_a_published_cell_are_counted() -> None:
    (found,) = made.of(made.cpu())
    found.rows.clear()
    text = markdown.text([found] * 10_000)
    assert text.count("has no published cell") == 20
    assert text.endswith("- 9980 more requests have no published cell beside them\n")


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_is_neither_markup_nor_a_cell(name: str) -> None:
    measured = made.hostile(name)
    read = tokens(markdown.text(measured))
    kinds = {token.type for token in read}
    assert not kinds & {
        "html_inline",
        "html_block",
        "link_open",
        "image",
        "heading_open",
        "fence",
        "code_block",
        "em_open",
    }
    assert [token.content for token in read if token.type == "strong_open"] == [""] * 2
    assert [len(row) for row in table(measured)] == [len(markdown._COLUMNS)] * 2
    assert all(character.isprintable() for token in read for character in token.content.replace("\n", ""))
