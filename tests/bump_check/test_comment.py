"""The text of the pull request's comment, and verdict.json."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.bump_check.stand_in import change
from tools.bump_check import comment
from tools.bump_check.comment import Described, Found, Host
from tools.bump_check.emulated import Emulated
from tools.bump_check.launches import Outcome
from tools.bump_check.moved import MovedPin
from tools.bump_check.requests import DifferingField
from tools.bump_check.verdicts import Verdict

OUTCOMES = tuple(
    Outcome("cpu-1", side, number, f"{side}-{number}.json", None, 0, 0.5 * number, 0.0, 12.0)
    for side, number in (("base", 1), ("head", 1), ("head", 2), ("base", 2))
)
FOUND = Found(
    verdict=Verdict("FAIL", ("cpu-1: counts (output ids differ)", "another reason"), 17),
    base=Described("main", "a" * 40, "b" * 40, "The base", 0),
    head=Described(None, "c" * 40, "d" * 40, "The head", 2),
    cases=("cpu-1",),
    asked_launches=2,
    outcomes=OUTCOMES,
    moved=(
        MovedPin("stacks.cpu.packages.datasets.version", "5.2.0", "5.3.0"),
        MovedPin("stacks.cpu.packages.datasets.sha256", "1" * 64, "2" * 64),
        MovedPin("images/cpu/requirements-cpu.txt: xxhash", None, "3.0"),
    ),
    changes=(change("cpu-1", ("counts",)),),
    table="| case | before |\n| --- | --- |\n| `cpu-1` | 1.0 s |\n",
    emulated=(Emulated("gaudi-1.10", "gaudi-1.10", False, "equal", "equal", (), None, head_failed=False),),
    host=Host("A processor", 2, "Linux", ("cpu",)),
    fail_on="counts,inconclusive",
    not_measured=("times: on a CPU they are shown and not judged",),
    repeat=(("make", "bump-check", "BASE=main", "CASES=cpu-1 cpu-2"),),
)


def test_the_comment_says_first_what_it_found_and_then_on_what_it_rests() -> None:
    lines = comment.markdown(FOUND).splitlines()
    assert lines[0] == comment.MARKER == "<!-- bloomz-bench: bump-check -->"
    assert lines[1] == "**FAIL**: `cpu-1: counts (output ids differ)` and 1 more below"
    assert lines[3] == (
        "`make bump-check` measured the working tree (`cccccccccccc`) with 2 uncommitted files against `main` (`aaaaaaaaaaaa`)."
    )
    text = "\n".join(lines)
    for part in (
        "| `stacks.cpu.packages.datasets.version` | `5.2.0` | `5.3.0` |",
        "| `images/cpu/requirements-cpu.txt: xxhash` | not there | `3.0` |",
        "1 hash or digest moved too: all are in `verdict.json`.",
        FOUND.table.strip(),
        "- `gaudi-1.10 under the emulated chip: the same tokens, the same calls`",
        "a change of time of 3.1% or more, nine times in ten (times are not judged here)",
        "2 of each side and case, in turn (B: base, H: head): `B H H B`",
        "- host: `A processor`, 2 cores, `Linux`, load average before the launches 0.5 to 1.0",
        "- `times: on a CPU they are shown and not judged`",
        "make bump-check BASE=main 'CASES=cpu-1 cpu-2'",
    ):
        assert part in text, part


def test_a_bump_that_moves_nothing_says_so_and_empty_parts_are_left_out() -> None:
    text = comment.markdown(replace(FOUND, moved=(), emulated=(), not_measured=(), table="", outcomes=()))
    assert "None: the two locks hold the same pins." in text and "Nothing could be compared." in text
    assert "emulated chip" not in text and "### Not measured" not in text


def test_what_differs_beside_the_pins_is_told_and_bounded() -> None:
    assert "### What else differs" not in comment.markdown(FOUND)
    fields = tuple(DifferingField("cpu-1", f"a.{number}", "29", None) for number in range(25))
    names = tuple(f"file-{number}" for number in range(23))
    text = comment.markdown(replace(FOUND, moved=(), differing=fields, changed_files=names))
    assert "- `cpu-1` asks for another `a.19`: `29` before, not there after" in text and "`a.20`" not in text
    assert "- 5 more fields: all are in `verdict.json`" in text
    assert "- 23 changed files beside those that a bump writes: `file-0`, " in text and "`file-19`, 3 more" in text
    told = json.loads(comment.verdict_json(replace(FOUND, differing=fields, changed_files=names)))
    assert told["differing"][24] == {"case": "cpu-1", "field": "a.24", "before": "29", "after": None}
    assert told["changed_files"] == list(names)


def test_files_that_a_bump_writes_are_no_news() -> None:
    written = ("versions.lock", "images/cpu/requirements-cpu.txt", "CHANGELOG.md", "k8s/a.yaml", "docs/a.json")
    assert "### What else differs" not in comment.markdown(replace(FOUND, changed_files=written))
    code = ("images/cpu/Dockerfile", "runner/bench/a.py", "runner/catalog/models.yaml", "tests/versions.lock")
    assert "- 4 changed files beside" in comment.markdown(replace(FOUND, changed_files=(*written, *code)))


def test_files_that_a_reader_of_the_commands_lacks_are_named() -> None:
    text = comment.markdown(replace(FOUND, uncommitted=("one", "two")))
    assert text.endswith("```\n\nThese commands lack 2 files of the head that are not committed: `one`, `two`.\n")
    assert "1 file of the head that is not committed" in comment.markdown(replace(FOUND, uncommitted=("one",)))
    assert "These commands lack" not in comment.markdown(FOUND)


def test_flags_that_change_the_cases_stand_with_what_was_measured() -> None:
    text = comment.markdown(replace(FOUND, request_flags=("--output-tokens", "20")))
    assert "### Measured\n\nEach case with `--output-tokens 20`, which makes it another case" in text
    assert "Each case with" not in comment.markdown(FOUND)


def test_a_tree_against_itself_is_said_to_be_a_control() -> None:
    same = replace(FOUND, head=replace(FOUND.head, tree=FOUND.base.tree))
    assert "\n\nBase and head are the same tree: nothing moved, and this is a control." in comment.markdown(same)
    assert "same tree" not in comment.markdown(FOUND)


def test_failed_launches_are_told() -> None:
    failed = replace(OUTCOMES[1], error="a rank died", result=None, exit_code=6)
    assert "- failed: `head, cpu-1, launch 1: a rank died`" in comment.markdown(
        replace(FOUND, outcomes=(OUTCOMES[0], failed))
    )


HOSTILE = "`</details><img src=x onerror=alert(1)> @somebody #1 [a](javascript:b) | \n# head\x1b[31m\u202e"


def test_foreign_text_stays_text() -> None:
    found = replace(
        FOUND,
        verdict=Verdict("FAIL", (HOSTILE,), 17),
        base=Described(HOSTILE, "a" * 40, "b" * 40, HOSTILE, 0),
        moved=(MovedPin(HOSTILE, HOSTILE, HOSTILE),),
        changes=(change(HOSTILE),),
        outcomes=(replace(OUTCOMES[0], error=HOSTILE, case=HOSTILE),),
        not_measured=(HOSTILE,),
        differing=(DifferingField(HOSTILE, HOSTILE, HOSTILE, None),),
        changed_files=(HOSTILE,),
        uncommitted=(HOSTILE,),
        request_flags=(HOSTILE,),
    )
    for line in comment.markdown(found).splitlines():
        outside = "".join(line.split("`")[::2])
        assert "<img" not in outside and "@somebody" not in outside and "javascript" not in outside
        assert "\x1b" not in line and "\u202e" not in line and not line.startswith("# head")


def test_a_comment_fits_into_a_forge_whatever_was_found() -> None:
    many = tuple(MovedPin(f"stacks.{number}.version", "1" * 500, "2" * 500) for number in range(5000))
    for found in (
        replace(FOUND, moved=many, table="| row |\n" * 50_000),
        replace(FOUND, repeat=(("make", "x" * 100_000),)),
        replace(FOUND, not_measured=tuple(f"case {number}" for number in range(20_000))),
    ):
        text = comment.markdown(found)
        assert len(text) <= comment.MOST_CHARACTERS and "did not fit into a comment" in text
        assert text.count("```") % 2 == 0
        assert text.startswith(f"{comment.MARKER}\n**FAIL**")


def test_verdict_json_is_strict_and_holds_everything() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    told: dict[str, Any] = json.loads(comment.verdict_json(FOUND), parse_constant=refuse)
    assert told["word"] == "FAIL" and told["exit_code"] == 17 and told["schema"] == comment.SCHEMA
    assert told["reasons"] == list(FOUND.verdict.reasons) and told["fail_on"] == ["counts", "inconclusive"]
    assert told["moved"][1] == {"where": "stacks.cpu.packages.datasets.sha256", "before": "1" * 64, "after": "2" * 64}
    assert [each["side"] for each in told["launches"]["made"]] == ["base", "head", "head", "base"]
    assert told["emulated"][0]["fails"] is False and told["changes"][0]["case"] == "cpu-1"
    assert told["head"]["uncommitted"] == 2 and told["base"]["ref"] == "main"
    assert told["repeat"] == ["make bump-check BASE=main 'CASES=cpu-1 cpu-2'"]


def test_a_secret_is_in_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuv")
    found = replace(FOUND, verdict=Verdict("FAIL", ("no hf_abcdefghijklmnopqrstuv",), 17))
    assert "hf_abc" not in comment.verdict_json(found) and "hf_abc" not in comment.markdown(found)
