"""Signals to a verb that follows runs, and the way back to the runs."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Sequence

import pytest

from runner.contract.errors import (
    ClusterRefused,
    InputError,
    Interrupted,
)
from runner.contract.records import JsonObject
from runner.host.cluster import evidence, interruption
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import Observed, Problem
from runner.host.diagnosis.stages import Stage
from tests.support import apiserver, clusterplay
from tests.support.client import Client
from tests.support.clusterplay import (
    FIRST,
    Play,
    bench_job,
    finish,
    framed,
    stands,
)
from tests.support.patience import HANG_S
from tests.support.scriptedcluster import Cluster


def interrupted(
    client: Client,
    *arguments: object,
    signals: Sequence[signal.Signals] = (signal.SIGINT,),
    things: Sequence[JsonObject] = (),
    verb: str = "submit",
) -> int:
    """Submit, or follow, and send this process signals once the pod runs."""

    def send() -> None:
        until_s, before = time.monotonic() + HANG_S, client.cluster.requests["get", "pods"]
        while client.cluster.requests["get", "pods"] == before and time.monotonic() < until_s:
            time.sleep(0.02)
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(0.2)

    handlers = {number: signal.getsignal(number) for number in signals}
    for number in signals:  # tests that are started in the background find some of them ignored
        signal.signal(number, signal.default_int_handler)
    try:
        sender = threading.Thread(target=send)
        sender.start()
        code = client.submit(*arguments, things=things) if verb == "submit" else client.run(verb, *arguments)
        sender.join()
        return code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_ctrl_c_detaches_and_says_how_to_come_back(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "at_a_terminal", lambda: True)
    monkeypatch.setattr(interruption, "SECOND_SIGNAL_S", 0.3)
    Play(cluster, stands)
    assert interrupted(client) == Interrupted.exit_code
    name = client.name
    assert (
        f"Come back and collect: `{client.again('follow')} {name} > logs.txt`, then `python -m runner collect --from logs.txt`;"
        " end them:"
        f" `{client.again('cancel')} {name}`." in client.err
    )
    finish(cluster, name)
    assert client.run("follow", name) == 0
    assert client.collected() == [FIRST]


def test_ctrl_c_says_that_later_runs_are_not_created_yet(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "at_a_terminal", lambda: True)
    monkeypatch.setattr(interruption, "SECOND_SIGNAL_S", 0.3)
    Play(cluster, stands)
    things = [bench_job(name) for name in ("bench-a", "bench-b", "bench-c")]
    assert interrupted(client, things=things) == Interrupted.exit_code
    assert len(client.jobs()) == 1
    assert "Of these manifests 2 more were not created yet: the same `submit` again" in client.err
    finish(cluster, client.name)
    cluster.players.pop()  # what ended it plays nothing new
    assert interrupted(client, "--rerun", things=things) == Interrupted.exit_code
    sentence = "Of these manifests 2 more were not created yet: `submit --rerun` with `--only` measures them: bench-b, bench-c."
    # the same command would measure the first a third time
    assert sentence in client.err


def test_a_second_ctrl_c_cancels(client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "at_a_terminal", lambda: True)
    Play(cluster, stands)
    assert interrupted(client, signals=(signal.SIGINT, signal.SIGINT)) == Interrupted.exit_code
    assert "Cancelled 1 run(s)" in client.err
    assert not client.jobs() and not cluster.all("Pod")
    (evidence,) = client.runs.rglob("evidence.json")
    assert json.loads(evidence.read_text())["pods"]


def test_a_cancelling_ctrl_c_outlasts_a_server_that_fails_once(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "at_a_terminal", lambda: True)
    Play(cluster, stands)
    cluster.faults.append(apiserver.Fault(("delete", "jobs"), "status", 1, 500))
    assert interrupted(client, signals=(signal.SIGINT, signal.SIGINT)) == Interrupted.exit_code, client.err
    assert not client.jobs()


def test_a_third_ctrl_c_does_not_wait_for_what_is_slow_to_go(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "at_a_terminal", lambda: True)
    monkeypatch.setattr(cluster, "remove", lambda kind, name: cluster.get(kind, name))  # a finalizer keeps it
    Play(cluster, stands)
    began_s = time.monotonic()
    assert interrupted(client, signals=[signal.SIGINT] * 3) == Interrupted.exit_code
    assert time.monotonic() - began_s < HANG_S
    assert f"{client.name}: is still being deleted; that goes on in the cluster." in client.err
    assert "Cancelled 1 run(s)" in client.err


def test_a_cancelling_signal_that_the_cluster_refuses_is_told_with_the_way_back(
    client: Client, cluster: Cluster
) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    cluster.faults.append(apiserver.Fault(("delete", "jobs"), "status", 9, 403, "forbidden"))
    assert interrupted(client, signals=(signal.SIGTERM,), verb="follow") == ClusterRefused.exit_code
    assert f"may not delete the Job {client.name} in bench (403)" in client.err
    assert f"Come back: `{client.again('follow')} {client.name}`." in client.err


def test_a_signal_at_the_end_of_a_run_keeps_the_next_from_starting(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = evidence.save_evidence

    def keep_and_interrupt(run: FollowedRun, observed: Observed, stage: Stage | None, problem: Problem | None) -> None:
        keep(run, observed, stage, problem)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(evidence, "save_evidence", keep_and_interrupt)
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[bench_job("bench-a"), bench_job("bench-b")]) == Interrupted.exit_code
    assert (
        f"Stopped after the end of {client.name}. Collect: `{client.again('follow')} {client.name} > logs.txt`"
        in client.err
    )
    assert "Of these manifests 1 more was not created yet" in client.err
    assert client.run("follow", client.name) == Interrupted.exit_code
    monkeypatch.undo()
    assert client.run("follow", client.name) == 0
    assert client.collected() == [FIRST]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(
    client: Client, cluster: Cluster, number: signal.Signals
) -> None:
    """As nohup, and a shell for its background jobs, ask for it."""
    before = signal.signal(number, signal.SIG_IGN)
    try:

        def goes_on(play: Play, job: JsonObject) -> None:
            stands(play, job)
            os.kill(os.getpid(), number)
            play.wait(0.2)
            play.end(f"{job['metadata']['name']}-p1", log=framed())
            play.finish(job)

        Play(cluster, goes_on)
        assert client.submit() == 0, client.err
        assert client.collected() == [FIRST]
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_a_terminal_a_signal_cancels_unless_told_otherwise(
    client: Client, cluster: Cluster, number: signal.Signals
) -> None:
    Play(cluster, stands)
    assert interrupted(client, "--detach-on-signal", signals=(number,)) == Interrupted.exit_code
    assert "Detached; the runs go on in the cluster." in client.err
    assert client.jobs()
    assert interrupted(client, signals=(number,)) == Interrupted.exit_code
    assert not client.jobs()


def test_a_run_can_be_cancelled_where_events_cannot_be_had(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    cluster.faults.append(apiserver.Fault(("list", "events"), "status", 10_000, 500))
    assert client.run("cancel", client.name, "--passing-timeout-s", "0.3") == 0, client.err
    assert not client.jobs()


def test_a_cancelled_run_can_be_submitted_again(client: Client, cluster: Cluster) -> None:
    attempts = [stands, clusterplay.runs_well]
    Play(cluster, lambda play, job: attempts.pop(0)(play, job))
    assert client.submit("--detach") == 0
    name = client.name
    assert client.run("cancel", name) == 0
    assert f"{name}: deleted." in client.err
    assert not client.jobs() and not cluster.all("Pod")
    assert client.run("cancel", name) == InputError.exit_code
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]
