from __future__ import annotations

import json
from typing import cast

import pytest

from runner.contract import termination
from runner.contract.errors import DamagedResult, LaunchFailed
from runner.contract.records import JsonObject, Result
from tests.support import samples


def summary(number: int = 0, launches: int = 5) -> termination.Summary:
    result = cast(Result, samples.result(attempt_id=f"20261122T100000Z-{number:08x}"))
    return {**termination.summary(result), "latency_s": [3.103 + number] * launches, "launches": launches}


def test_a_result_is_told_by_its_attempt_its_estimates_and_its_sha256() -> None:
    result = cast(Result, samples.result())
    assert termination.summary(result) == {
        "attempt": "20261122T100000Z-0123abcd",
        "request": samples.request().id,
        "status": "complete",
        "latency_s": [0.25],
        "launches": 1,
        "sha256": result["sha256"],
    }


def test_a_launch_without_an_estimate_counts_and_has_none() -> None:
    body = samples.body(status="failed")
    del body["launches"][0]["estimate"]
    failed = termination.summary(cast(Result, {**body, "sha256": "0" * 64}))
    assert (failed["latency_s"], failed["launches"], failed["status"]) == ([], 1, "failed")


def test_what_is_written_is_read_again() -> None:
    text = termination.write([summary()], LaunchFailed("A rank died."))
    assert termination.read(text, "here") == {
        "kind": "termination",
        "schema": 1,
        "attempts": [summary()],
        "dropped": 0,
        "error": {"exit_code": 6, "message": "A rank died."},
    }


@pytest.mark.parametrize(
    "given",
    [
        {"attempts": None},
        {"attempts": [1]},
        {"attempts": [{}]},
        {"attempts": [{"attempt": "\x1b[2J20261122T100000Z-0123abcd"}]},
        {"error": "text"},
        {"error": {"message": 1}},
    ],
)
def test_what_no_bench_leaves_is_not_taken_for_last_words(given: JsonObject) -> None:
    spoiled = {**json.loads(termination.write([summary()])), **given}
    with pytest.raises(DamagedResult, match="holds what no bench leaves there"):
        termination.read(json.dumps(spoiled), "here")


@pytest.mark.parametrize(
    "summaries, message, kept, dropped, estimates, cut",
    [
        (3, "short", 3, 0, True, False),
        (1, "x" * 9000, 1, 0, True, True),
        (1, "ü" * 9000, 1, 0, True, True),  # two bytes each
        (16, "short", 16, 0, False, False),
        (200, "x" * 9000, None, None, None, True),
        (0, "\x00" * 9000, 0, 0, True, True),  # six bytes each, once escaped: nothing is left but the cut sentence
    ],
)
def test_it_is_never_longer_than_the_kubelet_keeps(
    summaries: int, message: str, kept: int | None, dropped: int | None, estimates: bool | None, cut: bool
) -> None:
    text = termination.write([summary(number, launches=9) for number in range(summaries)], LaunchFailed(message))
    assert len(text.encode()) <= 4096
    last = termination.read(text, "here")
    assert last["error"] is not None
    assert (last["error"]["message"] != message) == cut
    if kept is None:
        assert last["attempts"]
        assert len(last["attempts"]) + last["dropped"] == summaries
        assert last["attempts"][-1]["attempt"].endswith(f"{summaries - 1:08x}")
    else:
        assert (len(last["attempts"]), last["dropped"]) == (kept, dropped)
        assert all((summary["latency_s"] is not None) == estimates for summary in last["attempts"])


@pytest.mark.parametrize(
    "text", ["", "Traceback (most recent call last)", "{}", json.dumps({"kind": "termination", "schema": 2})]
)
def test_anything_else_is_not_taken_for_it(text: str) -> None:
    with pytest.raises(DamagedResult, match="here"):
        termination.read(text, "here")
