from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import pytest

from runner.contract.records import JsonObject, Result
from runner.host.judging import counts
from runner.host.judging.counts import CountChange, OperatorChanges, Tally
from runner.host.results import attempts
from runner.host.results.attempts import MOST_OPERATORS
from tests.support import samples

Spoil = Callable[[JsonObject], None]


def tally(*spoils: Spoil, schema: int | None = None) -> Tally:
    """Return the counts of one side: a launch for each ``spoil``, which may change the launch's record."""
    body = samples.body()
    first = body["launches"][0]
    body["launches"] = []
    for index, spoil in enumerate(spoils):
        launch = {**copy.deepcopy(first), "index": index}
        spoil(launch)
        body["launches"].append(launch)
    # a test's body lacks the seal, and may hold what no schema allows
    attempt = attempts.of_result(cast(Result, {"sha256": "0" * 64, **body}), schema)
    assert attempts.of_text(attempts.to_text(attempt)) == attempt
    told: Tally = {}
    for launch_summary in attempt.launches:
        counts.add(told, attempt, launch_summary)
    return told


def as_it_is(launch: JsonObject) -> None:
    """Change nothing."""


def compared(before: Tally, after: Tally) -> dict[str, CountChange]:
    return {count.name: count for count in counts.between(before, after)}


ORDER = [
    "prompt tokens",
    "prompt ids",
    "output tokens",
    "output ids",
    "forward calls",
    "graph builds",
    "parameter bytes",
]


def test_equal_launches_have_equal_counts() -> None:
    told = compared(tally(as_it_is, as_it_is), tally(as_it_is))
    assert list(told) == [*ORDER, "ranks", "result schema"]
    assert {count.word for count in told.values()} == {"equal"}
    assert {count.reason for count in told.values()} == {None}
    assert told["forward calls"].before == told["forward calls"].after == ("100",)
    assert told["output tokens"].before == ("500",)


def rank_facts(launch: JsonObject) -> JsonObject:
    facts: JsonObject = launch["ranks"][0]["watched"]
    return facts


@pytest.mark.parametrize(
    "name, spoil, reason",
    [
        (
            "prompt ids",
            lambda launch: launch["tokens"].update(prompt_ids=[[1, 2, 3, 4, 5, 6, 7]]),
            "prompt ids: sha256 ",
        ),
        (
            "output ids",
            lambda launch: launch["tokens"].update(outputs_sha256=["f" * 64] * 5),
            "output ids: sha256 ",
        ),
        (
            "output tokens",
            lambda launch: launch["timed"].update(output_tokens=[[99]] * 5),
            "output tokens: 500 before, 495 after",
        ),
        (
            "forward calls",
            lambda launch: launch["instrumented"].update(forward_calls=[101]),
            "forward calls: 100 before, 101 after",
        ),
        (
            "graph builds",
            lambda launch: rank_facts(launch).update(compilations=1),
            "graph builds: 0 before, 1 after",
        ),
        (
            "parameter bytes",
            lambda launch: launch["ranks"][0].update(parameter_bytes=1),
            "parameter bytes: ",
        ),
        ("ranks", lambda launch: launch["ranks"].append(launch["ranks"][0]), "ranks: 1 before, 2 after"),
    ],
)
def test_a_count_that_differs_is_told_with_both_values(name: str, spoil: Spoil, reason: str) -> None:
    told = compared(tally(as_it_is, as_it_is), tally(spoil, spoil))
    assert [count.name for count in told.values() if count.word != "equal"] == [name]
    assert told[name].word == "differs"
    assert str(told[name].reason).startswith(reason)


def test_the_schema_is_the_one_that_a_result_was_written_in() -> None:
    told = compared(tally(as_it_is, schema=1), tally(as_it_is))
    assert (told["result schema"].word, told["result schema"].reason) == ("differs", "result schema: 1 before, 2 after")


def test_a_dataset_has_rows_and_tokens_and_no_prompt() -> None:
    def of_dataset(rows: int) -> Spoil:
        def spoil(launch: JsonObject) -> None:
            for key in ("tokens", "timed", "instrumented", "estimate"):
                del launch[key]
            launch["dataset"] = {"rows": rows, "rows_total": 5, "batches_s": [0.1], "tokens_sha256": "a" * 64}

        return spoil

    told = compared(tally(of_dataset(5)), tally(of_dataset(4)))
    assert list(told) == ["output ids", "rows", "graph builds", "parameter bytes", "ranks", "result schema"]
    assert {name for name, count in told.items() if count.word == "differs"} == {"rows"}


def without_graphs(launch: JsonObject) -> None:
    rank_facts(launch)["compilations"] = None


def test_a_count_that_one_side_lacks_is_neither_equal_nor_a_change() -> None:
    for sides in ((tally(without_graphs), tally(as_it_is)), (tally(as_it_is), tally(without_graphs))):
        graphs = compared(*sides)["graph builds"]
        silent = "before" if graphs.before == () else "after"
        assert (graphs.word, graphs.reason) == ("not told", f"graph builds: not told by {silent}")
    assert "graph builds" not in compared(tally(without_graphs), tally(without_graphs))


def test_a_launch_without_ranks_tells_nothing() -> None:
    def died(launch: JsonObject) -> None:
        for key in ("ranks", "tokens", "timed", "instrumented", "estimate"):
            del launch[key]
        launch.update(status="failed", error="a rank died")

    assert tally(died) == {}
    assert {count.word for count in compared(tally(as_it_is), {}).values()} == {"not told"}


def graphs(number: int) -> Spoil:
    def spoil(launch: JsonObject) -> None:
        rank_facts(launch)["compilations"] = number

    return spoil


@pytest.mark.parametrize(
    "before, after, word",
    [
        # both sides agree with themselves
        ((0, 0), (1, 1), "differs"),
        # one side disagrees, and has the other's value
        ((0, 0), (0, 1), "unsteady"),
        ((0, 1), (0, 0), "unsteady"),
        # both disagree alike
        ((0, 1), (1, 0), "unsteady"),
        # launches that agree, and none of the other side like them
        ((0, 0), (1, 2), "differs"),
        ((1, 2), (0, 0), "differs"),
        # one launch agrees with itself by chance
        ((0,), (1, 2), "unsteady"),
        # neither side is steady
        ((0, 1), (2, 3), "unsteady"),
    ],
)
def test_launches_of_a_side_that_disagree_are_unsteady(
    before: tuple[int, ...], after: tuple[int, ...], word: str
) -> None:
    told = compared(tally(*map(graphs, before)), tally(*map(graphs, after)))["graph builds"]
    assert told.word == word
    if len({*before}) > 1 or len({*after}) > 1:
        assert "disagree" in str(told.reason)


def test_many_unlike_values_are_counted_and_few_are_listed() -> None:
    told = compared(tally(*map(graphs, range(8))), tally(graphs(9)))["graph builds"]
    assert told.before == ("0", "1", "2", "3", "4")
    assert str(told.reason).endswith(
        "launches of before disagree: 0 (1 of them), 1 (1 of them), 2 (1 of them), 3 (1 of them), 4 (1 of them), 3 more"
        " before, 9 after"
    )


def test_very_many_unlike_values_of_one_launch_are_not_told() -> None:
    def spoil(launch: JsonObject) -> None:
        launch["instrumented"]["forward_calls"] = list(range(100, 117))

    assert compared(tally(spoil), tally(as_it_is))["forward calls"].word == "not told"


def operators(calls: dict[str, int], output_tokens: int = 2) -> Spoil:
    def spoil(launch: JsonObject) -> None:
        ids = [list(range(output_tokens))]
        launch["operators"] = {"output_tokens": output_tokens, "output_ids": ids, "calls": calls, "kernels": []}

    return spoil


OLD = {"aten::mm": 10, "aten::add": 4, "aten::bmm": 2}


def test_operators_that_differ_are_told_by_name() -> None:
    new = {"aten::mm": 12, "aten::add": 4, "aten::scaled_dot_product_attention": 1}
    told = compared(tally(operators(OLD)), tally(operators(new)))["operators"]
    assert told.word == "differs"
    assert told.operators == OperatorChanges(
        added={"aten::scaled_dot_product_attention": 1},
        removed={"aten::bmm": 2},
        changed={"aten::mm": (10, 12)},
        left_out=0,
    )
    assert str(told.reason).endswith(
        "; added: aten::scaled_dot_product_attention (1); removed: aten::bmm (2); changed: aten::mm 10 -> 12"
    )
    assert compared(tally(operators(OLD)), tally(operators(dict(reversed(OLD.items())))))["operators"].word == "equal"


def test_operators_of_another_number_of_tokens_are_not_compared() -> None:
    told = compared(tally(operators(OLD)), tally(operators(OLD, 4)))["operators"]
    assert (told.word, told.reason) == ("not told", "operators: counted over [2] tokens before and [4] after")
    unsteady = tally(operators(OLD), operators({"aten::mm": 1}))
    told = compared(unsteady, tally(operators(OLD, 4), operators(OLD, 4)))["operators"]
    assert (told.word, told.reason) == ("not told", "operators: counted over [2] tokens before and [4] after")


def test_operators_that_nobody_asked_for_or_that_a_device_does_not_tell_are_not_told() -> None:
    def untold(launch: JsonObject) -> None:
        launch["operators"] = None

    assert compared(tally(operators(OLD)), tally(untold))["operators"].word == "not told"
    assert "operators" not in compared(tally(untold), tally(as_it_is))


def test_few_differing_names_are_listed_and_the_others_counted() -> None:
    new = {**OLD, **{f"aten::new{number:02d}": 1 for number in range(15)}}
    told = compared(tally(operators(OLD)), tally(operators(new)))["operators"]
    assert told.operators is not None
    assert (len(told.operators.added), told.operators.left_out) == (10, 5)
    assert str(told.reason).endswith("; 5 more differ")


def test_a_side_with_very_many_names_is_compared_as_far_as_its_names_were_kept() -> None:
    """A name beyond the kept ones is not called removed, although the summary does not hold it."""
    many = {f"n{number:03d}": 1 for number in range(MOST_OPERATORS + 20)}
    shifted = {"a first one": 1, **many}
    told = compared(tally(operators(many)), tally(operators(shifted)))["operators"]
    assert told.word == "differs"
    assert told.operators == OperatorChanges({"a first one": 1}, {}, {}, None)
    assert "a side has more than 100 names: the first were compared by name, all by sha256" in str(told.reason)
    last = {**many, f"n{MOST_OPERATORS + 5:03d}": 7}
    beyond = compared(tally(operators(many)), tally(operators(last)))["operators"]
    assert (beyond.word, beyond.operators) == ("differs", OperatorChanges({}, {}, {}, None))


def test_long_names_that_begin_alike_stay_apart() -> None:
    long = "kernel<" + "x" * 200
    old, new = {f"{long}a>": 1, f"{long}b>": 2}, {f"{long}a>": 1, f"{long}b>": 3}
    told = compared(tally(operators(old)), tally(operators(new)))["operators"]
    assert told.operators is not None
    ((name, times),) = told.operators.changed.items()
    assert (len(name), times) == (120, (2, 3))
