"""The plan of a submission: which runs in which order, and what is done with each as the cluster has it. No cluster is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import ClusterRefused, NotStarted, UsageError
from runner.contract.records import JsonObject
from runner.host.cluster import image_ids, submission
from runner.host.cluster.runs import FollowedRun
from runner.host.cluster.submission import Decision, Repetition, State, Step
from runner.host.objects.manifest_files import Manifest
from runner.host.objects.names import SPEC_SHA256
from runner.host.objects.submitted import to_submit
from tests.support import clusterplay
from tests.support.clusterplay import bench_job, condition

ENDED = {State.COMPLETE: "Complete", State.FAILED: "Failed"}


def manifests(*things: JsonObject) -> list[Manifest]:
    return [Manifest(thing, Path("60-bench.yaml")) for thing in things]


def run_of(component: str = "bench", number: int = 1) -> FollowedRun:
    manifest = submission.repeated(to_submit(bench_job(component=component)), number)
    name = manifest["metadata"]["name"]
    return FollowedRun(name, "Job", manifest, Path("build/runs/bench") / name, image_ids.asked_digests(manifest))


def repetition(state: State, component: str = "bench", number: int = 1) -> Repetition:
    """Return a repetition of a run that was submitted before."""
    run = run_of(component, number)
    if state == State.GONE:
        return Repetition(run, None, run.manifest)
    conditions = [condition(ENDED[state])] if state in ENDED else []
    return Repetition(run, {**run.manifest, "status": {"conditions": conditions}}, run.manifest)


def decide(newest: Repetition | None, unused: FollowedRun, rerun: bool = False) -> Decision:
    return submission.decide(newest, unused, rerun, "kubectl -n bench")


def test_prefetches_come_first_and_are_required_and_bench_jobs_are_not() -> None:
    things = [bench_job("bench-b"), bench_job("prefetch-a", component="prefetch"), bench_job("bench-c")]
    plan = submission.plan(manifests(clusterplay.CONFIG, *things))
    assert [(run.rendered_name, run.required) for run in plan.runs] == [
        ("prefetch-a", True),
        ("bench-b", False),
        ("bench-c", False),
    ]
    assert plan.measures and plan.config_maps == ()
    assert plan.with_config_maps([clusterplay.CONFIG]).objects == [clusterplay.CONFIG, *plan.manifests]


def test_a_plan_takes_the_named_bench_jobs_and_all_prefetches() -> None:
    things = [bench_job("bench-b"), bench_job("bench-c"), bench_job("prefetch-a", component="prefetch")]
    plan = submission.plan(manifests(*things), only=["bench-c"])
    assert [run.rendered_name for run in plan.runs] == ["prefetch-a", "bench-c"]
    with pytest.raises(UsageError, match="No Job of the manifests has x in its name"):
        submission.plan(manifests(*things), only=["x"])
    assert not submission.plan(manifests(things[2])).measures


def test_a_deadline_is_that_of_the_model_or_the_one_given_and_as_rendered_where_nobody_follows() -> None:
    def deadlines(deadline_s: int | None = None, detach: bool = False) -> list[int]:
        plan = submission.plan(manifests(bench_job()), deadline_s=deadline_s, detach=detach)
        return [run.manifest["spec"]["activeDeadlineSeconds"] for run in plan.runs]

    assert deadlines() == [1800]
    assert deadlines(7) == [7]
    assert deadlines(detach=True) == [86400]
    assert deadlines(7, detach=True) == [7]


@pytest.mark.parametrize("rerun", [False, True])
@pytest.mark.parametrize("component", ["bench", "prefetch"])
def test_a_run_that_nobody_knows_is_created(component: str, rerun: bool) -> None:
    unused = run_of(component)
    assert decide(None, unused, rerun) == Decision(Step.CREATE, unused)


@pytest.mark.parametrize(
    ("component", "state", "rerun", "step"),
    [
        ("bench", State.RUNNING, False, Step.FOLLOW),
        ("bench", State.RUNNING, True, Step.FOLLOW),
        ("bench", State.COMPLETE, False, Step.TAKE_COMPLETE),
        ("bench", State.COMPLETE, True, Step.CREATE),
        ("bench", State.FAILED, False, Step.TAKE_FAILED),
        ("bench", State.FAILED, True, Step.CREATE),
        ("bench", State.GONE, False, Step.TAKE_GONE),
        ("bench", State.GONE, True, Step.CREATE),
        ("prefetch", State.RUNNING, True, Step.FOLLOW),
        ("prefetch", State.COMPLETE, True, Step.TAKE_COMPLETE),
        ("prefetch", State.FAILED, False, Step.TAKE_FAILED),
        ("prefetch", State.FAILED, True, Step.CREATE),
    ],
)
def test_what_is_done_with_a_run_that_is_known(component: str, state: State, rerun: bool, step: Step) -> None:
    known, unused = repetition(state, component), run_of(component, 2)
    decision = decide(known, unused, rerun)
    assert decision.step == step
    assert decision.run.name == (unused if step == Step.CREATE else known.run).name
    if step != Step.CREATE:
        assert decision.run.manifest == (known.existing or known.saved)
        assert decision.run.digests == known.run.digests


def test_a_prefetch_that_is_gone_leaves_its_name_and_a_bench_job_does_not() -> None:
    assert repetition(State.GONE, "bench").known
    assert not repetition(State.GONE, "prefetch").known
    assert not Repetition(run_of(), None, None).known


def test_a_repetition_has_its_number_in_its_name_from_the_second_on() -> None:
    manifest = bench_job("bench-a")
    assert submission.repeated(manifest, 1) == manifest
    assert submission.repeated(manifest, 3)["metadata"]["name"] == "bench-a-r3"
    assert manifest["metadata"]["name"] == "bench-a"


def test_another_content_under_the_name_of_a_run_is_refused_with_the_command_that_deletes_it() -> None:
    known = repetition(State.RUNNING)
    assert known.existing is not None
    metadata = known.existing["metadata"]
    other = {**known.existing, "metadata": {**metadata, "annotations": {SPEC_SHA256: "0" * 64}}}
    with pytest.raises(ClusterRefused, match=f"`kubectl -n bench delete job {known.run.name}`"):
        decide(replace(known, existing=other), run_of(number=2))
    bare = {**known.existing, "metadata": {"name": known.run.name}}
    with pytest.raises(ClusterRefused, match="with another content \\(spec-sha256 none, here "):
        decide(replace(known, existing=bare), run_of(number=2))


@pytest.mark.parametrize("state", [State.RUNNING, State.COMPLETE])
def test_a_run_that_is_being_deleted_is_not_followed_and_one_that_ended_before_is_taken(state: State) -> None:
    known = repetition(state)
    assert known.existing is not None
    metadata = {**known.existing["metadata"], "deletionTimestamp": "2026-11-22T10:00:00Z"}
    known = replace(known, existing={**known.existing, "metadata": metadata})
    if state == State.COMPLETE:
        assert decide(known, run_of(number=2)).step == Step.TAKE_COMPLETE
        return
    with pytest.raises(NotStarted, match="is just being deleted"):
        decide(known, run_of(number=2))
