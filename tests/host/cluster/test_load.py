"""Many runs at once."""

from __future__ import annotations

import pytest

from tests.perf import cluster


@pytest.mark.slow
def test_many_runs_are_followed_by_a_bounded_number_of_requests_and_each_result_is_taken_once() -> None:
    load = cluster.follow(40, together=10)
    assert load["failed"] == 0
    assert load["results"] == load["distinct_results"] == 40
    requests = load["requests"]
    streams = {key: count for key, count in requests.items() if key.startswith("watch ")}
    assert sum(streams.values()) <= 3 * 5  # three kinds, a watch of each every few minutes
    # for each run at most: a list of its pods, its log twice; and a few lists for all
    assert sum(requests.values()) - sum(streams.values()) <= 4 * 40 + 3 * 5
