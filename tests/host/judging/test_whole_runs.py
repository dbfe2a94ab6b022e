"""Runs as files, through the verb: a planted slow-down is caught, and the same against itself raises no alarm.

The launches are made up, log-normal and seeded: no test waits for a machine, and none depends on one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from runner.__main__ import main
from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import Changed, Inconclusive
from runner.host.verbs import compare
from tests.support.groups import of_launches

LAUNCHES, CALLS = 5, 5
# Of one launch's calls; launches vary by more.
WITHIN = 0.003
CAUGHT_RUNS, SAME_RUNS = 100, 200


@pytest.fixture(autouse=True)
def own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare.indexes, "PATH", tmp_path / "index")


def write(path: Path, random: numpy.random.Generator, median_s: float, variation: float, attempt: str) -> None:
    """Write a whole result of launches on Gaudi2, each with its raw durations and the estimate that follows from them."""
    medians_s = median_s * numpy.exp(random.normal(0, variation, LAUNCHES))
    calls_s = [median_s * numpy.exp(random.normal(0, WITHIN, CALLS)) for median_s in medians_s]
    body, request = of_launches(*(float(sum(durations_s)) / CALLS for durations_s in calls_s))
    body["request"] = replace(request, launches=LAUNCHES).to_json()
    body["attempt"]["id"] = attempt
    for launch, durations_s in zip(body["launches"], calls_s, strict=True):
        iterations_s = [float(duration_s) for duration_s in durations_s]
        launch["timed"] = {**launch["timed"], "iterations_s": iterations_s, "span_s": sum(iterations_s)}
        launch["estimate"] = {**launch["estimate"], "latency_s": sum(iterations_s) / CALLS}
    path.write_text(strictjson.pretty(contract.seal(body)), encoding="utf-8")


def outcome(folder: Path, random: numpy.random.Generator, change: float, variation: float, number: int) -> int:
    """Measure two sides, and return the exit code of the verb that compares them."""
    before, after = folder / f"before-{number}.json", folder / f"after-{number}.json"
    write(before, random, 3.1, variation, f"20261122T{number:06d}Z-0123abcd")
    write(after, random, 3.1 * change, variation, f"20261123T{number:06d}Z-0123abcd")
    return main(["compare", str(after), "--against", str(before), "--fail-on", "changed,inconclusive", "--json"])


def test_a_run_that_is_slower_by_five_percent_is_caught_95_times_in_100(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = numpy.random.default_rng(20230328)
    codes = [outcome(tmp_path, random, 1.05, 0.01, number) for number in range(CAUGHT_RUNS)]
    assert codes.count(Changed.exit_code) >= 95
    printed = capsys.readouterr().out.replace("}\n{", "}\0{").split("\0")
    found = [json.loads(text)["changes"][0]["found"] for text in printed]
    assert len(found) == CAUGHT_RUNS and {*map(tuple, found)} <= {("slower",), ("inconclusive",)}


@pytest.mark.parametrize("variation", [0.01, 0.05])
def test_the_same_against_itself_alarms_at_most_twice_in_200(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], variation: float
) -> None:
    """Launches that vary by 5% too: there the margin keeps no alarm back, and the level alone does."""
    random = numpy.random.default_rng(20230328)
    codes = [outcome(tmp_path, random, 1.0, variation, number) for number in range(SAME_RUNS)]
    assert codes.count(Changed.exit_code) <= 2
    assert {*codes} <= {0, Changed.exit_code, Inconclusive.exit_code}
    if variation == 0.01:
        # equivalence is shown, and not only the absence of a difference
        assert codes.count(0) > SAME_RUNS / 2
