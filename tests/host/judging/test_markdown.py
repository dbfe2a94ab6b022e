from __future__ import annotations

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runner.contract.records import JsonObject
from runner.contract.request import Accelerator
from runner.host.judging import markdown
from runner.host.judging.run_changes import Pair, between
from tests.support.groups import flag, group

STEADY, SLOWER = (3.10, 3.11, 3.09, 3.10, 3.12), (3.50, 3.51, 3.49, 3.50, 3.52)
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</code><script>",
    "@everyone",
    "[a](https://example.com)",
    "![a](https://example.com/a.png)",
    "https://example.com",
    "#1",
    "a|b",
    "a\\|b",
    "a\\",
    "`",
    "``` `` `",
    "a\n\n# heading\n| x |",
    "\r\n- item",
    "**bold**",
    "&lt;b&gt;",
    "\u202e\x1b[2J",
    "<!-- -->",
    " ",
    "~~~",
]


def tokens(text: str) -> list[Token]:
    """Return all tokens of a Markdown text with tables, as GitHub and GitLab read it, those inside of lines too."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found += [token, *(token.children or [])]
    return found


def test_a_row_tells_all_of_a_pair() -> None:
    pair = Pair(group(*STEADY), group(*SLOWER, torch="2.14.0", spoil=flag("governor", 0)))
    row = markdown.of_changes([between(pair)]).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["`gaudi2-8-bloomz`", "3.104 s", "3.504 s"]
    assert cells[3].startswith("1.129 (1.1") and cells[4] == "**CHANGED**" and cells[5].endswith("%")
    assert cells[6:] == ["none", "`after governor (1)`", "`torch 2.13.0 -> 2.14.0`"]


def test_reasons_stand_below_the_table() -> None:
    text = markdown.of_changes([between(Pair(group(*STEADY), group(3.1)))])
    assert "- `gaudi2-8-bloomz` **INCONCLUSIVE**, 5 and 1 launches\n" in text
    assert text.count("  - `at least two launches are needed on each side`\n") == 1
    of_a_cpu = Accelerator("cpu", "cpu", None, None)
    text = markdown.of_changes([between(Pair(group(*STEADY, accelerator=of_a_cpu), group(3.1, accelerator=of_a_cpu)))])
    assert "  - `time: times of a CPU are shown and not judged`\n" in text
    assert "| **UNCHANGED**, times not judged |" in text


def test_the_counts_that_a_word_rests_on_and_what_was_not_compared_are_told() -> None:
    def with_operators(body: JsonObject) -> None:
        for launch in body["launches"]:
            launch["operators"] = {"output_tokens": 1, "calls": {"aten::mm": 1}}

    change = between(Pair(group(*STEADY), group(*STEADY, spoil=with_operators)))
    text = markdown.of_changes([change], {"before": ["cpu-2-0123"], "after": []})
    assert "  - counts equal: `prompt tokens`, " in text and "  - counts not told: `operators`\n" in text
    assert text.endswith("- 1 of before without a counterpart, and not compared: `cpu-2-0123`\n")


@pytest.mark.parametrize("name", HOSTILE)
def test_foreign_text_is_shown_and_does_nothing(name: str) -> None:
    def spoil(body: JsonObject) -> None:
        flag(name, 0)(body)
        for launch in body["launches"]:
            launch["conditions"]["precision"] = name
            launch["operators"] = {"output_tokens": 1, "calls": {name: 1}}

    def other(body: JsonObject) -> None:
        for launch in body["launches"]:
            launch["operators"] = {"output_tokens": 1, "calls": {"other": 1}}

    before = group(*STEADY, spoil=other, case=name)
    change = between(Pair(before, group(*STEADY, spoil=spoil, case=name, torch=name)))
    text = markdown.of_changes([change])
    read = tokens(text)
    kinds = {token.type for token in read}
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "heading_open", "fence", "code_block"}
    assert "\x1b" not in text and "\u202e" not in text
    # one table of a heading and one row, with as many cells each
    assert sum(token.type == "tr_open" for token in read) == 2
    assert sum(token.type == "th_open" for token in read) == sum(token.type == "td_open" for token in read) == 9
    assert sum(token.type == "table_open" for token in read) == 1
    # nothing of it stands outside of a code span, where a forge would look for names and addresses
    outside = "".join(token.content for token in read if token.type == "text")
    assert not any(sign in outside for sign in ("@", "<", "http", "#", "[", "&", "`"))


def test_a_code_span_is_as_long_as_it_may_be_and_no_longer() -> None:
    assert markdown.code("x" * 400) == f"`{'x' * 300}…`"
    assert markdown.code("") == markdown.code("  ") == "-"
    assert markdown.code("a`b|c") == "`a'b\u00a6c`"


def test_many_names_are_counted() -> None:
    def spoil(body: JsonObject) -> None:
        for number in range(14):
            flag(f"check{number:02d}", 0)(body)

    text = markdown.of_changes([between(Pair(group(*STEADY), group(*STEADY, spoil=spoil)))])
    assert "`after check09 (1)`, 4 more |" in text
