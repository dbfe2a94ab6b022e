"""What is said of a run that ended: from its stage, its pods and the frames in its logs. No cluster is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.contract.errors import ClusterRefused, DamagedResult, JobFailed, NotStarted, ResultLost
from runner.contract.records import JsonObject
from runner.host.cluster import ending, image_ids
from runner.host.cluster.ending import Conclusion
from runner.host.cluster.logs import Frames
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import Observed, Problem, stages
from runner.host.diagnosis.stages import Stage
from runner.host.objects.submitted import to_submit
from tests.support.clusterplay import FIRST, IMAGE, SECOND, bench_job

COMPLETE, FAILED, GONE = (Stage(word, "the Job has ended") for word in (stages.COMPLETE, stages.FAILED, stages.GONE))
NOTHING, WHOLE = Frames({}, {}), Frames({FIRST: b"{}"}, {})


def followed(component: str = "bench", volume: bool = True) -> FollowedRun:
    manifest = to_submit(bench_job("bench-a", component=component, volume=volume))
    name = manifest["metadata"]["name"]
    return FollowedRun(name, "Job", manifest, Path("runs/bench") / name, image_ids.asked_digests(manifest))


def pod(attempts: list[str] | None = None, image: str = IMAGE, started: bool = True) -> JsonObject:
    """Return a pod that ended; ``attempts`` are those that its termination message names, None where it left none."""
    words = {
        "kind": "termination",
        "schema": 1,
        "attempts": [{"attempt": one} for one in attempts or ()],
        "error": None,
    }
    state: JsonObject = {"terminated": {"exitCode": 0, "message": "" if attempts is None else json.dumps(words)}}
    status = {"name": "bench", "state": state if started else {"waiting": {}}, "imageID": image}
    return {
        "metadata": {"name": "bench-a-p1", "uid": "u", "labels": {}},
        "spec": {"containers": [{"name": "bench"}]},
        "status": {"phase": "Succeeded", "containerStatuses": [status]},
    }


def observed(*pods: JsonObject) -> Observed:
    return Observed("bench-a", "bench", job={"metadata": {}}, pods=pods)


def conclude(
    stage: Stage, pods: list[JsonObject], frames: Frames, run: FollowedRun | None = None, problem: Problem | None = None
) -> Conclusion:
    run = run or followed()
    return ending.conclude(run, stage, problem, observed(*pods), frames, "runner follow", Path("partial.json"))


@pytest.mark.parametrize(
    ("stage", "pods", "frames", "lacks"),
    [
        (COMPLETE, [pod([FIRST])], WHOLE, False),
        (COMPLETE, [pod()], WHOLE, False),
        (COMPLETE, [pod()], NOTHING, True),
        (COMPLETE, [], NOTHING, True),
        (GONE, [], NOTHING, True),
        (COMPLETE, [pod([FIRST, SECOND])], WHOLE, True),
        (COMPLETE, [pod()], Frames(WHOLE.whole, {SECOND: DamagedResult("cut")}), True),
        (FAILED, [pod()], NOTHING, True),
        (FAILED, [pod([])], NOTHING, False),
        (FAILED, [pod([FIRST])], NOTHING, True),
        (FAILED, [pod(started=False)], NOTHING, False),
        (FAILED, [], NOTHING, False),
    ],
)
def test_results_are_looked_for_on_the_volume_where_the_log_may_lack_some(
    stage: Stage, pods: list[JsonObject], frames: Frames, lacks: bool
) -> None:
    assert ending.lacks_results(stage, observed(*pods), frames) is lacks


def test_a_whole_result_is_named_and_nothing_went_wrong() -> None:
    conclusion = conclude(COMPLETE, [pod([FIRST])], WHOLE)
    assert conclusion.error is None and not conclusion.lost
    assert conclusion.lines == (f"{followed().name}: 1 whole result in its log: {FIRST}.",)


def test_a_prefetch_has_no_result_to_lose() -> None:
    assert conclude(COMPLETE, [pod()], NOTHING, followed("prefetch")).error is None


def test_a_result_that_the_log_lacks_is_lost_and_what_the_pod_said_of_it_is_kept() -> None:
    conclusion = conclude(COMPLETE, [pod([FIRST, SECOND])], WHOLE)
    assert isinstance(conclusion.error, ResultLost)
    assert f"{SECOND} could be taken neither from the log nor from the volume" in str(conclusion.error)
    assert "are in partial.json; `runner follow` tries once more." in str(conclusion.error)
    assert list(conclusion.lost) == [SECOND]


def test_without_a_volume_a_lost_result_is_not_said_to_be_missing_there() -> None:
    error = conclude(COMPLETE, [pod()], NOTHING, followed(volume=False)).error
    assert isinstance(error, ResultLost)
    assert "its result could be taken not from the log, and there is no volume" in str(error)


def test_a_failed_run_is_told_with_its_reason_and_its_whole_result() -> None:
    conclusion = conclude(FAILED, [pod()], WHOLE, problem=Problem("memory", "It was killed.", "Raise memory."))
    assert isinstance(conclusion.error, JobFailed)
    assert "It was killed. Raise memory. Evidence: " in str(conclusion.error)
    assert len(conclusion.lines) == 1 and not conclusion.lost
    assert "the Job failed and nothing says why." in str(conclude(FAILED, [pod()], WHOLE).error)


@pytest.mark.parametrize(
    ("image", "line"),
    [(IMAGE, None), (f"sha256:{'cd' * 32}", "came from no registry"), ("", "does not say which image ran")],
)
def test_an_image_that_cannot_be_compared_is_said(image: str, line: str | None) -> None:
    lines = conclude(COMPLETE, [pod(image=image)], WHOLE).lines
    assert len(lines) == (1 if line is None else 2)
    assert line is None or line in lines[0]


def test_another_image_than_the_one_asked_for_is_found_and_refused() -> None:
    run, other = followed(), f"registry.test/kit@sha256:{'cd' * 32}"
    assert ending.foreign_image(run, [pod()]) is None
    image = ending.foreign_image(run, [pod(), pod(image=other)])
    assert image is not None and image.reported == other
    error = ending.refused_for_image(run, image, "runner cancel")
    assert f"runs the image {other}, and sha256:{'ab' * 32} was asked for: what it measures is not taken" in str(error)


@pytest.mark.parametrize(("row", "kind"), [("refused", ClusterRefused), ("creating", NotStarted)])
def test_a_run_that_is_given_up_stays_and_how_to_end_it_is_said(row: str, kind: type[Exception]) -> None:
    stage, problem = Stage("new", "waits", row), Problem("quota", "A quota is used up.", "Ask for more.")
    error = ending.given_up(followed(), stage, problem, "runner follow", "runner cancel")
    assert type(error) is kind
    assert "It stays in the cluster: `runner follow` goes on, `runner cancel` ends it." in str(error)
