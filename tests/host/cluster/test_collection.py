"""Where a result comes from: the log, the volume, or nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest

from runner.contract.errors import (
    InputError,
    JobFailed,
    NotStarted,
    ResultLost,
)
from runner.contract.records import JsonObject
from runner.host.cluster import logs
from runner.host.objects.collect_job import collect_job
from runner.host.objects.names import component_of
from runner.host.objects.submitted import to_submit
from tests.support import apiserver, clusterplay
from tests.support.client import Client
from tests.support.clusterplay import (
    FIRST,
    SECOND,
    Play,
    bench_job,
    condition,
    ends_without_a_log,
    finish,
    framed,
    stands,
)
from tests.support.patience import HANG_S
from tests.support.scriptedcluster import Cluster


def test_a_log_that_lost_its_frame_is_made_good_from_the_volume(client: Client, cluster: Cluster) -> None:
    def loses(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", log=framed()[:-2])
        play.finish(job)

    Play(cluster, loses, volume=[FIRST])
    assert client.submit() == 0, client.err
    assert "the log was rotated or cut, and a part of the result is missing" in client.err
    assert client.collected() == [FIRST]
    assert not client.jobs("collect")  # it is removed again


def test_the_job_that_takes_results_off_the_volume_changes_nothing_and_asks_for_no_device() -> None:
    rendered = bench_job(resources={"habana.ai/gaudi": "8", "hugepages-2Mi": "42000Mi"})
    job = collect_job(to_submit(rendered), "20261122T095000Z")
    assert job is not None
    pod, measured = job["spec"]["template"]["spec"], rendered["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == [
        *("python3", "-m", "runner", "frames"),
        f"/results/{rendered['metadata']['labels']['bloomz-bench.dev/request-id']}",
        "--since",
        "20261122T095000Z",
    ]
    assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    assert (
        next(volume for volume in pod["volumes"] if volume["name"] == "results")["persistentVolumeClaim"]["readOnly"]
        is True
    )
    assert {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]} == {
        "/results": True,
        "/tmp": False,
    }
    assert pod["nodeSelector"] == measured["nodeSelector"] and pod["tolerations"] == measured["tolerations"]
    assert "podAntiAffinity" not in str(job) and "initContainers" not in pod
    assert container["securityContext"] == measured["containers"][0]["securityContext"]
    assert component_of(job) == "collect" and len(job["metadata"]["name"]) <= 63
    assert collect_job(bench_job(volume=False)) is None


def test_a_result_that_is_nowhere_leaves_the_pod_s_last_words_as_partial(client: Client, cluster: Cluster) -> None:
    words = {
        "kind": "termination",
        "schema": 1,
        "attempts": [{"attempt": FIRST, "latency_s": [0.5]}],
        "dropped": 0,
        "error": None,
    }

    def loses(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", message=json.dumps(words))
        play.finish(job)

    Play(cluster, loses)
    assert client.submit() == ResultLost.exit_code
    assert (
        f"{FIRST} could be taken neither from the log nor from the volume; the pod's last words, a summary and no result"
        in client.err
    )
    (path,) = client.runs.rglob("partial.json")
    kept = json.loads(path.read_text())
    assert kept["kind"] == "partial" and kept["attempts"][FIRST]["latency_s"] == [0.5]


def test_a_result_that_the_last_words_name_and_the_log_lacks_is_fetched(client: Client, cluster: Cluster) -> None:
    words = {"kind": "termination", "schema": 1, "attempts": [{"attempt": FIRST}, {"attempt": SECOND}], "error": None}

    def half(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", message=json.dumps(words), log=framed(FIRST))
        play.finish(job)

    Play(cluster, half, volume=[FIRST, SECOND])
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST, SECOND]


def test_a_complete_run_whose_pod_is_gone_gives_its_result_from_the_volume(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands, volume=[FIRST])
    assert client.submit("--detach") == 0
    finish(cluster, client.name)
    cluster.remove("Pod", f"{client.name}-p1")
    assert client.run("follow", client.name, "--drain-s", "0.5") == 0, client.err
    assert client.collected() == [FIRST]


def test_a_volume_that_could_not_be_read_is_not_said_to_be_missing(client: Client, cluster: Cluster) -> None:
    def refuses_the_next(play: Play, job: JsonObject) -> None:
        cluster.faults.append(apiserver.Fault(("create", "jobs"), "status", 9, 403, "jobs.batch is forbidden"))
        ends_without_a_log(play, job)

    Play(cluster, refuses_the_next)
    assert client.submit() == ResultLost.exit_code
    assert f"may not create the Job {client.name}-collect in bench (403)" in client.err
    assert "its result could be taken neither from the log nor from the volume" in client.err


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_for_the_volume_that_comes_to_nothing_says_why_and_is_removed(
    client: Client, cluster: Cluster, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def comes_to_nothing(play: Play, job: JsonObject) -> None:
        message = "0/1 nodes are available: 1 Insufficient memory."
        pod = play.pod(job, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])
        if fails:
            play.place(pod)
            play.start(pod, log=[])
            play.end(pod, 3, message="runner: /results/x cannot be read: Permission denied. Check the volume's owner.")
            play.finish(job, "Failed", "BackoffLimitExceeded")

    monkeypatch.setattr(clusterplay, "collects", comes_to_nothing)
    Play(cluster, ends_without_a_log)
    began_s = time.monotonic()
    assert client.submit("--unschedulable-s", "0.4", "--drain-s", "0.5") == ResultLost.exit_code
    assert time.monotonic() - began_s < HANG_S
    why = "/results/x cannot be read: Permission denied." if fails else "of memory free. It waited 0 s for a node"
    assert any("-collect: " in line and why in line for line in client.err.splitlines()), client.err
    assert not client.jobs("collect")


def test_a_job_for_the_volume_that_another_client_waits_for_is_left_to_both(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_client_s(play: Play, job: JsonObject) -> None:
        collect = collect_job(job)
        assert collect is not None
        cluster.put({**collect, "spec": {**collect["spec"], "of": "another"}}, {})
        ends_without_a_log(play, job)

    def takes_its_time(play: Play, job: JsonObject) -> None:
        play.wait(0.5)
        assert cluster.get("Job", job["metadata"]["name"]) is not None, "it was deleted meanwhile"
        collects(play, job)

    collects = clusterplay.collects
    monkeypatch.setattr(clusterplay, "collects", takes_its_time)
    play = Play(cluster, other_client_s, volume=[FIRST])
    assert client.submit() == 0, client.err
    assert not play.errors
    assert client.collected() == [FIRST]


def test_only_what_began_with_the_run_s_own_container_is_taken_off_the_volume(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run of the same request, a few minutes before, left its result in the same folder."""

    def ends(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.wait(0.1)
        cluster.write_log(f"{job['metadata']['name']}-p1", "bench", [], ended=True)
        ended = {"exitCode": 0, "startedAt": "2026-11-22T10:01:00Z"}
        status = [{"name": "bench", "state": {"terminated": ended}}]
        cluster.change("Pod", f"{job['metadata']['name']}-p1", phase="Succeeded", containerStatuses=status)
        play.finish(job)

    def looks(play: Play, job: JsonObject) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        began = container["command"][container["command"].index("--since") + 1]
        play.volume = [attempt for attempt in (FIRST, SECOND) if attempt >= began]
        collects(play, job)

    collects = clusterplay.collects
    monkeypatch.setattr(clusterplay, "collects", looks)
    Play(cluster, ends)
    assert FIRST < "20261122T100100Z" < SECOND
    assert client.submit() == 0, client.err
    assert client.collected() == [SECOND]


def test_without_a_volume_a_lost_result_is_said_to_be_lost(client: Client, cluster: Cluster) -> None:
    def loses(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1")
        play.finish(job)

    Play(cluster, loses)
    assert client.submit(things=[bench_job(volume=False)]) == ResultLost.exit_code
    assert "could be taken not from the log, and there is no volume" in client.err
    assert not client.jobs("collect")


def test_a_failed_attempt_s_result_is_taken_too(client: Client, cluster: Cluster) -> None:
    def fails(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 6, log=framed())
        play.finish(job, "Failed", "PodFailurePolicy")

    Play(cluster, fails)
    assert client.submit() == JobFailed.exit_code
    assert client.collected() == [FIRST]


def test_a_job_that_is_gone_gives_its_result_from_the_volume(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands, volume=[FIRST])
    assert client.submit("--detach") == 0
    name = client.out.strip()
    cluster.remove("Job", name)
    cluster.remove("Pod", f"{name}-p1")
    assert client.run("follow", name) == 0, client.err
    assert client.collected() == [FIRST]
    assert client.submit() == 0
    assert "was submitted before and is gone; what is kept of it is taken" in client.err
    assert client.collected() == [FIRST]
    assert client.run("follow", "never-there") == InputError.exit_code
    assert "never-there is neither in bench nor in" in client.err


def test_follow_without_names_follows_all_that_are_there(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.runs_well)
    assert client.run("follow") == InputError.exit_code
    assert "No benchmark is in bench. Start one" in client.err
    attempts = iter([FIRST, SECOND])
    cluster.players.clear()
    Play(cluster, lambda play, job: clusterplay.runs_well(play, job, next(attempts), pause=0.2))
    assert client.submit("--detach", things=[bench_job("bench-b-v0-1-0"), bench_job("bench-c-v0-1-0")]) == 0
    assert client.run("follow") == 0, client.err
    assert sorted(client.collected()) == [FIRST, SECOND]


def beside_a_mesh(
    play: Play, job: JsonObject, main: JsonObject | None, sidecar: JsonObject, log: Sequence[str] = ()
) -> None:
    """Play a pod that got a mesh's container before its own.

    ``main`` is the terminated state of its own container, None where that runs; ``sidecar`` is the state of the mesh's container.
    """
    pod = play.pod(job)
    meshed = play.cluster.existing("Pod", pod)
    meshed["spec"]["containers"] = [{"name": "istio-proxy", "image": "proxy"}, *meshed["spec"]["containers"]]
    play.cluster.put(meshed)
    play.place(pod)
    play.cluster.write_log(pod, "bench", list(log), ended=main is not None)
    play.cluster.write_log(pod, "istio-proxy", ["a word of the mesh"])
    states: list[JsonObject] = [
        {"name": "istio-proxy", "state": sidecar},
        {"name": "bench", "state": {"terminated": main} if main else {"running": {}}},
    ]
    play.cluster.change("Pod", pod, phase="Running", containerStatuses=states)


def test_a_mesh_that_keeps_the_pod_is_named_and_the_result_is_taken(client: Client, cluster: Cluster) -> None:
    Play(cluster, lambda play, job: beside_a_mesh(play, job, {"exitCode": 0}, {"running": {}}, framed()))
    assert client.submit("--creating-s", "0.5") == NotStarted.exit_code
    assert "The container bench has ended, but istio-proxy, which something else put beside it, goes on" in client.err
    assert "a word of the mesh" not in client.err
    assert client.collected() == [FIRST]


def test_a_mesh_that_ends_first_ends_nothing(client: Client, cluster: Cluster) -> None:
    def goes_on(play: Play, job: JsonObject) -> None:
        beside_a_mesh(play, job, None, {"terminated": {"exitCode": 1, "reason": "Error"}})
        play.wait(0.3)
        play.end(f"{job['metadata']['name']}-p1", log=framed())
        play.finish(job)

    Play(cluster, goes_on)
    assert client.submit() == 0, client.err
    assert "istio-proxy" not in client.err
    assert client.collected() == [FIRST]


def test_the_last_words_are_those_of_the_run_s_own_container(client: Client, cluster: Cluster) -> None:
    words = {"kind": "termination", "schema": 1, "attempts": [{"attempt": FIRST}], "dropped": 0, "error": None}

    def loses(play: Play, job: JsonObject) -> None:
        main = {"exitCode": 0, "message": json.dumps(words)}
        beside_a_mesh(play, job, main, {"terminated": {"exitCode": 0}}, ["nothing"])
        play.finish(job)

    Play(cluster, loses)
    assert client.submit() == ResultLost.exit_code
    assert f"{FIRST} could be taken neither from the log nor from the volume; the pod's last words" in client.err


def test_a_run_that_ends_is_not_kept_waiting_by_those_whose_logs_are_followed(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "STREAMS", 2)
    others: list = []

    def script(play: Play, job: JsonObject) -> None:
        if job["metadata"]["name"].startswith("bench-z"):
            play.wait(0.5)
            clusterplay.runs_well(play, job, SECOND)
            play.wait(2.5)
            for number, name in enumerate(others, 1):
                finish(cluster, name, f"2026112{number}T100000Z-0123abcd")
        else:
            others.append(job["metadata"]["name"])
            stands(play, job)

    Play(cluster, script)
    things = [bench_job(f"bench-{letter}") for letter in "abz"]
    assert client.submit("--detach", things=things) == 0
    assert client.run("follow", *client.out.split(), "--drain-s", "1") == 0, client.err
    assert SECOND in client.collected()
    assert not cluster.requests["delete", "jobs"]  # nothing had to be taken off the volume
