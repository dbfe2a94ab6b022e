import json

import pytest

from runner.contract import termination
from runner.contract.errors import DamagedResult, LaunchFailed
from tests.support import samples


def one(number=0, launches=5):
    result = samples.result(attempt_id=f"20261122T100000Z-{number:08x}")
    return {**termination.summary(result), "latency_s": [3.103 + number] * launches, "launches": launches}


def test_a_result_is_told_by_its_attempt_its_estimates_and_its_sha256():
    result = samples.result()
    assert termination.summary(result) == {
        "attempt": "20261122T100000Z-0123abcd",
        "request": samples.request().id,
        "status": "complete",
        "latency_s": [0.25],
        "launches": 1,
        "sha256": result["sha256"],
    }


def test_a_launch_without_an_estimate_counts_and_has_none():
    body = samples.body(status="failed")
    del body["launches"][0]["estimate"]
    told = termination.summary({**body, "sha256": "0" * 64})
    assert (told["latency_s"], told["launches"], told["status"]) == ([], 1, "failed")


def test_what_is_written_is_read_again():
    text = termination.write([one()], LaunchFailed("A rank died."))
    assert termination.read(text, "here") == {
        "kind": "termination",
        "schema": 1,
        "attempts": [one()],
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
def test_what_no_bench_leaves_is_not_taken_for_last_words(given):
    told = {**json.loads(termination.write([one()])), **given}
    with pytest.raises(DamagedResult, match="holds what no bench leaves there"):
        termination.read(json.dumps(told), "here")


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
def test_it_is_never_longer_than_the_kubelet_keeps(summaries, message, kept, dropped, estimates, cut):
    text = termination.write([one(number, launches=9) for number in range(summaries)], LaunchFailed(message))
    assert len(text.encode()) <= 4096
    told = termination.read(text, "here")
    assert (told["error"]["message"] != message) == cut
    if kept is None:
        assert told["attempts"]
        assert len(told["attempts"]) + told["dropped"] == summaries
        assert told["attempts"][-1]["attempt"].endswith(f"{summaries - 1:08x}")
    else:
        assert (len(told["attempts"]), told["dropped"]) == (kept, dropped)
        assert all((one["latency_s"] is not None) == estimates for one in told["attempts"])


@pytest.mark.parametrize(
    "text", ["", "Traceback (most recent call last)", "{}", json.dumps({"kind": "termination", "schema": 2})]
)
def test_anything_else_is_not_taken_for_it(text):
    with pytest.raises(DamagedResult, match="here"):
        termination.read(text, "here")
