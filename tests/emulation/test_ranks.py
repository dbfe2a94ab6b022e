"""The stack's DeepSpeed shards BLOOM over two ranks, started by its launcher, and the tokens stay the same."""

from __future__ import annotations

import pytest

from tests.emulation.conftest import Outcome, stacks
from tests.emulation.events import NEW_TOKENS, flat, pads_itself, refuses, times
from tests.stacks import build

EACH = stacks(*build.names("hpu"))
LAYERS = 2


@EACH
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("batch", ["1", "8"])
def test_every_rank_has_the_tokens_of_plain_transformers(outcome: Outcome, stack: str, number: int, batch: int) -> None:
    ranks = outcome(stack, "ranks.py", ranks=("deepspeed", number))
    assert len(ranks) == number
    reference, right = ranks[0]["plain"][batch], not refuses(stack, number, int(batch))
    for seen in ranks:
        assert [call["tokens"] == reference for call in seen["calls"][batch]] == [right] * 2
        assert seen["shard"] == [512 // number, 128]
        assert seen["device"] == "hpu:0"


@EACH
def test_two_ranks_sum_twice_in_every_layer(outcome: Outcome, stack: str) -> None:
    first, second = outcome(stack, "ranks.py", ranks=("deepspeed", 2))
    for batch in (1, 8):
        for call in first["calls"][str(batch)]:
            width, events = len(call["tokens"][0]), call["events"]
            assert times(events, "collective", op="all_reduce", shape=[batch, width, 128]) == 2 * LAYERS
            assert times(events, "collective", op="all_reduce", shape=[batch, 1, 128]) == 2 * LAYERS * (NEW_TOKENS - 1)
        assert [call["events"] for call in first["calls"][str(batch)]] == [
            call["events"] for call in second["calls"][str(batch)]
        ]


@EACH
@pytest.mark.parametrize("number", [1, 2])
def test_ranks_capture_and_replay_as_one_does(outcome: Outcome, stack: str, number: int) -> None:
    for seen in outcome(stack, "ranks.py", ranks=("deepspeed", number)):
        for batch, captured in (("1", 0), ("8", 2)):
            first, second = (flat(call["events"]) for call in seen["calls"][batch])
            assert [event["graph"] for event in first if event["event"] == "capture"] == [captured, captured + 1]
            assert [event["graph"] for event in second if event["event"] == "replay"] == [captured] + [captured + 1] * (
                NEW_TOKENS - 1
            )
            for call in (first, second):
                steps = [event["event"] for event in call[[event["event"] for event in call].index("mark_step") :]]
                assert steps.count("sync") == 0
                # after the first token
                assert steps.count("synchronize") == (1 if pads_itself(stack) else 0)


@EACH
def test_one_rank_has_nobody_to_sum_with(outcome: Outcome, stack: str) -> None:
    (seen,) = outcome(stack, "ranks.py", ranks=("deepspeed", 1))
    assert all(not times(call["events"], "collective") for call in seen["calls"]["1"])


@EACH
@pytest.mark.parametrize("number", [1, 2])
def test_nothing_of_the_host_is_mixed_in_but_the_biases_that_a_public_deepspeed_hides(
    outcome: Outcome, stack: str, number: int
) -> None:
    """Its sharded layers keep the bias as a plain attribute, which no ``to`` reaches; the vendor's fork registers it."""
    for seen in outcome(stack, "ranks.py", ranks=("deepspeed", number)):
        mixed = [
            event
            for calls in seen["calls"].values()
            for call in calls
            for event in call["events"]
            if event["event"] == "mixed"
        ]
        assert {event["function"] for event in mixed} <= ({"add_"} if number > 1 else set())
        assert all(event["in_capture"] for event in mixed)
