from __future__ import annotations

import functools
import math
import statistics
from dataclasses import replace

import pytest
from scipy import stats

from runner.contract.records import JsonObject
from runner.contract.request import Accelerator, Weights
from runner.host.judging import history, run_changes
from runner.host.judging.groups import Group
from runner.host.judging.history import MOST_POINTS
from runner.host.judging.measured import Measured
from runner.host.judging.run_changes import Pair, Rule
from runner.host.readers import catalog
from tests.support import samples
from tests.support.groups import flag, group

STEADY, SLOWER = (3.10, 3.11, 3.09, 3.10, 3.12), (3.50, 3.51, 3.49, 3.50, 3.52)
_tables = functools.cache(catalog.read)


def at(day: int, *latencies_s: float, **changes: object) -> Group:
    """Return a group whose only attempt began on a day of November."""
    return group(*latencies_s, attempt_id=f"202611{day:02}T100000Z-0123abcd", **changes)  # type: ignore[arg-type]


def of(*groups: Group, rule: Rule | None = None) -> list[history.History]:
    return [history.of_case(sets, rule) for sets in history.by_case(map(Measured, groups))]


def test_each_set_of_pins_is_a_point_and_neighbours_are_compared_by_run_against_run() -> None:
    first, second, third = at(1, *STEADY), at(8, *reversed(STEADY), torch="2.13.1"), at(9, *SLOWER, torch="2.14.0")
    (found,) = of(third, first, second)
    assert [(point.name, point.day) for point in found.points] == [
        (first.request.id, "2026-11-01"),
        (second.request.id, "2026-11-08"),
        (third.request.id, "2026-11-09"),
    ]
    expected = [run_changes.between(pair) for pair in (Pair(first, second), Pair(second, third))]
    assert [step.word for step in found.steps] == [change.word for change in expected] == ["UNCHANGED", "CHANGED"]
    for step, change in zip(found.steps, expected, strict=True):
        assert (step.reasons, step.ratio, step.p) == (change.reasons, change.times.ratio, change.times.p)
    (step,) = found.changes
    assert (step.before, step.moved) == (1, {"torch": ["2.13.1", "2.14.0"]})
    assert found.what == "gaudi2-8-bloomz: 8 x gaudi2, bloomz, bfloat16"


def test_two_histories_of_a_case_have_words_of_their_own() -> None:
    wide = samples.workload(precision="bfloat16", batch_size=8)
    once, again = (at(day, *STEADY, torch=torch) for day, torch in ((1, "2.13.0"), (2, "2.14.0")))
    in_rows = [at(day, *STEADY, torch=torch, workload=wide) for day, torch in ((3, "2.13.0"), (4, "2.14.0"))]
    assert [each.what for each in of(once, again, *in_rows)] == [
        "gaudi2-8-bloomz: 8 x gaudi2, bloomz, bfloat16",
        "gaudi2-8-bloomz: 8 x gaudi2, bloomz, bfloat16, batch of 8",
    ]


def test_a_point_is_the_geometric_mean_of_launches_with_its_interval() -> None:
    (found,) = of(at(1, *STEADY), at(2, 3.2, torch="2.14.0"))
    steady, single = found.points
    logs = list(map(math.log, STEADY))
    low, high = stats.t.interval(0.90, 4, statistics.fmean(logs), stats.sem(logs))
    assert steady.latency_s == pytest.approx(statistics.geometric_mean(STEADY))
    assert steady.interval_s == pytest.approx((math.exp(low), math.exp(high)))
    assert (single.latency_s, single.interval_s, single.launches) == (pytest.approx(3.2), None, 1)
    assert found.steps[0].word == "INCONCLUSIVE"


def test_the_order_is_that_of_the_first_attempts() -> None:
    old, new = at(5, *STEADY), at(9, *STEADY, torch="2.14.0")
    old.attempts.append("20261130T100000Z-0123abcd")
    (found,) = of(new, old)
    assert [point.day for point in found.points] == ["2026-11-05", "2026-11-09"]


def test_one_set_of_pins_and_other_cases_make_no_history() -> None:
    assert of(at(1, *STEADY)) == []
    assert of(at(1, *STEADY), at(2, *SLOWER, case="gaudi2-8-bloomz-1.24")) == []
    assert of(at(1, *STEADY), at(2, *SLOWER, weights=Weights("dummy", 29, 0.3))) == []


def test_a_change_of_counts_is_a_change_where_times_are_not_judged() -> None:
    host = {"accelerator": Accelerator("cpu", "cpu", None, None)}

    def other_tokens(body: JsonObject) -> None:
        for launch in body["launches"]:
            launch["tokens"]["outputs_sha256"] = ["f" * 64] * 5

    (times,) = of(at(1, *STEADY, **host), at(2, *SLOWER, torch="2.14.0", **host))
    assert [step.word for step in times.steps] == ["UNCHANGED"], "times of a CPU are drawn and not judged"
    assert [round(point.latency_s, 2) for point in times.points] == [3.1, 3.5]
    (counts,) = of(at(1, *STEADY, **host), at(2, *STEADY, torch="2.14.0", spoil=other_tokens, **host))
    assert [step.word for step in counts.steps] == ["CHANGED"]
    (judged,) = of(at(1, *STEADY, **host), at(2, *SLOWER, torch="2.14.0", **host), rule=Rule(judge_cpu=True))
    assert [step.word for step in judged.steps] == ["CHANGED"]


def test_launches_beside_other_work_are_inconclusive() -> None:
    (found,) = of(at(1, *STEADY), at(2, *SLOWER, torch="2.14.0", spoil=flag("cpu_pressure", 0)))
    assert (found.steps[0].word, found.changes) == ("INCONCLUSIVE", [])
    assert "did other work" in found.steps[0].reasons[0]


def test_what_tells_no_time_is_counted_and_no_point() -> None:
    stood_in, impossible = at(3, *STEADY, torch="2.15.0", emulated=True), at(4, 0.01, 0.01, torch="2.16.0")
    (found,) = of(at(1, *STEADY), at(2, *STEADY, torch="2.14.0"), stood_in, impossible)
    assert (len(found.points), found.untimed) == (2, 2)


def test_a_long_history_keeps_the_newest_points() -> None:
    groups = [at(1, *STEADY) for _ in range(MOST_POINTS + 3)]
    for number, each in enumerate(groups):
        each.attempts = [f"2026{1 + number // 28:02}{1 + number % 28:02}T100000Z-0123abcd"]
    (found,) = of(*groups)
    assert (len(found.points), len(found.steps), found.older) == (MOST_POINTS, MOST_POINTS - 1, 3)
    assert (found.points[0].day, found.points[-1].day) == ("2026-01-04", "2026-03-07")


def test_baselines_of_a_ci_are_a_published_history_over_releases() -> None:
    by_what = {each.what: each for each in history.published(_tables())}
    found = by_what["published by ci: 8 x gaudi2, bloomz"]
    assert [point.name for point in found.points] == ["ci-1.9.0", "ci-1.10.4", "ci-1.11.0"], "1.9 is older than 1.10"
    claims = {claim.source: claim for claim in _tables().claims.values() if claim.model == "bloomz"}
    assert [point.latency_s for point in found.points] == pytest.approx(
        [claims[point.name].latency_s for point in found.points]
    )
    assert (found.published, found.steps, found.points[0].day) == (True, [], None)
    assert not any("post" in what for what in by_what), "revisions of the post differ in their protocol too"


def test_a_baseline_that_never_moved_is_no_history() -> None:
    tables = _tables()
    kept = {
        name: replace(claim, value="33.0") for name, claim in tables.claims.items() if claim.source.startswith("ci-")
    }
    assert history.published(replace(tables, claims=kept)) == []
