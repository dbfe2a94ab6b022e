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
from tests.emulation import drive
from tests.emulation.conftest import PythonOf, Ran, stacks
from tests.emulation.runs import PROTOCOLS
from tests.stacks import build

CLONE = "BLOOMZ_BENCH_OPTIMUM_HABANA"
BOTH = stacks(*PROTOCOLS)
WIDTH, NEW = 107, 100

# From a stack to what published.py tells of its script.
Published = Callable[[str], JsonObject]
# as in the post
FLAGS = ["--use_hpu_graphs", "--use_kv_cache", "--max_new_tokens", str(NEW)]
# one card, without --bf16: 1.6 alone has the flag
PRECISION = {"gaudi-1.9": "bfloat16", "gaudi-1.10": "float32", "gaudi-1.24": "float32"}
LAUNCHER = {"gaudi-1.9": "deepspeed", "gaudi-1.10": "python", "gaudi-1.24": "python"}


@pytest.fixture(scope="session")
def published(python: PythonOf, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Return a function that runs a stack's published script once, and returns what published.py tells of it."""
    known: dict[str, JsonObject] = {}

    def of(stack: str) -> JsonObject:
        if CLONE not in os.environ:
            pytest.skip(f"{CLONE} names no clone of huggingface/optimum-habana")
        if stack not in known:
            commit, script = catalog.read().protocols[PROTOCOLS[stack]].source.partition("@")[2].split(":")
            folder = tmp_path_factory.mktemp(stack)
            packed = subprocess.run(
                ["git", "-C", os.environ[CLONE], "archive", commit, os.path.dirname(script)],
                check=True,
                capture_output=True,
            )
            subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
            arguments = [folder / script, "--", *FLAGS]
            (known[stack],) = drive.run(python(stack), "published.py", arguments, (LAUNCHER[stack], 1))
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


@BOTH
def test_on_one_card_the_script_computes_in_this_precision_unless_told_otherwise(
    published: Published, stack: str
) -> None:
    assert published(stack)["precisions"] == [PRECISION[stack]]


@BOTH
def test_the_runner_makes_the_calls_of_the_published_script(published: Published, ran: Ran, stack: str) -> None:
    if stack == "gaudi-1.9" and not os.environ.get(build.OVERRIDE):
        pytest.skip(f"{build.OVERRIDE} names no DeepSpeed of the vendor's, which alone makes graphs")
    wanted, calls = window(published(stack)["events"])
    protocol = catalog.read().protocols[PROTOCOLS[stack]]
    assert calls == protocol.untimed_calls + protocol.timed_calls
    assert sum(event["event"] == "replay" for event in wanted) > calls * (NEW - 2)
    # the vendor's fork of 1.10 leaves 1.5's ALiBi slopes on the host; 1.5 names the fork of 1.9
    assert mixed(published(stack)["events"]) == ({("mul", True)} if stack == "gaudi-1.9" else set())
    assert mixed(ran(stack, precision=PRECISION[stack])[3]) == set()
    calls_of_runner, _ = window(ran(stack, precision=PRECISION[stack])[3])
    assert calls_of_runner[: len(wanted)] == wanted
