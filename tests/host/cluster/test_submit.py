"""The verb submit on a cluster that behaves: what is created, followed and taken."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
import yaml

from runner.contract import frame, secrets
from runner.contract.errors import (
    ClusterRefused,
    JobFailed,
    NotStarted,
    UsageError,
)
from runner.contract.records import JsonObject
from runner.host.objects.names import SPEC_SHA256
from tests.support import apiserver, clusterplay, manifests
from tests.support.client import Client
from tests.support.clusterplay import (
    FIRST,
    SECOND,
    Play,
    bench_job,
    finish,
    framed,
    stands,
)
from tests.support.scriptedcluster import Cluster


def test_a_run_goes_from_manifest_to_result(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0, client.err
    assert "launch 1/1: starting" in client.err and frame.MARK not in client.err
    assert client.collected() == [FIRST]
    assert set(cluster.headers_seen) == {f"Bearer {apiserver.TOKEN}"}
    assert not client.jobs("collect")


def test_manifests_are_taken_from_what_render_printed(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    listed.write_text(client.manifests() + "\n")
    assert client.run("submit", "--from", listed, "--dry-run") == 0, client.err
    assert "kind: Job" in client.out
    assert client.run("submit") == UsageError.exit_code
    assert "No MANIFESTS are named" in client.err


def test_what_is_submitted_is_the_manifest_with_its_own_name_deadline_and_digest(
    client: Client, cluster: Cluster
) -> None:
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    (made,), rendered = client.jobs(), bench_job()
    assert made["metadata"]["name"].startswith("bench-cpu-1-v0-1-0-")
    assert made["metadata"]["namespace"] == apiserver.NAMESPACE
    assert made["spec"]["activeDeadlineSeconds"] == 1800
    waiting = made["spec"]["template"]["spec"]["initContainers"][0]["command"]
    assert waiting[-2:] == ["--wait-s", "60"]
    waiting[-1], made["spec"]["activeDeadlineSeconds"] = "21600", 86400
    assert made["spec"] == rendered["spec"]
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "bloomz-bench"


def test_submitting_again_attaches_to_what_runs(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    name = client.out.strip()

    def finish_once_it_is_followed() -> None:
        until_s = time.monotonic() + 60
        while not cluster.requests["get", "pods"] and time.monotonic() < until_s:  # its log
            time.sleep(0.02)
        finish(cluster, name)

    threading.Thread(target=finish_once_it_is_followed).start()
    assert client.submit() == 0, client.err
    assert f"{name}: runs already; following it." in client.err
    assert client.collected() == [FIRST]
    assert cluster.requests["create", "jobs"] == 3  # one create, and a dry run of each submit


def test_runs_that_are_created_at_once_wait_for_weights_and_for_each_other_as_long_as_rendered(
    client: Client, cluster: Cluster
) -> None:
    Play(cluster, stands)
    things = [bench_job("prefetch-a-v0-1-0", component="prefetch"), bench_job()]
    assert client.submit("--detach", things=things) == 0
    (made,), rendered = client.jobs(), bench_job()
    assert made["spec"] == rendered["spec"]
    assert client.submit("--detach", "--deadline-s", "7200", "--rerun", things=things) == 0
    assert client.name == made["metadata"]["name"]  # met, though another deadline was asked for


def test_submitting_again_takes_the_result_of_what_is_complete(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    assert client.submit() == 0
    assert "is complete already; its result is taken" in client.err
    assert client.collected() == [FIRST]
    assert len(client.jobs()) == 1


def test_following_again_adds_nothing_to_the_log(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    (log,) = client.out.split()
    before = Path(log).read_bytes()
    assert client.run("follow", client.name) == 0
    assert client.out.split() == [log]
    assert Path(log).read_bytes() == before


def test_a_failed_run_is_told_with_its_reason_and_not_started_again(client: Client, cluster: Cluster) -> None:
    def fails(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 137, "OOMKilled")
        play.finish(job, "Failed", "PodFailurePolicy", "Container bench failed")

    Play(cluster, fails)
    assert client.submit() == JobFailed.exit_code
    assert "The container bench was killed at its memory limit (OOMKilled). Raise `memory`" in client.err
    evidence = json.loads((client.runs / apiserver.NAMESPACE / client.name / "evidence.json").read_text())
    assert evidence["problem"]["row"] == "memory"
    assert evidence["pods"][0]["status"]["phase"] == "Failed" and evidence["log"]
    assert client.submit() == JobFailed.exit_code
    assert f"{client.name}: failed before; what it left is taken. The same `submit` with --rerun measures" in client.err
    assert f"runner: {client.name}: The container bench was killed" in client.err
    assert client.submit("--detach") == JobFailed.exit_code
    assert f"{client.name} failed before: The container bench was killed" in client.err
    assert len(client.jobs()) == 1


def test_a_run_that_failed_while_nobody_followed_leaves_evidence_and_result(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    play, job = Play(cluster, None), client.jobs()[0]
    play.end(f"{client.name}-p1", 6, log=framed())
    play.finish(job, "Failed", "PodFailurePolicy")
    assert client.submit() == JobFailed.exit_code
    assert list(client.runs.rglob("evidence.json"))
    assert client.collected() == [FIRST]


def test_what_was_measured_again_is_met_in_place_of_what_failed(client: Client, cluster: Cluster) -> None:
    def fails(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 6)
        play.finish(job, "Failed", "PodFailurePolicy")

    scripts = [fails, fails, clusterplay.runs_well, clusterplay.runs_well]
    Play(cluster, lambda play, job: scripts.pop(0)(play, job))
    things = [bench_job("prefetch-a", component="prefetch"), bench_job()]
    assert client.submit(things=things) == JobFailed.exit_code
    assert client.submit("--rerun", "--only", "bench", things=things) == JobFailed.exit_code
    assert client.submit("--rerun", things=things) == 0, client.err
    assert client.submit(things=things) == 0, client.err
    assert "-r3: is complete already" in client.err
    assert len(client.jobs()) == 1
    assert client.collected() == [FIRST]


def test_a_job_that_is_being_deleted_is_not_followed_to_nothing(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    job = cluster.existing("Job", client.name)
    cluster.put({**job, "metadata": {**job["metadata"], "deletionTimestamp": "2026-11-22T10:00:00Z"}})
    assert client.submit() == NotStarted.exit_code
    assert f"{client.name} is just being deleted. Submit again once it is gone." in client.err


def test_a_rerun_is_another_job(client: Client, cluster: Cluster) -> None:
    attempts = iter([FIRST, SECOND])
    Play(cluster, lambda play, job: clusterplay.runs_well(play, job, next(attempts)))
    assert client.submit() == 0
    first = client.name
    assert client.submit("--rerun") == 0
    assert client.collected() == [SECOND]
    assert {job["metadata"]["name"] for job in client.jobs()} == {first, f"{first}-r2"}


def test_a_job_of_the_same_name_and_another_content_is_refused(client: Client, cluster: Cluster) -> None:
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    job = cluster.existing("Job", client.name)
    job["metadata"]["annotations"][SPEC_SHA256] = "0" * 64
    cluster.put(job)
    assert client.submit() == ClusterRefused.exit_code
    assert f"is there with another content (spec-sha256 {'0' * 64}, here " in client.err


def test_the_weights_come_first_and_runs_one_after_the_other(client: Client, cluster: Cluster) -> None:
    order: list[str] = []
    running: set[str] = set()

    def alone(play: Play, job: JsonObject) -> None:
        order.append(job["metadata"]["name"])
        assert not running, "another run of the client is not over"
        running.add(job["metadata"]["name"])
        play.wait(0.05)
        running.clear()
        clusterplay.runs_well(play, job, {1: FIRST}.get(len(order), f"2026112{len(order)}T100000Z-0123abcd"))

    play = Play(cluster, alone)
    things = [
        bench_job("bench-b-v0-1-0"),
        bench_job("bench-c-v0-1-0"),
        bench_job("prefetch-a-v0-1-0", component="prefetch"),
    ]
    assert client.submit(things=things) == 0, client.err
    assert [name.rpartition("-")[0] for name in order] == ["prefetch-a-v0-1-0", "bench-b-v0-1-0", "bench-c-v0-1-0"]
    assert not play.errors
    assert len(client.out.split()) == 2


def test_one_that_fails_does_not_keep_the_next_from_running(client: Client, cluster: Cluster) -> None:
    def script(play: Play, job: JsonObject) -> None:
        if job["metadata"]["name"].startswith("bench-b"):
            stands(play, job)
            play.end(f"{job['metadata']['name']}-p1", 6, log=["runner: tokens differ. Look."])
            play.finish(job, "Failed", "PodFailurePolicy")
        else:
            clusterplay.runs_well(play, job)

    Play(cluster, script)
    assert client.submit(things=[bench_job("bench-b-v0-1-0"), bench_job("bench-c-v0-1-0")]) == JobFailed.exit_code
    assert (
        "(a launch ended without a measurement: launcher missing, a rank died, tokens differ): tokens differ. Look."
        in client.err
    )
    assert client.collected() == [FIRST]


def test_a_prefetch_that_fails_ends_it(client: Client, cluster: Cluster) -> None:
    def fails(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 9, log=["runner: the hub did not answer. Try later."])
        play.finish(job, "Failed", "BackoffLimitExceeded")

    Play(cluster, fails)
    assert (
        client.submit(things=[bench_job("prefetch-a-v0-1-0", component="prefetch"), bench_job()]) == JobFailed.exit_code
    )
    assert "the hub did not answer. Try later." in client.err
    assert not client.jobs()


def rendered_for_pods_that_install() -> list[JsonObject]:
    """Return the CPU set as it is rendered where nobody has built an image."""
    return manifests.objects("cpu", image=None)


def test_packages_come_before_the_runs_that_install_them_and_all_texts_before_both(
    client: Client, cluster: Cluster
) -> None:
    cluster.put({**manifests.one(rendered_for_pods_that_install(), "PersistentVolumeClaim", "bench-packages")})
    order: list[str] = []

    def script(play: Play, job: JsonObject) -> None:
        order.append(job["metadata"]["name"])
        clusterplay.runs_well(play, job, {1: FIRST}.get(len(order), f"2026112{len(order)}T100000Z-0123abcd"))

    play = Play(cluster, script)
    objects = rendered_for_pods_that_install()
    assert client.submit(things=objects) == 0, client.err
    assert [name.rpartition("-v")[0] for name in order] == ["packages-cpu-cpu", "bench-cpu-1", "bench-cpu-2"]
    assert not play.errors
    named = {config_map["metadata"]["name"] for config_map in cluster.all("ConfigMap")}
    assert named == {thing["metadata"]["name"] for thing in objects if thing["kind"] == "ConfigMap"}
    (bench, _) = client.jobs()
    steps = {step["name"]: step for step in bench["spec"]["template"]["spec"]["initContainers"]}
    assert steps["install"]["command"][-2:] == ["--wait-s", "60"]
    assert len(client.out.split()) == 2


def test_runs_that_are_created_at_once_wait_for_packages_as_long_as_rendered(client: Client, cluster: Cluster) -> None:
    cluster.put({**manifests.one(rendered_for_pods_that_install(), "PersistentVolumeClaim", "bench-packages")})
    Play(cluster, stands)
    assert client.submit("--detach", things=rendered_for_pods_that_install()) == 0, client.err
    assert len(client.out.split()) == 3
    for job in client.jobs():
        assert job["spec"]["template"]["spec"]["initContainers"][-1]["command"][-2:] == ["--wait-s", "3600"]


def test_packages_that_are_refused_end_it_with_the_sentence_of_the_pod(client: Client, cluster: Cluster) -> None:
    cluster.put({**manifests.one(rendered_for_pods_that_install(), "PersistentVolumeClaim", "bench-packages")})

    def refuses(play: Play, job: JsonObject) -> None:
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 4, log=["runner: the commit of a fork is unresolved. Run a command."])
        play.finish(job, "Failed", "PodFailurePolicy")

    Play(cluster, refuses)
    assert client.submit(things=rendered_for_pods_that_install()) == JobFailed.exit_code
    assert (
        "The container packages ended with 4 (a pin that this step needs is unresolved in versions.lock)" in client.err
    )
    assert "the commit of a fork is unresolved. Run a command." in client.err
    assert not client.jobs()


def test_a_claim_of_packages_that_nobody_made_is_asked_for_first(client: Client, cluster: Cluster) -> None:
    assert client.submit(things=rendered_for_pods_that_install()) == ClusterRefused.exit_code
    assert "The PersistentVolumeClaim bench-packages, which the Jobs name, does not exist in bench." in client.err
    assert not cluster.all("Job") and not cluster.all("ConfigMap")


def test_only_takes_what_is_named(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.runs_well)
    things = [bench_job("bench-b-v0-1-0"), bench_job("bench-c-v0-1-0")]
    assert client.submit("--only", "bench-c", things=things) == 0
    assert client.name.startswith("bench-c")
    assert client.submit("--only", "nothing", things=things) == UsageError.exit_code
    assert "No Job of the manifests has nothing in its name: bench-b-v0-1-0, bench-c-v0-1-0." in client.err


def test_a_dry_run_prints_what_would_be_created_and_creates_nothing(client: Client, cluster: Cluster) -> None:
    assert client.submit("--dry-run") == 0
    printed = list(yaml.safe_load_all(client.out))
    assert [manifest["kind"] for manifest in printed] == ["ConfigMap", "Job"]
    assert not cluster.all("Job") and not cluster.all("ConfigMap")
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    made = client.jobs()[0]
    assert {key: made[key] for key in ("kind", "spec")} == {key: printed[1][key] for key in ("kind", "spec")}
    assert made["metadata"]["name"] == printed[1]["metadata"]["name"]


def test_planted_secrets_are_in_no_file_and_in_no_output(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the manifest, in what the cluster says, in the log and in the last words."""
    planted = [f"planted-secret-{number}" for number in range(6)]
    monkeypatch.setattr(secrets, "_remembered", set())
    job = bench_job()
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "HUB_TOKEN", "value": planted[0]}]
    container["args"] = [f"--api-key={planted[1]}"]

    def tells(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        cluster.event("Failed", f"pull https://user:{planted[2]}@registry.test failed, {apiserver.TOKEN}", pod)
        play.place(pod)
        play.start(pod)
        play.say(
            pod, [f"export HUB_TOKEN={planted[3]}", f"Authorization: Bearer {planted[4]}", f"saw {apiserver.TOKEN}"]
        )
        play.end(pod, 1, message=f"runner: password={planted[5]} was refused", log=framed())
        play.finish(job, "Failed", "BackoffLimitExceeded")

    Play(cluster, tells)
    said = []
    for verb in ("submit", "dry", "follow", "cancel"):
        if verb == "submit":
            client.submit(things=[job])
            name = client.name
        elif verb == "dry":
            client.submit("--dry-run", things=[job])
        else:
            client.run(verb, name)
        said += [client.out, client.err]
    files = [path.read_text(encoding="utf-8") for path in client.runs.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for secret in [*planted, apiserver.TOKEN]:
        assert not [text for text in [*files, *said] if secret in text], secret
    assert any(line in text for text in files for line in framed())
