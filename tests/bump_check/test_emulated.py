"""Gaudi stacks under the emulated chip: which are run, and what differs. The chip's own program is told what to say by a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bump_check import stand_in
from tests.bump_check.stand_in import LOCK
from tools.bump_check import emulated, verdicts
from tools.bump_check.emulated import Emulated, Pair

TOLD = {
    "tokens": {"new_tokens": 100, "sha256": "a" * 64, "equal_plain": True},
    "forward_calls": 100,
    "graph_builds": 2,
    "first_generate": [],
    "generate": [{"times": 99, "calls": ["replay"]}],
    "operators": {"times": {"aten::mm": 10, "aten::add": 3}, "passes": [0], "sequences": [["aten::mm [2]"]]},
}


def quiet(_text: str) -> None:
    pass


def compared(tmp_path: Path, before: Any, after: Any, is_new: bool = False) -> Emulated:
    base = stand_in.side(tmp_path, "base", tmp_path / "log", emulated={"gaudi-1.10": before})
    name = "gaudi-1.11" if is_new else "gaudi-1.10"
    head = stand_in.side(tmp_path, "head", tmp_path / "log", emulated={name: after})
    return emulated.compare(Pair(name, "gaudi-1.10", is_new), base, head, quiet)


def test_stacks_whose_rows_differ_are_run_and_new_ones_beside_the_stack_they_follow() -> None:
    assert emulated.pairs(LOCK, LOCK.replace("a note", "b").replace("2.13.0", "2.14.0")) == [], "no Gaudi stack moved"
    assert emulated.pairs(LOCK, LOCK.replace("1.6.1", "1.7.0")) == [Pair("gaudi-1.10", "gaudi-1.10", is_new=False)]
    rows = LOCK[LOCK.index("  gaudi-1.10") : LOCK.index("  cpu:")]
    for name, follows in (("gaudi-1.9", None), ("gaudi-1.24", "gaudi-1.10"), ("gaudi-next", None)):
        more = LOCK.replace("  cpu:\n", rows.replace("gaudi-1.10", name) + "  cpu:\n")
        assert emulated.pairs(LOCK, more) == [Pair(name, follows, is_new=True)]
        assert emulated.pairs(more, LOCK) == [], "a stack that went is not run"


def test_the_same_tokens_and_calls_pass(tmp_path: Path) -> None:
    found = compared(tmp_path, TOLD, TOLD)
    assert (found.tokens, found.calls, found.fails, found.is_unknown) == ("equal", "equal", False, False)
    assert verdicts.said_of(found) == "gaudi-1.10 under the emulated chip: the same tokens, the same calls"


def test_other_tokens_fail_in_a_new_stack_too(tmp_path: Path) -> None:
    other = {**TOLD, "tokens": {**TOLD["tokens"], "sha256": "b" * 64}}  # type: ignore[dict-item]
    for is_new in (False, True):
        found = compared(tmp_path, TOLD, other, is_new)
        assert found.tokens == "differs" and found.fails
        assert "OTHER TOKENS" in verdicts.said_of(found)


def test_other_calls_fail_and_are_only_shown_for_a_new_stack(tmp_path: Path) -> None:
    other = {**TOLD, "forward_calls": 101, "operators": {**TOLD["operators"], "times": {"aten::mm": 12}}}  # type: ignore[dict-item]
    found = compared(tmp_path, TOLD, other)
    assert found.fails
    assert found.differences == (
        "forward_calls: 100 before, 101 after",
        "operators: aten::mm 10 -> 12, aten::add 3 -> 0",
    )
    found = compared(tmp_path, TOLD, other, is_new=True)
    assert found.calls == "differs" and not found.fails and not found.is_unknown
    assert "(beside gaudi-1.10)" in verdicts.said_of(found) and "shown and not judged" in verdicts.said_of(found)


def test_another_order_of_the_same_calls_is_seen(tmp_path: Path) -> None:
    operators = {**TOLD["operators"], "sequences": [["aten::mm [4]"]]}  # type: ignore[dict-item]
    other = {**TOLD, "operators": operators, "generate": [{"times": 1, "calls": ["capture"]}]}
    assert compared(tmp_path, TOLD, other).differences == (
        "generate: another sequence of calls",
        "operators: in another order, or of other shapes",
    )


def test_an_environment_that_cannot_be_built_leaves_it_open(tmp_path: Path) -> None:
    unbuilt = {"exit": 9, "said": "gaudi-1.10: the index does not answer"}
    for before, after in ((unbuilt, TOLD), (TOLD, unbuilt), (unbuilt, unbuilt), (None, TOLD)):
        found = compared(tmp_path, before, after)
        assert found.is_unknown and not found.fails and found.error
    assert "the index does not answer" in verdicts.said_of(compared(tmp_path, TOLD, unbuilt))


def test_what_a_side_does_not_tell_is_unknown_and_no_difference(tmp_path: Path) -> None:
    older = {key: value for key, value in TOLD.items() if key != "operators"}
    found = compared(tmp_path, older, TOLD)
    assert (found.tokens, found.calls, found.fails, found.is_unknown) == ("equal", "unknown", False, True)
    assert "calls that are not all told. " in verdicts.said_of(found) and "operators" in verdicts.said_of(found)
    found = compared(tmp_path, older, {**TOLD, "forward_calls": 101})
    assert found.fails and found.differences == ("forward_calls: 100 before, 101 after",)
    for before, after in (({}, {}), ({**TOLD, "tokens": 1}, {"forward_calls": 100})):
        found = compared(tmp_path, before, after)
        assert found.is_unknown and not found.fails and "tokens" in str(found.error)


def test_a_program_that_prints_something_else_leaves_it_open(tmp_path: Path) -> None:
    base = stand_in.side(tmp_path, "base", tmp_path / "log", emulated={"gaudi-1.10": TOLD})
    head = stand_in.side(tmp_path, "head", tmp_path / "log", emulated={"gaudi-1.10": TOLD})
    program = head.tree / "tests" / "emulation" / "calls.py"
    for printed in ("[]", "null", "not JSON"):
        program.write_text(f"print({printed!r})")
        found = emulated.compare(Pair("gaudi-1.10", "gaudi-1.10", is_new=False), base, head, quiet)
        assert found.is_unknown and not found.fails and "printed no JSON object" in str(found.error)


def test_a_stack_of_head_that_does_not_run_to_its_end_fails(tmp_path: Path) -> None:
    died = {"exit": 6, "said": "gaudi-1.10 ended with 1"}
    assert compared(tmp_path, TOLD, died).fails
    assert compared(tmp_path, died, died).is_unknown


def test_a_new_stack_that_follows_none_is_left_open(tmp_path: Path) -> None:
    base = stand_in.side(tmp_path, "base", tmp_path / "log")
    head = stand_in.side(tmp_path, "head", tmp_path / "log", emulated={"gaudi-1.9": TOLD})
    found = emulated.compare(Pair("gaudi-1.9", None, is_new=True), base, head, quiet)
    assert found.is_unknown and "no Gaudi stack that gaudi-1.9 follows" in str(found.error)
