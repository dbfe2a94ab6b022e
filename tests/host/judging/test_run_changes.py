from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from runner.contract.errors import InputError
from runner.contract.records import JsonObject
from runner.contract.request import Accelerator
from runner.host.judging import run_changes, terminal
from runner.host.judging.run_changes import Pair, Rule, between, pairs, refuse_counted
from tests.support.groups import flag, group

STEADY, SLOWER = (3.10, 3.11, 3.09, 3.10, 3.12), (3.50, 3.51, 3.49, 3.50, 3.52)
CPU = Accelerator("cpu", "cpu", None, None)


def shown(change: run_changes.RunChange, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the terminal shows of a change, as one line."""
    terminal.show_changes([change])
    return " ".join(capsys.readouterr().out.split())


def test_run_against_run_pairs_cases_and_tells_what_moved() -> None:
    before, after = group(3.10, 3.11, 3.09, 3.12), group(3.50, 3.51, 3.49, torch="2.14.0")
    (pair,) = pairs([before], [after])
    change = between(pair)
    assert (change.word, change.times.word, change.found) == ("CHANGED", "CHANGED", ["slower"])
    assert change.moved == {"torch": ["2.13.0", "2.14.0"]}
    assert (change.launches, change.failed, change.reasons) == ([4, 3], [0, 0], [change.times.reason])
    assert change.times.ratio == pytest.approx(3.5 / 3.105, rel=1e-3)
    assert (change.times.before_s, change.times.after_s) == pytest.approx((3.105, 3.5), rel=1e-3)
    assert between(Pair(after, before)).found == ["faster"]


def test_runs_that_are_equivalent_are_unchanged() -> None:
    change = between(Pair(group(*STEADY), group(*reversed(STEADY))))
    assert (change.word, change.times.word, change.found) == ("UNCHANGED", "UNCHANGED", [])
    assert change.reasons == [change.times.reason]
    assert change.times.smallest_change is not None and 0.02 < change.times.smallest_change < 0.03


def test_the_margin_decides_what_matters() -> None:
    pair = Pair(group(*STEADY), group(*SLOWER))
    assert between(pair, rule=Rule(margin=0.15)).word == "UNCHANGED"
    assert between(pair, rule=Rule(margin=0.12)).word == "CHANGED"
    assert between(pair, rule=Rule(margin=0.13)).word == "INCONCLUSIVE"


def test_the_newest_group_of_a_cell_is_the_one_before() -> None:
    older = group(*STEADY, torch="2.12.0")
    (pair,) = pairs([group(*STEADY), older], [group(*SLOWER)])
    assert pair.before.request.stack.packages["torch"] == "2.13.0"


def test_what_is_pinned_or_told_is_told_among_what_moved() -> None:
    before = group(*STEADY)
    stack = replace(before.request.stack, image=f"example.com/x@sha256:{'0' * 64}")
    model = replace(before.request.model, revision="8" * 40)

    def newer(body: JsonObject) -> None:
        body["environment"]["python"] = "3.12.1"
        for launch in body["launches"]:
            launch["ranks"][0]["device"].update(driver="1.11", firmware="hl-1.11", name="another")

    after = group(*STEADY, spoil=newer, engine="compiled", model=model, stack=stack)
    assert between(Pair(before, after)).moved == {
        "engine": ["plain", "compiled"],
        "image": [None, stack.image],
        "model revision": ["7" * 40, "8" * 40],
        "python": ["3.11.7", "3.12.1"],
        "device": ["a processor", "a processor and another"],
    }, "driver and firmware are told by one side alone"


def test_run_against_run_says_what_is_missing() -> None:
    change = between(Pair(group(3.1), group(3.1, 3.2)))
    assert (change.word, change.times.reason) == ("INCONCLUSIVE", "at least two launches are needed on each side")
    assert (change.times.ratio, change.times.interval) == (pytest.approx(3.1496 / 3.1, rel=1e-3), None)
    with pytest.raises(InputError, match="The two sides share no case"):
        pairs([group(3.1)], [group(3.1, case="gaudi2-1-bloomz-7b1")])
    assert run_changes.alone([group(3.1)], [group(3.1)]) == []
    assert run_changes.alone([group(3.1)], [group(3.1, case="gaudi2-1-bloomz-7b1")]) == [group(3.1).request.id]


@pytest.mark.parametrize(
    "fresh_before, fresh_after, confirmed, word",
    [
        ((3.10, 3.11, 3.12), (3.50, 3.51, 3.49), True, "CHANGED, confirmed on fresh launches"),
        ((3.10, 3.11, 3.12), (3.11, 3.10, 3.12), False, "INCONCLUSIVE, not confirmed on fresh launches"),
        ((3.50, 3.51, 3.49), (3.10, 3.11, 3.12), False, "INCONCLUSIVE, not confirmed on fresh launches"),
        ((3.10,), (3.50, 3.51, 3.49), False, "INCONCLUSIVE, not confirmed on fresh launches"),
    ],
)
def test_a_change_needs_fresh_launches_that_show_it_too(
    fresh_before: tuple[float, ...],
    fresh_after: tuple[float, ...],
    confirmed: bool,
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, after = group(3.10, 3.11, 3.09), group(3.50, 3.51, 3.49)
    first = between(Pair(before, after))
    assert (first.word, first.confirmed) == ("CHANGED", None)
    assert "CHANGED, confirm it on fresh launches (--confirm)" in shown(first, capsys)
    change = between(Pair(before, after), Pair(group(*fresh_before), group(*fresh_after)))
    assert (change.confirmed, change.found) == (confirmed, ["slower"] if confirmed else ["inconclusive"])
    assert change.times.word == change.word == ("CHANGED" if confirmed else "INCONCLUSIVE")
    assert word in shown(change, capsys)


def other_tokens(body: JsonObject) -> None:
    for launch in body["launches"]:
        launch["tokens"]["outputs_sha256"] = ["f" * 64] * 5


def test_counts_that_differ_are_confirmed_by_counts_that_differ_alike() -> None:
    pair = Pair(group(*STEADY), group(*STEADY, spoil=other_tokens))
    change = between(pair)
    assert (change.word, change.times.word, change.found) == ("CHANGED", "UNCHANGED", ["counts"])
    assert [reason.split("sha256")[0] for reason in change.reasons] == ["output ids: "]
    assert change.reasons[0].endswith(" before, sha256 ffffffffffff after")
    assert between(pair, pair).confirmed is True
    unlike = between(pair, Pair(group(*STEADY), group(*STEADY)))
    assert (unlike.word, unlike.confirmed, unlike.found) == ("INCONCLUSIVE", False, ["inconclusive"])
    assert unlike.reasons[0] == "fresh launches do not show the change too"


def test_nothing_is_confirmed_where_nothing_changed() -> None:
    same = Pair(group(*STEADY), group(*STEADY))
    assert between(same, Pair(group(*STEADY), group(*SLOWER))).confirmed is None


def test_what_was_compared_cannot_confirm_itself() -> None:
    counted = [group(3.1, 3.2)]
    with pytest.raises(InputError, match="is part of the comparison already; it cannot confirm it"):
        refuse_counted(counted, counted)
    refuse_counted(counted, [group(3.1, 3.2, attempt_id="20261123T100000Z-0123abcd")])


def emulated(body: JsonObject) -> None:
    for launch in body["launches"]:
        launch["conditions"]["emulated"] = True


def test_times_of_a_stand_in_are_neither_told_nor_judged() -> None:
    change = between(Pair(group(*STEADY, spoil=emulated), group(*SLOWER, spoil=emulated)), rule=Rule(judge_cpu=True))
    assert (change.word, change.times.word, change.times.ratio, change.times.after_s) == ("UNCHANGED", None, None, None)
    assert change.times.reason == "something stood in for the device: its times say nothing"
    told = between(Pair(group(*STEADY, spoil=emulated), group(*STEADY, spoil=emulated_and(other_tokens))))
    assert (told.word, told.found) == ("CHANGED", ["counts"])


def emulated_and(spoil: Callable[[JsonObject], None]) -> Callable[[JsonObject], None]:
    def both(body: JsonObject) -> None:
        emulated(body)
        spoil(body)

    return both


def test_times_of_a_cpu_are_shown_and_judged_only_where_the_caller_asks() -> None:
    pair = Pair(group(*STEADY, accelerator=CPU), group(*SLOWER, accelerator=CPU))
    change = between(pair)
    assert (change.word, change.times.word, change.found) == ("UNCHANGED", None, [])
    assert change.reasons == ["all counts that both sides tell are equal; times are not judged"]
    assert change.times.ratio == pytest.approx(3.504 / 3.104, rel=1e-3) and change.times.interval is not None
    judged = between(pair, rule=Rule(judge_cpu=True))
    assert (judged.word, judged.found) == ("CHANGED", ["slower"])


@pytest.mark.parametrize(
    "check", ["cpu_pressure", "throttled_periods", "swapped_pages", "oom_kills", "idle_before", "throttling"]
)
@pytest.mark.parametrize("after", [STEADY, SLOWER])
def test_a_contended_host_or_device_can_only_be_inconclusive(check: str, after: tuple[float, ...]) -> None:
    change = between(Pair(group(*STEADY), group(*after, spoil=flag(check, 1, 2))))
    assert (change.word, change.times.word, change.found) == ("INCONCLUSIVE", "INCONCLUSIVE", ["inconclusive"])
    assert change.times.reason == (
        f"the host or the device did other work: after {check} in 20261122T100000Z-0123abcd launch 2,"
        " 20261122T100000Z-0123abcd launch 3"
    )
    (told,) = change.flags
    assert (told.side, told.check, told.contention, told.number) == ("after", check, True, 2)


def test_another_flag_stands_beside_the_word() -> None:
    change = between(Pair(group(*STEADY, spoil=flag("governor", 0)), group(*SLOWER)))
    assert change.word == "CHANGED"
    assert [(told.side, told.check, told.contention) for told in change.flags] == [("before", "governor", False)]


def test_counts_that_differ_are_a_change_on_a_contended_host_too() -> None:
    def spoil(body: JsonObject) -> None:
        other_tokens(body)
        flag("cpu_pressure", 0)(body)

    change = between(Pair(group(*STEADY), group(*STEADY, spoil=spoil)))
    assert (change.word, change.times.word, change.found) == ("CHANGED", "INCONCLUSIVE", ["counts", "inconclusive"])


@pytest.mark.parametrize(
    "condition, value, told",
    [
        ("engine", "compiled", "engine deepspeed before, compiled after"),
        ("precision", "float16", "precision bfloat16 before, float16 after"),
        ("kv_cache", False, "kv cache yes before, no after"),
        ("graphs", False, "graphs yes before, no after"),
        ("shapes", "dynamic", "shapes static before, dynamic after"),
        ("end_of_text", "stop", "end of text ignore before, stop after"),
    ],
)
def test_other_conditions_are_no_change_and_make_a_pair_incomparable(condition: str, value: object, told: str) -> None:
    def spoil(body: JsonObject) -> None:
        other_tokens(body)
        for launch in body["launches"]:
            launch["conditions"][condition] = value

    change = between(Pair(group(*STEADY), group(*SLOWER, spoil=spoil)))
    assert (change.word, change.times.word, change.found) == ("INCONCLUSIVE", "INCONCLUSIVE", ["inconclusive"])
    assert change.reasons == [f"the two sides are not comparable: {told}"]
    assert change.times.ratio == pytest.approx(3.504 / 3.104, rel=1e-3)


def failed(*launches: int) -> Callable[[JsonObject], None]:
    def spoil(body: JsonObject) -> None:
        for index in launches:
            body["launches"][index] = {
                **{key: body["launches"][index][key] for key in ("index", "load_average_1min", "runnable_before")},
                "status": "failed",
                "error": "a rank died",
            }

    return spoil


def test_launches_that_failed_on_one_side_alone_keep_a_pair_from_being_unchanged() -> None:
    change = between(Pair(group(*STEADY), group(*STEADY, spoil=failed(3))))
    assert (change.word, change.failed, change.launches) == ("INCONCLUSIVE", [0, 1], [5, 4])
    assert change.reasons[0] == "1 launch(es) after gave no measurement"
    both = between(Pair(group(*STEADY, spoil=failed(0)), group(*STEADY, spoil=failed(3))))
    assert both.word == "UNCHANGED"
    more = between(Pair(group(*STEADY, spoil=failed(0)), group(*STEADY, spoil=failed(1, 2, 3))))
    assert more.word == "INCONCLUSIVE" and more.reasons[-1] == "as many of the other side did not fail"


def test_a_side_without_a_launch_is_never_unchanged() -> None:
    everything = failed(0, 1, 2, 3, 4)
    for accelerator in ({}, {"accelerator": CPU}):
        pair = Pair(group(*STEADY, spoil=everything, **accelerator), group(*STEADY, spoil=everything, **accelerator))
        assert between(pair).word == "INCONCLUSIVE"


def test_the_counts_of_a_refused_launch_count() -> None:
    """A bump that adds a forward pass has no complete launch: a check refuses each."""

    def spoil(body: JsonObject) -> None:
        for launch in body["launches"]:
            launch.update(status="failed", error="forward_calls wanted [100], found [101]")
            launch["instrumented"] = {**copy.deepcopy(launch["instrumented"]), "forward_calls": [101]}

    change = between(Pair(group(*STEADY), group(*STEADY, spoil=spoil)))
    assert (change.word, change.reasons) == ("CHANGED", ["forward calls: 100 before, 101 after"])
    assert change.launches == [5, 0]


def test_launches_of_one_side_that_disagree_are_said() -> None:
    def spoil(body: JsonObject) -> None:
        body["launches"][0]["ranks"][0]["watched"]["compilations"] = 2

    change = between(Pair(group(*STEADY), group(*STEADY, spoil=spoil)))
    assert change.word == "INCONCLUSIVE"
    assert change.reasons == [
        "graph builds: launches of after disagree: 0 before, 0 2 (1 of them), 0 (4 of them) after"
    ]


def test_brackets_in_a_foreign_name_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    change = between(Pair(group(3.1, 3.2), group(3.1, 3.2, torch="[/bold] [red]2[/red]")))
    assert "torch 2.13.0 -> [/bold] [red]2[/red]" in shown(change, capsys)


def test_a_change_is_shown_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    def spoil(body: JsonObject) -> None:
        for check in ("cpu_pressure", "x" * 200, "\u6f22" * 50):
            flag(check, 0, 1, 2, 3)(body)

    terminal.show_changes([between(Pair(group(*STEADY, torch="\x1b[31m" * 30), group(*SLOWER, spoil=spoil)))])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(len(line) + line.count("\u6f22") for line in out.splitlines()) <= 80
