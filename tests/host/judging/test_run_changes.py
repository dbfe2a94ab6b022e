from __future__ import annotations

from dataclasses import replace

import pytest

from runner.contract.errors import InputError
from runner.host.judging import terminal
from runner.host.judging.run_changes import Pair, between, pairs, refuse_counted
from tests.support.groups import group


def test_run_against_run_pairs_cases_and_tells_what_moved() -> None:
    before, after = group(3.10, 3.11, 3.09, 3.12), group(3.50, 3.51, 3.49, torch="2.14.0")
    (pair,) = pairs([before], [after])
    change = between(pair)
    assert change.flagged
    assert change.moved == {"torch": ["2.13.0", "2.14.0"]}
    assert change.launches == [4, 3]
    assert change.ratio == pytest.approx(3.5 / 3.105, rel=1e-3)


def test_another_engine_is_told_among_what_moved() -> None:
    before = group(3.1, 3.2)
    after = replace(before, request=replace(before.request, engine="compiled"))
    assert between(Pair(before, after)).moved == {"engine": ["plain", "compiled"]}


def test_run_against_run_says_what_is_missing() -> None:
    assert between(Pair(group(3.1), group(3.1, 3.2))).reason == "at least two launches are needed on each side"
    with pytest.raises(InputError, match="The two sides share no case"):
        pairs([group(3.1)], [group(3.1, case="gaudi2-1-bloomz-7b1")])


@pytest.mark.parametrize(
    "fresh_before, fresh_after, confirmed, word",
    [
        ((3.10, 3.11, 3.12), (3.50, 3.51, 3.49), True, "CHANGED, confirmed on fresh launches"),
        ((3.10, 3.11, 3.12), (3.11, 3.10, 3.12), False, "not confirmed on fresh launches, so no change shown"),
        ((3.50, 3.51, 3.49), (3.10, 3.11, 3.12), False, "not confirmed on fresh launches"),
        ((3.10,), (3.50, 3.51, 3.49), False, "not confirmed on fresh launches"),
    ],
)
def test_a_flagged_change_needs_fresh_launches_that_show_it_too(
    fresh_before: tuple[float, ...],
    fresh_after: tuple[float, ...],
    confirmed: bool,
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, after = group(3.10, 3.11, 3.09), group(3.50, 3.51, 3.49)
    assert between(Pair(before, after)).confirmed is None
    change = between(Pair(before, after), Pair(group(*fresh_before), group(*fresh_after)))
    assert (change.flagged, change.confirmed) == (True, confirmed)
    terminal.show_changes([change])
    assert word in capsys.readouterr().out


def test_what_was_compared_cannot_confirm_itself() -> None:
    counted = [group(3.1, 3.2)]
    with pytest.raises(InputError, match="is part of the comparison already; it cannot confirm it"):
        refuse_counted(counted, counted)
    refuse_counted(counted, [group(3.1, 3.2, attempt_id="20261123T100000Z-0123abcd")])


def test_times_of_a_stand_in_are_not_set_against_each_other() -> None:
    before, after = group(3.10, 3.11, 3.09), group(3.50, 3.51, 3.49, emulated=True)
    change = between(Pair(before, after))
    assert (change.flagged, change.reason) == (None, "something stood in for the device: its times say nothing")


def test_brackets_in_a_foreign_name_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    change = between(Pair(group(3.1, 3.2), group(3.1, 3.2, torch="[/bold] [red]2[/red]")))
    terminal.show_changes([change])
    assert "torch 2.13.0 -> [/bold] [red]2[/red]" in capsys.readouterr().out
