"""Which word follows from what compare found, from launches that failed, and from the emulated chip."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import InputError, KitError, Unreachable, UsageError
from tests.bump_check.stand_in import change
from tools.bump_check import verdicts
from tools.bump_check.emulated import Emulated
from tools.bump_check.launches import Measured, Outcome
from tools.bump_check.verdicts import Compared, Verdict

FINE = Outcome("cpu-1", "base", 1, "a.json", None, 0, 0.5, 0.0, 10.0)
FAILED = replace(FINE, result=None, error="a rank died", exit_code=6)
EMULATED = Emulated("gaudi-1.10", "gaudi-1.10", False, "equal", "equal", (), None, head_failed=False)


def measured(*outcomes: Outcome) -> Measured:
    return Measured({"base": Path("base"), "head": Path("head")}, outcomes, {"cpu-1": "cpu"}, ())


def judged(
    *changes: dict[str, Any],
    outcomes: tuple[Outcome, ...] = (),
    emulated: tuple[Emulated, ...] = (),
    fail_on: str = verdicts.FAIL_ON_CPU,
    error: KitError | None = None,
) -> Verdict:
    return verdicts.judge(Compared(list(changes), "", error), measured(*outcomes), emulated, fail_on)


def word(verdict: Verdict) -> tuple[str, int]:
    return verdict.word, verdict.exit_code


def test_nothing_found_passes() -> None:
    assert judged(change("cpu-1"), outcomes=(FINE,)) == Verdict("PASS", ("nothing that is judged changed in cpu-1",), 0)


@pytest.mark.parametrize(
    "found, fail_on, expected",
    [
        (("counts",), "counts,inconclusive", ("FAIL", 17)),
        (("counts",), "changed", ("FAIL", 17)),
        (("counts",), "slower", ("PASS", 0)),
        (("slower",), verdicts.FAIL_ON_CPU, ("PASS", 0)),
        (("slower",), verdicts.FAIL_ON_ACCELERATOR, ("FAIL", 17)),
        (("faster",), verdicts.FAIL_ON_ACCELERATOR, ("PASS", 0)),
        (("faster",), "changed", ("FAIL", 17)),
        (("inconclusive",), "counts,inconclusive", ("INCONCLUSIVE", 18)),
        (("inconclusive",), "counts", ("INCONCLUSIVE", 0)),
        (("counts", "inconclusive"), "counts,inconclusive", ("FAIL", 17)),
    ],
)
def test_fail_on_names_what_fails(found: tuple[str, ...], fail_on: str, expected: tuple[str, int]) -> None:
    assert word(judged(change("cpu-1", found, reasons=["output ids differ"]), fail_on=fail_on)) == expected


def test_the_reasons_come_first_where_they_weigh_most() -> None:
    verdict = judged(
        change("cpu-1", ("inconclusive",), reasons=["contended"]),
        change("cpu-2", ("counts",), reasons=["output ids differ"]),
    )
    first, second = verdict.reasons
    assert first.startswith("cpu-2: counts (output ids differ; ") and second.startswith(
        "cpu-1: the launches cannot tell"
    )


def test_a_change_that_fail_on_does_not_name_is_said() -> None:
    verdict = judged(
        change("cpu-1", ("faster",), times={}), change("cpu-2", ("counts",), reasons=["output ids differ"])
    )
    assert word(verdict) == ("FAIL", 17)
    assert verdict.reasons[1:] == ("cpu-1 CHANGED: faster, which --fail-on does not name",)


def test_a_pass_in_spite_of_a_change_never_says_that_nothing_changed() -> None:
    other = change("cpu-1", ("counts",), reasons=["output ids: 1 before, 2 after"], times={})
    verdict = judged(other, change("cpu-2"), fail_on="slower", outcomes=(FINE, replace(FINE, case="cpu-2")))
    said = "by --fail-on slower, though cpu-1 CHANGED: counts (output ids: 1 before, 2 after)"
    assert verdict == Verdict("PASS", (said,), 0)


@pytest.mark.parametrize(
    "fail_on, expected",
    [("slower", True), ("slower,faster", True), ("slower,counts", False), ("changed", False), ("inconclusive", False)],
)
def test_fail_on_that_names_times_alone_is_known(fail_on: str, expected: bool) -> None:
    assert verdicts.fails_by_times_alone(fail_on) is expected


def test_head_that_fails_alone_fails_and_base_that_fails_leaves_it_open() -> None:
    head = replace(FAILED, side="head")
    unsure = change("cpu-1", ("inconclusive",), reasons=["1 launch(es) after gave no measurement"])
    assert word(judged(unsure, outcomes=(FINE, head))) == ("FAIL", 17)
    assert word(judged(change("cpu-1"), outcomes=(FAILED,))) == ("INCONCLUSIVE", 18)
    assert word(judged(outcomes=(FAILED, head))) == ("INCONCLUSIVE", 18), "both sides fail in the same case"
    assert word(judged(outcomes=(FAILED, replace(head, case="cpu-2")))) == ("FAIL", 17)
    assert word(judged(outcomes=(replace(head, exit_code=9),))) == ("INCONCLUSIVE", 18), "an index did not answer"


def test_results_that_cannot_be_compared_leave_it_open() -> None:
    verdict = judged(error=InputError("head: compare: The two sides share no case."))
    assert word(verdict) == ("INCONCLUSIVE", 18) and "share no case" in verdict.reasons[0]


def test_the_emulated_chip_counts_too() -> None:
    fails = replace(EMULATED, tokens="differs")
    unknown = replace(EMULATED, tokens="unknown", calls="unknown", error="it cannot be built")
    assert word(judged(change("cpu-1"), emulated=(EMULATED,))) == ("PASS", 0)
    assert word(judged(change("cpu-1"), emulated=(EMULATED, fails))) == ("FAIL", 17)
    assert word(judged(change("cpu-1"), emulated=(unknown,))) == ("INCONCLUSIVE", 18)


def test_a_side_that_cannot_be_measured_at_all() -> None:
    assert word(verdicts.of_failed_side("head", InputError("it cannot be installed"), "slower,inconclusive")) == (
        "FAIL",
        17,
    )
    assert word(verdicts.of_failed_side("head", Unreachable("it did not answer"), "inconclusive")) == (
        "INCONCLUSIVE",
        18,
    )
    assert word(verdicts.of_failed_side("base", InputError("it cannot be installed"), "slower,inconclusive")) == (
        "INCONCLUSIVE",
        18,
    )

    assert word(verdicts.of_failed_side("base", InputError("it cannot be installed"), "slower")) == ("INCONCLUSIVE", 0)


def test_a_case_that_was_measured_and_not_compared_is_no_pass() -> None:
    other = replace(FINE, case="cpu-2")
    verdict = judged(change("cpu-1"), outcomes=(FINE, other))
    assert word(verdict) == ("INCONCLUSIVE", 18) and verdict.reasons[0].startswith("cpu-2: measured and not compared")
    assert word(judged(outcomes=(FINE,))) == ("INCONCLUSIVE", 18)


@pytest.mark.parametrize("row", [{"word": "SAME"}, {"found": None}, {"word": None}])
def test_a_row_without_a_known_word_is_no_pass(row: dict[str, Any]) -> None:
    verdict = judged({**change("cpu-1"), **row}, outcomes=(FINE,))
    assert word(verdict) == ("INCONCLUSIVE", 18) and "no word that is known" in verdict.reasons[0]


@pytest.mark.parametrize(
    "refused, expected",
    [
        (["exclusive_device"], ("INCONCLUSIVE", 18)),
        (["exclusive_device", "forward_calls"], ("FAIL", 17)),
        ([], ("FAIL", 17)),
    ],
)
def test_a_head_that_a_neighbour_on_the_device_disturbed_is_no_failure(
    tmp_path: Path, refused: list[str], expected: tuple[str, int]
) -> None:
    checks = [{"name": name, "act": "refuse", "passed": False} for name in refused]
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"launches": [{"checks": [*checks, {"name": "x", "act": "flag", "passed": False}]}]}))
    head = replace(FAILED, side="head", result=str(result))
    assert word(judged(change("cpu-1", ("inconclusive",)), outcomes=(FINE, head))) == expected


@pytest.mark.parametrize("text", ["counts,slow", "", ",", "counts,", " "])
def test_unknown_and_empty_words_of_fail_on_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is none of: counts, slower"):
        verdicts.words(text)
