"""Looks are made side by side, none waits for ever, and none that fails ends the others."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from runner.contract.errors import Unreachable
from runner.host.doctor.findings import Answer, LastLook, Look, not_ready, ready
from runner.host.doctor.looking import ANSWER_S, Group, look_at


def look(what: str, ask: Callable[[], Answer]) -> Look:
    return Look("host", what, ask)


def test_findings_come_in_the_order_of_the_looks() -> None:
    groups = [Group([look(f"{group}{number}", lambda: ready("It is.")) for number in "12"]) for group in "ab"]
    assert [finding.what for finding in look_at(groups)] == ["a1", "a2", "b1", "b2"]


def test_a_look_that_does_not_end_ends_no_other() -> None:
    never = threading.Event()

    def hang() -> Answer:
        never.wait()
        return ready("It ended.")

    hanging = Group([look("a", lambda: ready("It is.")), look("b", hang), look("c", lambda: ready("It is."))], 0.2)
    try:
        findings = look_at([hanging, Group([look("d", lambda: ready("It is."))])])
    finally:
        never.set()
    assert [finding.state for finding in findings] == ["ready", "cannot be told", "not looked at", "ready"]
    assert findings[1].finding == "The look did not end within 0.2 s." and findings[2].remedy is not None


def test_what_no_look_expected_cannot_be_told() -> None:
    def fail(problem: Exception) -> Callable[[], Answer]:
        def ask() -> Answer:
            raise problem

        return ask

    findings = look_at(
        [Group([look("a", fail(Unreachable("It is silent."))), look("b", fail(OSError(5, "Input error")))])]
    )
    assert [finding.state for finding in findings] == ["cannot be told"] * 2
    assert "It is silent." in findings[0].finding and "Input error" in findings[1].finding


def test_a_defect_of_a_look_is_a_defect() -> None:
    with pytest.raises(ZeroDivisionError):
        look_at([Group([look("a", lambda: ready(str(1 // 0)))])])


def test_a_last_look_leaves_out_the_looks_after_it() -> None:
    def last() -> Answer:
        raise LastLook(not_ready("It is silent.", "Wake it."))

    (first, second) = look_at([Group([look("a", last), look("b", lambda: ready("It is."))])])
    assert (first.state, first.remedy) == ("not ready", "Wake it.")
    assert (second.state, second.finding) == ("not looked at", "It depends on 'a' above.")


def test_one_silent_service_takes_less_than_five_seconds() -> None:
    assert ANSWER_S < 5
    assert Group([]).limit_s <= 5
