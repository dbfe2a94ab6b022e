"""The runner itself on the exact stacks: a request goes in, a result comes out, with the tokens and the calls that are prescribed.

Each launch is started by the command that the stack's launcher builds, on the stack's own Python. The calls that the protocol's
row prescribes are held against those that the stand-in for the device noted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.contract.records import JsonObject
from runner.host.judging import comparison
from runner.host.judging.groups import Group
from runner.host.readers import catalog
from runner.host.results import attempts
from tests.emulation import reference, runs
from tests.emulation.conftest import Loaded, PythonOf, Ran, stacks
from tests.emulation.events import before_the_loop, calls_of, is_before_1_5, is_under_deepspeed, pads_itself, refuses
from tests.emulation.runs import launch_of
from tests.stacks import build

EACH = stacks(*build.names("hpu"))
NEW, WIDTH = 100, 107
INSTRUMENTED = 3


@EACH
@pytest.mark.parametrize("graphs, batch", [(True, 1), (False, 1), (True, 8)])
def test_one_device_gives_the_tokens_of_plain_transformers(ran: Ran, stack: str, graphs: bool, batch: int) -> None:
    """Those that today's transformers gives on the CPU, too: the reference is one and the same."""
    launch = launch_of(ran(stack, graphs=graphs, batch=batch))
    assert {strictjson.sha256_of(row) for row in launch["tokens"]["output_ids"]} == {reference.output_ids_sha256()}
    assert launch["conditions"]["graphs"] is graphs
    assert launch["conditions"]["shapes"] == "static"
    assert (launch["conditions"]["device"], launch["conditions"]["emulated"]) == ("hpu", True)


@EACH
@pytest.mark.parametrize("ranks", [1, 2])
def test_two_launches_count_the_same_operators_of_the_first_tokens(python: PythonOf, stack: str, ranks: int) -> None:
    first, second = (launch_of(runs.run(python(stack), stack, ranks, operators=True)) for _ in range(2))
    told = first["operators"]
    assert told is not None
    assert second["operators"] == told
    assert told["output_ids"] == [row[:4] for row in first["tokens"]["output_ids"]]
    # The blocks' linear layers without a bias, or cut among ranks, are matrix products; every pass has one of the head at least.
    assert sum(told["calls"].get(name, 0) for name in ("aten::addmm", "aten::mm", "aten::bmm", "aten::matmul")) >= 4 * 9
    assert [check["passed"] for check in first["checks"] if check["name"] == "operators"] == [True]


def assert_refused(outcome: runs.Outcome) -> None:
    done, result, _, _ = outcome
    assert done.returncode != 0 and result is None
    assert "gives wrong tokens for a batch of" in done.stderr


@EACH
@pytest.mark.parametrize("graphs, batch", [(True, 1), (False, 1), (True, 8)])
def test_two_ranks_give_the_same_tokens(ran: Ran, stack: str, graphs: bool, batch: int) -> None:
    outcome = ran(stack, ranks=2, graphs=graphs, batch=batch)
    if refuses(stack, 2, batch):
        assert_refused(outcome)
        return
    launch = launch_of(outcome)
    assert {strictjson.sha256_of(row) for row in launch["tokens"]["output_ids"]} == {reference.output_ids_sha256()}
    assert launch["conditions"]["engine"] == "optimum-habana-deepspeed"
    assert [rank["rank"] for rank in launch["ranks"]] == [0, 1]
    assert len({rank["tokens_sha256"] for rank in launch["ranks"]}) == 1


@EACH
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_wrong_position_a_wrong_mask_and_weights_that_load_nothing_are_caught(
    loaded: Loaded, stack: str, ranks: int
) -> None:
    seen = loaded("spoiled.py", stack, ranks=ranks, graphs=False)
    hashes = {how: {strictjson.sha256_of(row) for row in rows} for how, rows in seen.items() if how != "weights"}
    # what the check output_ids compares with
    assert hashes["right"] == hashes["filled again"] == {reference.output_ids_sha256()}
    assert hashes["hidden"] != hashes["right"]
    # where upstream pads by itself, a call tells neither the position nor the mask of padding
    if not pads_itself(stack):
        assert hashes["behind"] != hashes["right"] != hashes["unmasked"]
    said = seen["weights"]
    assert said["none"].startswith("FOLDER lacks ") and said["none"].endswith("Fetch it again, whole.")
    assert "which FOLDER's BLOOM has not. It is another model's file." in said["of another model"]
    assert "FOLDER/pytorch_model.bin" in said["of another shape"]
    assert said["whole"] is None


@EACH
def test_every_check_that_can_be_made_was_made(ran: Ran, stack: str) -> None:
    checks = {check["name"]: check for check in launch_of(ran(stack))["checks"]}
    refused = [name for name, check in checks.items() if check["act"] == "refuse" and check["passed"] is False]
    assert refused == []
    for name in (
        "inventory",
        "generation",
        "variables",
        "input_ids",
        "output_ids",
        "device",
        "logits_on_device",
        "kv_cache",
    ):
        assert checks[name]["passed"] is True, name
    for name in ("device_memory", "operator_fallback", "synchronised", "exclusive_device"):
        assert (checks[name]["passed"], checks[name]["reason"]) == (None, "something stands in for the device")


@EACH
def test_a_stand_in_is_comparable_with_nothing(ran: Ran, stack: str) -> None:
    _, result, asked, _ = ran(stack)
    assert result is not None
    asked = replace(asked, beside=["post-3-gaudi2-1-bloomz-7b1"])
    group = Group(asked)
    group.add(attempts.of_result(result), "")
    (row,) = comparison.against_claims(catalog.read(), group)
    assert row.verdict.word == "NOT-COMPARABLE"
    assert "emulated" in [difference.condition for difference in row.differences]


def count(call: Iterable[JsonObject], kind: str, **facts: object) -> int:
    return sum(event["event"] == kind and all(event.get(key) == facts[key] for key in facts) for event in call)


@EACH
@pytest.mark.parametrize("batch", [1, 8])
def test_calls_come_as_the_protocol_prescribes(ran: Ran, stack: str, batch: int) -> None:
    """Untimed calls, one synchronisation, timed calls and none after them; the second one here asks what was left to do."""
    protocol = catalog.read().protocols[runs.protocol_of(stack)]
    kinds, _ = calls_of(ran(stack, graphs=True, batch=batch)[3], batch, WIDTH)
    loading, untimed, timed = ["synchronize"], ["call"] * protocol.untimed_calls, ["call"] * protocol.timed_calls
    assert (protocol.untimed_calls, protocol.timed_calls) == (2 if is_under_deepspeed(stack) else 3, 5)
    # upstream hands the padded prompt to a streamer first; before 1.5.0 it knows none, and the runner hands it over
    instrumented = ["call"] * (1 if is_before_1_5(stack) else 2) * INSTRUMENTED
    assert kinds == loading + untimed + ["synchronize"] + timed + ["synchronize"] + instrumented


@EACH
@pytest.mark.parametrize("batch", [1, 8])
def test_the_timed_window_replays_what_the_first_call_captured_and_never_waits(
    ran: Ran, stack: str, batch: int
) -> None:
    """But once, with the script that asks when the first token was there; before that upstream's newest compares and reads."""
    first_token = 1 if pads_itself(stack) else 0
    before = [by for event, by in before_the_loop(stack, batch, WIDTH) if event == "sync"]
    untimed = catalog.read().protocols[runs.protocol_of(stack)].untimed_calls
    _, calls = calls_of(ran(stack, graphs=True, batch=batch)[3], batch, WIDTH)
    first, window = calls[0], calls[untimed : untimed + 5]
    assert [noted["graph"] for noted in first if noted["event"] == "capture"] == [0, 1]
    assert count(first, "replay", graph=1) == NEW - 2
    for call in window:
        assert (count(call, "replay", graph=0), count(call, "replay", graph=1)) == (1, NEW - 1)
        assert count(call, "mark_step") == NEW
        steps = call[[noted["event"] for noted in call].index("mark_step") :]
        assert [count(steps, kind) for kind in ("capture", "sync", "mixed", "synchronize")] == [0, 0, 0, first_token]
        assert [noted["by"] for noted in call if noted["event"] == "sync"] == before
        assert count(call, "d2h") == 1
        shapes = [noted["shape"] for noted in call if noted["event"] == "h2d"]
        given = [[batch, WIDTH - NEW]] * 2 if pads_itself(stack) else [[], [batch, WIDTH], [batch, WIDTH]]
        assert shapes[: len(given)] == given


@EACH
def test_shapes_never_change(ran: Ran, stack: str) -> None:
    _, calls = calls_of(ran(stack)[3], 1, WIDTH)
    prompt, token = (event["shapes"] for event in calls[0] if event["event"] == "capture")
    assert [shape for shape in prompt if len(shape) == 2] == [[1, WIDTH], [1, WIDTH]]
    assert token[0] == [1, 1]
    assert [4, 32, WIDTH] in token and [4, WIDTH, 32] in token


@EACH
def test_the_command_and_the_variables_are_upstream_s(ran: Ran, stack: str) -> None:
    launch = launch_of(ran(stack))
    under_deepspeed = "deepspeed.launcher.runner" in launch["command"]
    assert under_deepspeed is is_under_deepspeed(stack)
    assert (launch["variables"].get("PT_HPU_LAZY_ACC_PAR_MODE") == "0") is under_deepspeed
    assert (launch["variables"].get("PT_HPU_ENABLE_LAZY_COLLECTIVES") == "true") is under_deepspeed
    assert (launch["variables"].get("PT_HPU_LAZY_MODE") == "1") is pads_itself(stack)
    assert (launch["variables"].get("WA_BETA_ALIBI") == "1") is is_before_1_5(stack)
    command = launch_of(ran(stack, ranks=2, graphs=True))["command"]
    start = command.index("deepspeed.launcher.runner") + 1
    assert command[start : start + 5] == ["--num_nodes", "1", "--num_gpus", "2", "--no_local_rank"]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference.write_rows(tmp_path_factory.mktemp("rows"))


@EACH
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_dataset_is_completed_with_the_completions_of_plain_transformers(
    ran: Ran, rows: Path, stack: str, ranks: int, batch: int
) -> None:
    """16 tokens in, 50 out, as the post's second run; shorter rows are padded to 16 on the left."""
    outcome = ran(stack, ranks=ranks, dataset_file=str(rows), batch=batch, graphs=True)
    if refuses(stack, ranks, batch):
        assert_refused(outcome)
        return
    launch = launch_of(outcome)
    assert len(launch["ranks"]) == ranks
    assert (launch["dataset"]["rows"], launch["dataset"]["rows_total"]) == (6, 6)
    assert launch["dataset"]["tokens_sha256"] == reference.completions_sha256(rows)
