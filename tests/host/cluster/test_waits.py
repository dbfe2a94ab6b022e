"""How long a run may stay where it is."""

from __future__ import annotations

import time

import pytest

from runner.contract.errors import (
    ClusterRefused,
    NotStarted,
)
from runner.contract.records import JsonObject
from tests.support import clusterplay
from tests.support.client import Client
from tests.support.clusterplay import (
    FIRST,
    Play,
    bench_job,
    condition,
    framed,
    stands,
)
from tests.support.patience import HANG_S
from tests.support.scriptedcluster import Cluster


def test_a_run_that_no_node_takes_is_given_up_at_its_deadline_and_stays(client: Client, cluster: Cluster) -> None:
    def pends(play: Play, job: JsonObject) -> None:
        message = "0/1 nodes are available: 1 Insufficient habana.ai/gaudi. preemption: none"
        play.pod(job, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])

    Play(cluster, pends)
    began_s = time.monotonic()
    assert (
        client.submit("--unschedulable-s", "0.4", things=[bench_job(resources={"habana.ai/gaudi": "8"})])
        == NotStarted.exit_code
    )
    assert time.monotonic() - began_s < HANG_S
    assert "No node has 8 habana.ai/gaudi free (nodes may not be listed with these rights)." in client.err
    assert "It waited 0 s for a node that takes the pod, the limit of --unschedulable-s." in client.err
    assert f"`{client.again('follow')} {client.name}` goes on" in client.err
    assert client.jobs()


def test_an_autoscaler_s_event_starts_the_deadline_anew(client: Client, cluster: Cluster) -> None:
    def grows(play: Play, job: JsonObject) -> None:
        message = "0/1 nodes are available: 1 Insufficient cpu."
        pod = play.pod(job, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])
        for _ in range(4):
            play.wait(0.4)
            cluster.event("TriggeredScaleUp", "pod triggered scale-up", pod)
        play.wait(0.2)
        play.place(pod)
        play.start(pod)
        play.end(pod, log=framed())
        play.finish(job)

    Play(cluster, grows)
    assert client.submit("--unschedulable-s", "1.0") == 0, client.err
    assert client.collected() == [FIRST]


@pytest.mark.parametrize(
    "row, deadline",
    [("creating", "--creating-s"), ("image", "--image-s"), ("refused", "--refused-s"), ("init", "--init-s")],
)
def test_every_wait_has_its_deadline(client: Client, cluster: Cluster, row: str, deadline: str) -> None:
    def waits(play: Play, job: JsonObject) -> None:
        name = job["metadata"]["name"]
        if row == "refused":
            cluster.event("FailedCreate", f'pods "{name}-x" is forbidden: exceeded quota: q, used: 8', name, "Job")
            return
        pod = play.pod(job)
        play.place(pod)
        if row == "image":
            cluster.event("Pulling", "Pulling image", pod)
        if row == "init":
            state: JsonObject = {"running": {}}
            cluster.write_log(pod, "wait-for-weights", ["waiting"])
            cluster.change("Pod", pod, initContainerStatuses=[{"name": "wait-for-weights", "state": state}])

    Play(cluster, waits)
    began_s = time.monotonic()
    code = client.submit(deadline, "0.3")
    assert time.monotonic() - began_s < HANG_S
    assert code == (ClusterRefused if row == "refused" else NotStarted).exit_code, client.err
    assert {"refused": "A quota of the namespace bench is used up"}.get(row, f"{deadline} allows more") in client.err


def test_a_job_that_outlives_its_own_deadline_is_given_up(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--deadline-s", "1", "--overrun-s", "0.3") == NotStarted.exit_code
    assert "for a Job that is past its own deadline" in client.err


def test_what_cannot_get_better_is_not_waited_for(client: Client, cluster: Cluster) -> None:
    def names_nothing(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        play.place(pod)
        state = {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image name"}}
        cluster.change("Pod", pod, containerStatuses=[{"name": "bench", "state": state}])

    Play(cluster, names_nothing)
    assert client.submit() == NotStarted.exit_code
    assert "is no name of an image" in client.err


def test_a_queue_is_waited_for(client: Client, cluster: Cluster) -> None:
    def queued(play: Play, job: JsonObject) -> None:
        with cluster.lock:
            created = cluster.existing("Job", job["metadata"]["name"])
            created["spec"]["suspend"] = True
            cluster.put(created)
        play.wait(0.5)
        created["spec"]["suspend"] = False
        cluster.put(created)
        clusterplay.runs_well(play, created)

    Play(cluster, queued)
    assert client.submit("--creating-s", "0.4") == 0, client.err
    assert "waits in the queue (suspended)" in client.err


def test_events_of_a_job_whose_name_is_longer_are_another_s(client: Client, cluster: Cluster) -> None:
    def queued_beside_another(play: Play, job: JsonObject) -> None:
        name = job["metadata"]["name"]
        with cluster.lock:
            suspended = {**cluster.existing("Job", name), "spec": {**job["spec"], "suspend": True}}
            cluster.put(suspended)
        refusal = f'Error creating: pods "{name}-r2-x" is forbidden: exceeded quota: q, used: 8'
        cluster.event("FailedCreate", refusal, f"{name}-r2", "Job")
        play.wait(1.5)
        clusterplay.runs_well(play, cluster.put({**suspended, "spec": job["spec"]}))

    Play(cluster, queued_beside_another)
    assert client.submit("--refused-s", "0.5") == 0, client.err
    assert "quota" not in client.err
