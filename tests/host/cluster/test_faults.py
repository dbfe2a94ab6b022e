"""The client while the API server misbehaves: no result lost, none counted twice, no hang past a deadline."""

from __future__ import annotations

import errno
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from runner.contract import first_answer
from runner.contract.errors import ClusterRefused, InputError, KitError, PublishFailed, Unreachable
from runner.contract.records import JsonObject
from runner.host.cluster import answers, logs, observer
from runner.host.cluster.connection import Connection
from runner.host.objects import rights
from runner.host.objects.rights import Right
from tests.support import apiserver, clusterplay
from tests.support.apiserver import Fault
from tests.support.client import Client
from tests.support.clusterplay import FIRST, SECOND, Play, condition, framed, stands
from tests.support.patience import HANG_S
from tests.support.scriptedcluster import Act, Cluster


def slowly(play: Play, job: JsonObject, attempt: str = FIRST) -> None:
    """Play a run that tells enough, over enough time, for every fault to strike."""
    pod = play.pod(job)
    play.wait()
    cluster_event(play, pod)
    play.place(pod)
    play.wait()
    play.start(pod)
    for number in range(6):
        play.say(pod, [f"[cpu-1] launch 1/1: Schritt {number} läuft"])
        play.wait()
    play.end(pod, log=framed(attempt))
    play.wait()
    play.finish(job)


def cluster_event(play: Play, pod: str) -> None:
    play.cluster.event("Scheduled", f"Successfully assigned {pod} to node1", pod)


WATCHED = ("jobs", "pods", "events")
FAULTS = {
    **{
        f"watch of {what} refused with {status}": [Fault(("watch", what), "status", 2, status)]
        for what in WATCHED
        for status in (410, 500)
    },
    **{f"watch of {what} tells 410": [Fault(("watch", what), "error", 2, 410)] for what in WATCHED},
    **{
        f"watch of {what} cut inside a line": [Fault(("watch", what), "cut", 2, after=1, inside=True)]
        for what in WATCHED
    },
    **{f"watch of {what} ends early": [Fault(("watch", what), "cut", 3, after=1)] for what in WATCHED},
    **{f"watch of {what} dropped": [Fault(("watch", what), "drop", 2)] for what in WATCHED},
    **{f"watch of {what} in single bytes": [Fault(("watch", what), "bytes", 9)] for what in WATCHED},
    **{f"watch of {what} tells all twice": [Fault(("watch", what), "repeat", 9)] for what in WATCHED},
    **{f"no watch of {what} at all": [Fault(("watch", what), "status", 10_000, 500)] for what in WATCHED},
    **{f"watch of {what} half-open": [Fault(("watch", what), "hang", 1)] for what in WATCHED},
    **{f"list of {what} busy": [Fault(("list", what), "status", 2, 429, retry_after="0")] for what in WATCHED},
    **{f"list of {what} dropped": [Fault(("list", what), "drop", 2)] for what in WATCHED},
    **{
        f"list of {what} fails with {status}": [Fault(("list", what), "status", 2, status)]
        for what in WATCHED
        for status in (500, 503)
    },
    "list of pods unauthorized once": [Fault(("list", "pods"), "status", 1, 401)],
    "log cut inside a line": [Fault(("log",), "cut", 3, after=2, inside=True)],
    "log ends early": [Fault(("log", "follow"), "cut", 2, after=1)],
    "log ends at once": [Fault(("log", "follow"), "cut", 3, after=0)],
    "log in single bytes": [Fault(("log",), "bytes", 9)],
    "log refused": [Fault(("log",), "status", 3, 500)],
    "log dropped": [Fault(("log",), "drop", 3)],
    "log half-open": [Fault(("log",), "hang", 1)],
    "log not ready": [Fault(("log",), "status", 2, 400)],
    "create busy": [Fault(("create", "jobs"), "status", 3, 429, retry_after="0")],
    "create failed": [Fault(("create", "jobs"), "status", 3, 503)],
    "create's answer lost": [Fault(("create", "jobs"), "cut", 1)],
    "create dropped": [Fault(("create", "jobs"), "drop", 2)],
    "get dropped": [Fault(("get", "jobs"), "drop", 2)],
    "watch of pods tells no JSON": [Fault(("watch", "pods"), "body", 2, message="no JSON\n")],
    "watch of pods tells no object": [Fault(("watch", "pods"), "body", 2, message='{"type": "ADDED", "object": 5}\n')],
    "list of pods is a login page once": [Fault(("list", "pods"), "body", 1, message="<html>Log in</html>")],
    "review busy": [Fault(("create", "selfsubjectaccessreviews"), "status", 2, 429, retry_after="0")],
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_result_comes_through(client: Client, cluster: Cluster, name: str) -> None:
    cluster.faults += [Fault(**vars(fault)) for fault in FAULTS[name]]
    play = Play(cluster, slowly)
    began_s = time.monotonic()
    assert client.submit() == 0, client.err
    assert time.monotonic() - began_s < HANG_S
    assert not play.errors
    assert client.collected() == [FIRST]
    assert len(client.jobs()) == 1
    struck = [fault for fault, planned in zip(cluster.faults, FAULTS[name], strict=True) if fault.times < planned.times]
    assert struck, "the fault never struck"
    lines = [line for line in client_log(client) if "Schritt" in line]
    assert len(lines) == len(set(lines)) == 6


def client_log(client: Client) -> list[str]:
    return [line for path in client.runs.rglob("*.log") for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_first_half_open_answer_is_not_waited_for_longer_than_its_deadline(
    client: Client, cluster: Cluster
) -> None:
    cluster.faults.append(Fault(("list", "pods"), "hang", 1))
    Play(cluster, clusterplay.runs_well)
    began_s = time.monotonic()
    assert client.submit("--request-timeout-s", "0.5") == 0
    assert time.monotonic() - began_s < HANG_S
    assert client.collected() == [FIRST]


def test_a_log_that_falls_silent_is_left_when_its_run_is_concluded(client: Client, cluster: Cluster) -> None:
    def falls_silent(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.wait(0.2)
        ended = {"name": "bench", "state": {"terminated": {"exitCode": 0}}}
        cluster.change("Pod", f"{job['metadata']['name']}-p1", phase="Succeeded", containerStatuses=[ended])
        play.finish(job)

    Play(cluster, falls_silent, volume=[FIRST])
    assert client.submit("--log-timeout-s", "60", "--drain-s", "0.3") == 0, client.err
    assert client.collected() == [FIRST]
    until_s = time.monotonic() + HANG_S
    while (
        left := [thread.name for thread in threading.enumerate() if thread.name.startswith("log of")]
    ) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not left


def test_history_that_was_compacted_is_listed_anew(client: Client, cluster: Cluster) -> None:
    def compacts(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        for move in (
            lambda: play.place(pod),
            lambda: play.start(pod),
            lambda: play.end(pod, log=framed()),
            lambda: play.finish(job),
        ):
            play.wait(0.1)
            move()
            cluster.forget_history()

    Play(cluster, compacts)
    cluster.faults.append(Fault(("watch", "jobs"), "cut", 20, after=0))
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]


@pytest.mark.parametrize("keep", [0, 3, 100])
def test_a_rotated_log_loses_nothing_that_the_volume_has(client: Client, cluster: Cluster, keep: int) -> None:
    def rotates(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        play.place(pod)
        play.start(pod)
        play.wait(0.1)
        lines = framed()
        play.say(pod, lines[:2])
        cluster.rotate_log(pod, "bench", keep=keep)
        play.wait(0.1)
        play.say(pod, lines[2:])
        cluster.rotate_log(pod, "bench", keep=keep)
        play.wait(0.1)
        play.end(pod)
        play.finish(job)

    Play(cluster, rotates, volume=[FIRST])
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]


def test_an_evicted_run_that_starts_twice_gives_each_result_once(client: Client, cluster: Cluster) -> None:
    def evicted(play: Play, job: JsonObject) -> None:
        first = play.pod(job, 1)
        play.place(first)
        play.start(first)
        play.wait(0.1)
        target = condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="Eviction API: evicting")
        play.end(first, 130, log=framed(FIRST), conditions=[target])
        play.wait(0.1)
        second = play.pod(job, 2)
        cluster.remove("Pod", first)
        play.place(second, "node2")
        play.start(second)
        play.wait(0.1)
        play.end(second, log=framed(SECOND))
        play.finish(job)

    Play(cluster, evicted)
    assert client.submit() == 0, client.err
    assert "was evicted, as in a node drain" in client.err and "The Job starts another by itself" in client.err
    assert sorted(client.collected()) == [FIRST, SECOND]


def test_a_pod_that_starts_twice_at_once_gives_the_same_attempt_once(client: Client, cluster: Cluster) -> None:
    def twice(play: Play, job: JsonObject) -> None:
        for number in (1, 2):
            pod = play.pod(job, number)
            play.place(pod)
            play.start(pod)
            play.end(pod, log=framed(FIRST))
        play.finish(job)

    Play(cluster, twice)
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]


@pytest.mark.parametrize("with_log", [True, False])
def test_a_job_that_its_time_to_live_removes_while_it_is_followed(
    client: Client, cluster: Cluster, with_log: bool
) -> None:
    def vanishes(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        play.place(pod)
        play.start(pod)
        play.wait(0.1)
        if with_log:
            play.say(pod, framed())
            play.wait(0.1)
        cluster.remove("Job", job["metadata"]["name"])
        cluster.remove("Pod", pod)

    Play(cluster, vanishes, volume=[] if with_log else [FIRST])
    assert client.submit() == 0, client.err
    assert "the Job is not there (any more)" in client.err
    assert client.collected() == [FIRST]


def test_a_deadline_that_removes_the_pods_is_told_from_what_was_seen(client: Client, cluster: Cluster) -> None:
    def too_long(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.wait(0.1)
        cluster.remove("Pod", f"{job['metadata']['name']}-p1")
        play.finish(job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")

    Play(cluster, too_long)
    assert client.submit() == 13
    assert "The Job ran into its deadline of 30 min; the time went to: " in client.err
    (evidence,) = client.runs.rglob("evidence.json")
    assert json.loads(evidence.read_text())["pods"]


# --- answers that stay no ---


def test_credentials_that_are_refused_are_explained(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    client.kubeconfig = client.server.kubeconfig(tmp_path / "other", token="old")
    assert client.submit() == ClusterRefused.exit_code
    assert "the API server does not accept the credentials of this kubeconfig (401)" in client.err
    assert "kubectl auth whoami" in client.err


def test_a_token_that_runs_out_is_read_anew(
    client: Client, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is first met while somebody writes it."""
    good = (tmp_path / "kubeconfig").read_text()
    client.kubeconfig = client.server.kubeconfig(tmp_path / "other", token="old")
    _before_it_is_read_again(monkeypatch, iter(["", good]), lambda text: (tmp_path / "other").write_text(text))
    Play(cluster, slowly)
    assert client.submit() == 0, client.err
    assert {"Bearer old", f"Bearer {apiserver.TOKEN}"} <= set(cluster.headers_seen)
    assert client.collected() == [FIRST]


def test_a_kubeconfig_that_is_gone_is_not_waited_for_long(
    client: Client, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(first_answer.VARIABLE, "0.3")
    client.kubeconfig = client.server.kubeconfig(tmp_path / "other", token="old")
    _before_it_is_read_again(
        monkeypatch, iter([True] * 100), lambda missing_ok: (tmp_path / "other").unlink(missing_ok)
    )
    assert client.submit() == ClusterRefused.exit_code
    assert len(cluster.headers_seen) > 1 and set(cluster.headers_seen) == {"Bearer old"}


Given = TypeVar("Given")


def _before_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch, given: Iterator[Given], act: Callable[[Given], object]
) -> None:
    renewed = Connection.renew

    def after_the_act(self: Connection) -> bool:
        act(next(given))
        return renewed(self)

    monkeypatch.setattr(Connection, "renew", after_the_act)


@pytest.mark.parametrize(
    "fault, kind, sentence",
    [
        (
            Fault(("list", "pods"), "status", 10_000, 429, retry_after="0"),
            Unreachable,
            "the API server is too busy (429)",
        ),
        (
            Fault(("list", "pods"), "status", 10_000, 500),
            Unreachable,
            "the API server failed (500), for as long as was tried: scripted",
        ),
        (Fault(("list", "pods"), "hang", 10_000), Unreachable, "did not answer in time (list Pods)"),
        (Fault(("list", "pods"), "drop", 10_000), Unreachable, "cannot be reached (list Pods)"),
        (
            Fault(("list", "pods"), "status", 10_000, 403, "forbidden"),
            ClusterRefused,
            "These credentials may not list Pods in bench (403)",
        ),
        (Fault(("list", "pods"), "status", 10_000, 401), ClusterRefused, "does not accept the credentials"),
    ],
)
def test_what_stays_refused_is_told_with_the_way_back(
    client: Client, cluster: Cluster, fault: Fault, kind: type[KitError], sentence: str
) -> None:
    Play(cluster, stands)
    cluster.faults.append(fault)
    began_s = time.monotonic()
    assert client.submit("--passing-timeout-s", "0.5", "--request-timeout-s", "0.3") == kind.exit_code
    assert time.monotonic() - began_s < HANG_S
    assert sentence in client.err
    assert f"Come back: `{client.again('follow')} {client.name}`." in client.err
    assert client.jobs()


POD = {"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [{"name": "c"}]}}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("<!DOCTYPE html><html>Log in</html>", "the answer is an HTML page, of a login or a proxy perhaps"),
        ('{"items": [', "the answer is cut, or no JSON"),
        ("[" * 100_000, "the answer is nested too deeply"),
        ("[]", "the answer is JSON and no object of Kubernetes"),
        ("5", "the answer is JSON and no object of Kubernetes"),
        ({"items": 5}, "the answer is no list of Kubernetes"),
        ({"items": [], "metadata": []}, "the answer is no list of Kubernetes"),
        ({"items": [None]}, "the answer is no Pod of Kubernetes: it is empty, not a mapping"),
        ({"items": [{**POD, "metadata": None}]}, "metadata is missing"),
        ({"items": [{**POD, "metadata": {"name": "../p", "uid": "u"}}]}, "metadata.name is the text '../p', and must be at most 253 "),
        ({"items": [{**POD, "metadata": {"name": "p", "uid": "../u"}}]}, "metadata.uid is the text '../u', and must be an identifier"),
        ({"items": [{**POD, "spec": {"containers": None}}]}, "spec.containers is missing"),
        ({"items": [{**POD, "status": "x"}]}, "status is the text 'x', not a mapping"),
        ({"items": [{**POD, "status": {"containerStatuses": [{"name": "../c"}]}}]}, "containerStatuses[0].name is the text '../c'"),
        ({"items": [{**POD, "status": {"conditions": [{"type": 5}]}}]}, "status.conditions[0].type is the number 5, not text"),
    ],
)  # fmt: skip
def test_an_answer_that_is_nothing_of_kubernetes_is_told_in_a_sentence(
    client: Client, cluster: Cluster, answer: str | JsonObject, sentence: str
) -> None:
    Play(cluster, stands)
    body = answer if isinstance(answer, str) else json.dumps(answer)
    cluster.faults.append(Fault(("list", "pods"), "body", 10_000, message=body))
    assert client.submit("--passing-timeout-s", "0.2") == Unreachable.exit_code, client.err
    assert f"What {client.server.url} answers is nothing of Kubernetes (list Pods): " in client.err
    assert sentence in client.err
    assert f"Come back: `{client.again('follow')} {client.name}`." in client.err


def test_a_login_page_in_the_server_s_place_is_not_waited_for_as_a_server_is(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(first_answer.VARIABLE, "0.2")
    cluster.faults.append(Fault((), "body", 10_000, message="<html>Log in</html>"))
    began_s = time.monotonic()
    assert client.submit("--passing-timeout-s", "600") == Unreachable.exit_code
    assert time.monotonic() - began_s < 20
    assert "(ask what these credentials may): the answer is an HTML page" in client.err
    cluster.faults[:] = [Fault((), "status", 10_000, 302)]
    assert client.submit() == ClusterRefused.exit_code
    assert "the server sends on to another place (302)" in client.err


def test_an_answer_beyond_all_bounds_is_not_read_to_its_end_nor_asked_for_again(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_BYTES", 100_000)
    Play(cluster, stands)
    cluster.faults.append(
        Fault(("list", "pods"), "body", 10_000, message=json.dumps({"items": [], "x": "x" * 200_000}))
    )
    assert client.submit("--passing-timeout-s", "600") == Unreachable.exit_code
    assert "the answer has more than 100,000 bytes" in client.err
    cluster.faults[:] = [Fault(("list", "pods"), "status", 10_000, 403, message="x" * 3_000_000)]
    assert client.run("follow", client.name) == ClusterRefused.exit_code
    assert len(client.err) < 10_000


@pytest.mark.parametrize("fault", [("status", 500), ("hang", 0)])
def test_events_that_cannot_be_had_are_done_without(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, fault: tuple[Act, int]
) -> None:
    monkeypatch.setattr(observer, "OPTIONAL_S", 0.2)
    act, status = fault
    cluster.faults.append(Fault(("list", "events"), act, 10_000, status))
    Play(cluster, slowly)
    assert client.submit("--passing-timeout-s", "0.3", "--request-timeout-s", "1") == 0, client.err
    assert client.collected() == [FIRST]


def test_an_api_server_that_dies_is_told_and_the_run_goes_on_without_it(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.support.client import Client

    server = apiserver.Server(cluster)
    with server:
        client = Client(cluster, server, tmp_path, capfd)

        def dies(play: Play, job: JsonObject) -> None:
            stands(play, job)
            play.wait(0.1)
            cluster.faults += [Fault((), "drop", 1_000_000)]
            for _ in range(3):  # the open streams too
                cluster.faults.append(Fault(("watch",), "cut", 10))
            with cluster.lock:
                cluster.closing = True
                cluster.changed.notify_all()

        Play(cluster, dies)
        assert client.submit("--passing-timeout-s", "0.5") == Unreachable.exit_code
        assert "cannot be reached" in client.err and "Come back: `python -m runner follow" in client.err


def test_a_server_that_never_answered_is_not_waited_for_as_one_that_has(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(first_answer.VARIABLE, "0.3")
    client.kubeconfig = client.server.kubeconfig(client.tmp_path / "other", server="http://127.0.0.1:9")
    began_s = time.monotonic()
    assert client.submit("--passing-timeout-s", "600") == Unreachable.exit_code
    assert time.monotonic() - began_s < HANG_S


def test_no_server_at_all(client: Client) -> None:
    client.kubeconfig = client.server.kubeconfig(client.tmp_path / "other", server="http://127.0.0.1:9")
    assert client.submit("--passing-timeout-s", "0.3") == Unreachable.exit_code
    assert "http://127.0.0.1:9 cannot be reached (ask what these credentials may)" in client.err


# --- a disk that takes nothing ---


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_created(
    client: Client, cluster: Cluster, tmp_path: Path
) -> None:
    client.runs = tmp_path / "kubeconfig"
    assert client.submit() == PublishFailed.exit_code
    assert "could not be written: Not a directory. Free space, or name another folder with --runs." in client.err
    assert not cluster.all("Job")


def test_a_note_that_a_crash_left_half_is_told(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    (note,) = client.runs.rglob("job.json")
    note.write_text("")
    assert client.submit("--detach") == InputError.exit_code
    assert f"{note} cannot be read: " in client.err and "Remove it, or name another folder" in client.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("5", "it is the number 5, not a mapping"),
        ({"kind": "Job", "metadata": {"name": "other"}}, "spec is missing"),
        ({**clusterplay.bench_job(), "metadata": {"name": "other"}}, "it is the note of another object, the Job other"),
        ({"kind": "Pod", "metadata": {"name": "other"}}, "it is the note of another object, the Pod other"),
    ],
)
def test_a_note_that_is_none_is_told(
    client: Client, cluster: Cluster, content: str | JsonObject, sentence: str
) -> None:
    folder = client.runs / "bench" / "gone"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(content if isinstance(content, str) else json.dumps(content))
    assert client.run("follow", "gone") == InputError.exit_code
    assert f"{folder / 'job.json'} cannot be read: " in client.err and sentence in client.err


def test_nothing_in_the_folder_of_runs_is_waited_for(client: Client, cluster: Cluster) -> None:
    """A note, a log and what is written beside them may each be a FIFO."""
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0, client.err
    (log,) = client.runs.rglob("*.log")
    for place in (log.parent / "other.log", log.parent / "evidence.json"):
        place.unlink(missing_ok=True)
        os.mkfifo(place)
    assert client.run("follow", client.name) == 0, client.err
    assert client.collected() == [FIRST]
    log.unlink()
    os.mkfifo(log)
    assert client.run("follow", client.name) == PublishFailed.exit_code
    assert "it is a FIFO (a named pipe), not a regular file" in client.err
    note = log.parent / "job.json"
    note.unlink()
    os.mkfifo(note)
    assert client.submit() == InputError.exit_code
    assert f"{note} cannot be read: it is a FIFO" in client.err


def test_a_disk_that_fills_up_while_a_log_is_written_names_the_folder(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as write and flush say it: without a file's name

    monkeypatch.setattr(logs.LogReader, "_keep", full)
    Play(cluster, stands)
    assert client.submit() == PublishFailed.exit_code
    assert f"{client.runs / 'bench'} could not be written: No space left on device." in client.err
    assert f"Come back: `{client.again('follow')} {client.name}`." in client.err


# --- the Role ---


def test_a_whole_life_takes_every_right_of_the_role_and_no_other(client: Client, cluster: Cluster) -> None:
    def loses(play: Play, job: JsonObject) -> None:
        clusterplay.runs_well(play, job) if job["metadata"]["name"].startswith("bench-a") else None
        if job["metadata"]["name"].startswith("bench-b"):
            stands(play, job)
            play.end(f"{job['metadata']['name']}-p1", log=framed(SECOND)[:-2])
            play.finish(job)

    Play(cluster, loses, volume=[SECOND])
    things = [clusterplay.bench_job("bench-a-v0-1-0"), clusterplay.bench_job("bench-b-v0-1-0")]
    assert client.submit(things=things) == 0, client.err
    assert sorted(client.collected()) == [FIRST, SECOND]
    assert client.run("cancel", client.jobs()[0]["metadata"]["name"]) == 0
    granted = {
        Right(group, resource, verb)
        for rule in cluster.rules or ()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # every cluster grants reviews to everybody
    reviews = Right("authorization.k8s.io", "selfsubjectaccessreviews", "create")
    assert cluster.used_rights - {reviews} == granted
    assert cluster.refused_rights == {Right("", "nodes", "list")}


@pytest.mark.parametrize("right", rights.needed({"Job"}), ids=str)
def test_without_any_one_right_submitting_says_which_it_lacks(client: Client, cluster: Cluster, right: Right) -> None:
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for rule in cluster.rules or ()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    left = [rule for rule in rules if Right(rule["apiGroups"][0], rule["resources"][0], rule["verbs"][0]) != right]
    assert len(left) == len(rules) - 1, "the Role does not grant what the client asks for"
    cluster.rules = left
    assert client.submit() == ClusterRefused.exit_code
    assert f"These credentials lack rights in bench: {right}." in client.err
    assert not cluster.all("Job")


# --- everything at once ---


LASTING = ("no watch", "half-open", "unauthorized", "not ready")
PASSING = [name for name in FAULTS if not any(word in name for word in LASTING)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.slow
def test_a_storm_of_faults_loses_nothing(client: Client, cluster: Cluster, seed: int) -> None:
    """Each seed mixes faults of all kinds over two runs, one of which is evicted once, and a log that may rotate."""
    dice = random.Random(seed)
    for _ in range(8):
        (fault,) = FAULTS[dice.choice(PASSING)]
        cluster.faults.append(Fault(**{**vars(fault), "times": dice.randint(1, 2)}))

    def script(play: Play, job: JsonObject) -> None:
        if job["metadata"]["name"].startswith("bench-a"):
            slowly(play, job)
            return
        first = play.pod(job, 1)
        play.place(first)
        play.start(first)
        play.wait(dice.random() / 10)
        play.end(first, 130, conditions=[condition("DisruptionTarget", reason="EvictionByEvictionAPI")])
        second = play.pod(job, 2)
        play.place(second)
        play.start(second)
        if dice.random() < 0.5:
            cluster.rotate_log(second, "bench")
        play.end(second, log=framed(SECOND))
        play.finish(job)

    play = Play(cluster, script, volume=[SECOND])
    things = [clusterplay.bench_job("bench-a-v0-1-0"), clusterplay.bench_job("bench-b-v0-1-0")]
    began_s = time.monotonic()
    assert client.submit(things=things) == 0, client.err
    assert time.monotonic() - began_s < HANG_S
    assert not play.errors
    assert sorted(client.collected()) == [FIRST, SECOND]


def test_a_log_that_a_killed_follower_left_is_gone_on_with(client: Client, cluster: Cluster) -> None:
    Play(cluster, slowly)
    assert client.submit() == 0
    (log,) = client.runs.rglob("*.log")
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) * 2 // 3])  # half a line at its end
    assert client.run("follow", client.name) == 0, client.err
    assert client.collected() == [FIRST]
    assert sorted(log.read_bytes().splitlines()) == sorted(whole.splitlines())
