"""Unmodified optimum-habana generates on the stacks, and makes the calls that its published script makes on the device."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from runner.contract.records import JsonObject
from runner.host.readers import lockfile
from tests.emulation.conftest import Outcome, stacks
from tests.emulation.events import NEW_TOKENS, before_the_loop, flat, is_under_deepspeed, pads_itself, times
from tests.stacks import build

EACH = stacks(*build.names("hpu"))


def run_of(outcome: Outcome, stack: str, graphs: bool, batch: int) -> tuple[JsonObject, JsonObject]:
    seen = outcome(stack, "scenario.py", "single")
    (run,) = (run for run in seen["runs"] if (run["graphs"], run["batch"]) == (graphs, batch))
    return seen, run


def short(events: Iterable[JsonObject]) -> list[tuple[int, str, int | None, bool]]:
    """Return events without shapes: (times, event, graph or None, in_capture)."""
    return [(event["times"], event["event"], event.get("graph"), event.get("in_capture", False)) for event in events]


@EACH
def test_the_stack_is_the_pinned_one(outcome: Outcome, stack: str) -> None:
    seen = outcome(stack, "scenario.py", "single")
    locked = lockfile.read().stacks[stack]
    names = ("torch", "transformers", "optimum-habana")
    assert [seen[name].split("+")[0] for name in names] == [locked.packages[name].version for name in names]
    assert seen["python"] == locked.python
    assert seen["class"] == "GaudiBloomForCausalLM"


@EACH
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("graphs", [False, True])
def test_tokens_are_those_of_plain_transformers(outcome: Outcome, stack: str, graphs: bool, batch: int) -> None:
    seen, run = run_of(outcome, stack, graphs, batch)
    reference = seen["plain"][str(batch)]
    assert len(reference) == batch
    # else equality would say little
    assert len(set(reference[0])) > 40
    assert [call["tokens"] == reference for call in run["calls"]] == [True] * 3


@EACH
@pytest.mark.parametrize("wrong", ["behind", "unmasked"])
def test_a_wrong_position_and_a_wrong_mask_give_other_tokens(outcome: Outcome, stack: str, wrong: str) -> None:
    seen = outcome(stack, "scenario.py", "single")
    assert seen["padded"]["right"] == seen["plain"]["1"]
    assert seen["padded"][wrong] != seen["plain"]["1"]
    assert len(seen["padded"][wrong][0]) == len(seen["plain"]["1"][0])


@EACH
@pytest.mark.parametrize("batch", [1, 8])
def test_two_graphs_are_captured_once_and_replayed_ever_after(outcome: Outcome, stack: str, batch: int) -> None:
    _, run = run_of(outcome, stack, True, batch)
    first, *later = (flat(call["events"]) for call in run["calls"])
    loops = [
        [(noted["event"], noted.get("graph")) for noted in events if not noted.get("in_capture")]
        for events in (first, *later)
    ]
    step = ("mark_step", None)
    width = len(run["calls"][0]["tokens"][0])
    to_device, to_host = [(event, None) for event, _ in before_the_loop(stack, batch, width)], [("d2h", None)]
    # the time of the first token was asked for
    short_calls = [("synchronize", None)] if pads_itself(stack) else []
    compiled = [step, ("capture", 0), *short_calls, step, ("capture", 1)] + [step, ("replay", 1)] * (NEW_TOKENS - 2)
    replayed = [step, ("replay", 0), *short_calls] + [step, ("replay", 1)] * (NEW_TOKENS - 1)
    assert loops[0] == to_device + compiled + to_host
    assert loops[1:] == [to_device + replayed + to_host] * 2


@EACH
@pytest.mark.parametrize("batch", [1, 8])
def test_shapes_are_static(outcome: Outcome, stack: str, batch: int) -> None:
    _, run = run_of(outcome, stack, True, batch)
    prompt, token = (event["shapes"] for event in run["calls"][0]["events"] if event["event"] == "capture")
    width = len(run["calls"][0]["tokens"][0])
    cache = [[batch * 4, 32, width], [batch * 4, width, 32]] * 2
    # transformers' own, which BLOOM is handed and ignores
    positions = [[[width]], [[1]]] if pads_itself(stack) else [[], []]
    assert prompt == [[batch, width], *positions[0], [batch, width], []]
    assert token == [[batch, 1], *positions[1], *cache, [batch, width], []]


@EACH
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("graphs", [False, True])
def test_the_loop_never_waits_and_copies_to_the_host_once(
    outcome: Outcome, stack: str, graphs: bool, batch: int
) -> None:
    _, run = run_of(outcome, stack, graphs, batch)
    for call in run["calls"]:
        width = len(call["tokens"][0])
        wanted = before_the_loop(stack, batch, width)
        before, events = flat(call["events"])[: len(wanted)], flat(call["events"])[len(wanted) :]
        assert [(event["event"], event.get("shape", event.get("by"))) for event in before] == wanted
        kinds = [event["event"] for event in events]
        assert kinds.count("sync") == kinds.count("mixed") == 0
        assert kinds.count("synchronize") == (1 if pads_itself(stack) else 0)
        assert kinds.count("mark_step") == NEW_TOKENS
        assert kinds.count("d2h") == 1 and events[-1]["shape"] == [batch, width]


@EACH
def test_what_is_copied_to_the_device_inside_the_loop(outcome: Outcome, stack: str) -> None:
    """Since 1.6 ALiBi is built in every forward pass, from a number of the host; 1.5 keeps its slopes on the device."""
    passes = 0 if is_under_deepspeed(stack) else 1
    _, eager = run_of(outcome, stack, False, 1)
    outside = [event for event, _ in before_the_loop(stack, 1, NEW_TOKENS)].count("h2d")
    assert [times(call["events"], "h2d") - outside for call in eager["calls"]] == [passes * NEW_TOKENS] * 3
    _, graphs = run_of(outcome, stack, True, 1)
    assert [times(call["events"], "h2d", in_capture=True) for call in graphs["calls"]] == [2 * passes, 0, 0]


@EACH
def test_the_trace_tells_plain_transformers_from_upstream_s(outcome: Outcome, stack: str) -> None:
    seen = outcome(stack, "scenario.py", "growing")
    assert times(seen["events"], "capture") == seen["new"] == 20
    assert times(seen["events"], "replay") == 0
    assert times(seen["events"], "sync", by="bool") >= seen["new"]
    assert times(seen["events"], "mark_step") == 0
