"""Call for call: the runner does to the device what upstream's published script does, from the first call to the last timed one.

The scripts are no part of this kit. BLOOMZ_BENCH_OPTIMUM_HABANA names a clone of huggingface/optimum-habana, in which they are found
at the commits that the protocols name; without it nothing is compared here. 1.5 makes graphs under the vendor's DeepSpeed alone,
which BLOOMZ_BENCH_DEEPSPEED names.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from runner.contract.records import JsonObject
from runner.host.readers import catalog
from tests.emulation import drive, runs
from tests.emulation.conftest import PythonOf, Ran, stacks
from tests.emulation.events import is_under_deepspeed
from tests.stacks import build

EACH = stacks(*build.names("hpu"))
WIDTH, NEW = 107, 100

# From a stack to what published.py tells of its script.
Published = Callable[[str], JsonObject]
# as in the post
FLAGS = ["--use_hpu_graphs", "--use_kv_cache", "--max_new_tokens", str(NEW)]


def precision(stack: str) -> str:
    """Return the precision of one card without --bf16: from 1.6 on there is such a flag, before there is bfloat16 alone."""
    return "bfloat16" if is_under_deepspeed(stack) else "float32"


@pytest.fixture(scope="session")
def published(python: PythonOf, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Return a function that runs a stack's published script once, and returns what published.py tells of it."""
    known: dict[str, JsonObject] = {}

    def of(stack: str) -> JsonObject:
        if build.CLONE not in os.environ:
            pytest.skip(f"{build.CLONE} names no clone of huggingface/optimum-habana")
        if stack not in known:
            commit, script = catalog.read().protocols[runs.protocol_of(stack)].source.partition("@")[2].split(":")
            folder = tmp_path_factory.mktemp(stack)
            packed = subprocess.run(
                ["git", "-C", os.environ[build.CLONE], "archive", commit, os.path.dirname(script)],
                check=True,
                capture_output=True,
            )
            subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
            arguments = [folder / script, "--", *FLAGS]
            launcher = "deepspeed" if is_under_deepspeed(stack) else "python"
            (known[stack],) = drive.run(python(stack), "published.py", arguments, (launcher, 1))
        return known[stack]

    return of


def window(events: list[JsonObject]) -> tuple[list[JsonObject], int]:
    """Return the events from the first call's token_idx, or its ids, to the last call's copy to the host, and how many calls there were.

    Left out is what a device would have refused.
    """
    copied = [(event["event"], event.get("shape")) for event in events]
    padded, given = [("h2d", []), ("h2d", [1, WIDTH])], [("h2d", [1, WIDTH - NEW])] * 2
    first = next(number for number in range(len(events)) if copied[number : number + 2] in (padded, given))
    ends = [number for number, event in enumerate(events) if event["event"] == "d2h" and event["shape"] == [1, WIDTH]]
    return [event for event in events[first : ends[-1] + 1] if event["event"] != "mixed"], len(ends)


def mixed(events: list[JsonObject]) -> set[tuple[str, bool]]:
    return {(event["function"], event["in_capture"]) for event in events if event["event"] == "mixed"}


@EACH
def test_on_one_card_the_script_computes_in_this_precision_unless_told_otherwise(
    published: Published, stack: str
) -> None:
    assert published(stack)["precisions"] == [precision(stack)]


@EACH
def test_the_runner_makes_the_calls_of_the_published_script(published: Published, ran: Ran, stack: str) -> None:
    if is_under_deepspeed(stack) and not os.environ.get(build.OVERRIDE):
        pytest.skip(f"{build.OVERRIDE} names no DeepSpeed of the vendor's, which alone makes graphs")
    wanted, calls = window(published(stack)["events"])
    protocol = catalog.read().protocols[runs.protocol_of(stack)]
    assert calls == protocol.untimed_calls + protocol.timed_calls
    assert sum(event["event"] == "replay" for event in wanted) > calls * (NEW - 2)
    # the vendor's fork of 1.10 leaves 1.5's ALiBi slopes on the host; 1.5 names the fork of 1.9
    assert mixed(published(stack)["events"]) == ({("mul", True)} if is_under_deepspeed(stack) else set())
    assert mixed(ran(stack, precision=precision(stack))[3]) == set()
    calls_of_runner, _ = window(ran(stack, precision=precision(stack))[3])
    assert calls_of_runner[: len(wanted)] == wanted
