"""The verbs submit, follow and cancel on a cluster that behaves."""

import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml

from runner.contract import frame, secrets
from runner.contract.errors import (
    ClusterRefused,
    DamagedResult,
    InputError,
    Interrupted,
    JobFailed,
    NotStarted,
    ResultLost,
    Unreachable,
    UsageError,
)
from runner.host.cluster import evidence, follower, logs
from runner.host.objects import names
from runner.host.objects.collect_job import collect_job
from runner.host.objects.submitted import to_submit
from runner.host.readers import kubeyaml
from tests.support import apiserver, clusterplay
from tests.support.clusterplay import FIRST, SECOND, Play, bench_job, condition, framed, stands
from tests.support.patience import HANG_S


def test_a_run_goes_from_manifest_to_result(client, cluster):
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0, client.err
    assert "launch 1/1: starting" in client.err and frame.MARK not in client.err
    assert client.collected() == [FIRST]
    assert set(cluster.headers_seen) == {f"Bearer {apiserver.TOKEN}"}
    assert not client.jobs("collect")


def test_manifests_are_taken_from_what_render_printed(client, cluster, tmp_path):
    listed = tmp_path / "listed"
    listed.write_text(client.manifests() + "\n")
    assert client.run("submit", "--from", listed, "--dry-run") == 0, client.err
    assert "kind: Job" in client.out
    assert client.run("submit") == UsageError.exit_code
    assert "No MANIFESTS are named" in client.err


def test_what_is_submitted_is_the_manifest_with_its_own_name_deadline_and_digest(client, cluster):
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


def test_submitting_again_attaches_to_what_runs(client, cluster):
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    name = client.out.strip()

    def finish_once_it_is_followed():
        until_s = time.monotonic() + 60
        while not cluster.requests["get", "pods"] and time.monotonic() < until_s:  # its log
            time.sleep(0.02)
        finish(cluster, name)

    threading.Thread(target=finish_once_it_is_followed).start()
    assert client.submit() == 0, client.err
    assert f"{name}: runs already; following it." in client.err
    assert client.collected() == [FIRST]
    assert cluster.requests["create", "jobs"] == 3  # one create, and a dry run of each submit


def test_runs_that_are_created_at_once_wait_for_weights_and_for_each_other_as_long_as_rendered(client, cluster):
    Play(cluster, stands)
    things = [bench_job("prefetch-a-v0-1-0", component="prefetch"), bench_job()]
    assert client.submit("--detach", things=things) == 0
    (made,), rendered = client.jobs(), bench_job()
    assert made["spec"] == rendered["spec"]
    assert client.submit("--detach", "--deadline-s", "7200", "--rerun", things=things) == 0
    assert client.name == made["metadata"]["name"]  # met, though another deadline was asked for


def finish(cluster, name, attempt=FIRST):
    play, job = Play(cluster, None), cluster.get("Job", name)
    play.end(f"{name}-p1", log=framed(attempt))
    play.finish(job)


def test_submitting_again_takes_the_result_of_what_is_complete(client, cluster):
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    assert client.submit() == 0
    assert "is complete already; its result is taken" in client.err
    assert client.collected() == [FIRST]
    assert len(client.jobs()) == 1


def test_following_again_adds_nothing_to_the_log(client, cluster):
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    (log,) = client.out.split()
    before = Path(log).read_bytes()
    assert client.run("follow", client.name) == 0
    assert client.out.split() == [log]
    assert Path(log).read_bytes() == before


def test_a_failed_run_is_told_with_its_reason_and_not_started_again(client, cluster):
    def fails(play, job):
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


def test_a_run_that_failed_while_nobody_followed_leaves_evidence_and_result(client, cluster):
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    play, job = Play(cluster, None), client.jobs()[0]
    play.end(f"{client.name}-p1", 6, log=framed())
    play.finish(job, "Failed", "PodFailurePolicy")
    assert client.submit() == JobFailed.exit_code
    assert list(client.runs.rglob("evidence.json"))
    assert client.collected() == [FIRST]


def test_what_was_measured_again_is_met_in_place_of_what_failed(client, cluster):
    def fails(play, job):
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


def test_a_job_that_is_being_deleted_is_not_followed_to_nothing(client, cluster):
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    job = cluster.get("Job", client.name)
    cluster.put({**job, "metadata": {**job["metadata"], "deletionTimestamp": "2026-11-22T10:00:00Z"}})
    assert client.submit() == NotStarted.exit_code
    assert f"{client.name} is just being deleted. Submit again once it is gone." in client.err


def test_a_rerun_is_another_job(client, cluster):
    attempts = iter([FIRST, SECOND])
    Play(cluster, lambda play, job: clusterplay.runs_well(play, job, next(attempts)))
    assert client.submit() == 0
    first = client.name
    assert client.submit("--rerun") == 0
    assert client.collected() == [SECOND]
    assert {one["metadata"]["name"] for one in client.jobs()} == {first, f"{first}-r2"}


def test_a_job_of_the_same_name_and_another_content_is_refused(client, cluster):
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    job = cluster.get("Job", client.name)
    job["metadata"]["annotations"][names.SPEC_SHA256] = "0" * 64
    cluster.put(job)
    assert client.submit() == ClusterRefused.exit_code
    assert f"is there with another content (spec-sha256 {'0' * 64}, here " in client.err


def test_the_weights_come_first_and_runs_one_after_the_other(client, cluster):
    order, running = [], set()

    def alone(play, job):
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


def test_one_that_fails_does_not_keep_the_next_from_running(client, cluster):
    def script(play, job):
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


def test_a_prefetch_that_fails_ends_it(client, cluster):
    def fails(play, job):
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 9, log=["runner: the hub did not answer. Try later."])
        play.finish(job, "Failed", "BackoffLimitExceeded")

    Play(cluster, fails)
    assert (
        client.submit(things=[bench_job("prefetch-a-v0-1-0", component="prefetch"), bench_job()]) == JobFailed.exit_code
    )
    assert "the hub did not answer. Try later." in client.err
    assert not client.jobs()


def test_only_takes_what_is_named(client, cluster):
    Play(cluster, clusterplay.runs_well)
    things = [bench_job("bench-b-v0-1-0"), bench_job("bench-c-v0-1-0")]
    assert client.submit("--only", "bench-c", things=things) == 0
    assert client.name.startswith("bench-c")
    assert client.submit("--only", "nothing", things=things) == UsageError.exit_code
    assert "No Job of the manifests has nothing in its name: bench-b-v0-1-0, bench-c-v0-1-0." in client.err


def test_a_dry_run_prints_what_would_be_created_and_creates_nothing(client, cluster):
    assert client.submit("--dry-run") == 0
    printed = list(yaml.safe_load_all(client.out))
    assert [one["kind"] for one in printed] == ["ConfigMap", "Job"]
    assert not cluster.all("Job") and not cluster.all("ConfigMap")
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0
    made = client.jobs()[0]
    assert {key: made[key] for key in ("kind", "spec")} == {key: printed[1][key] for key in ("kind", "spec")}
    assert made["metadata"]["name"] == printed[1]["metadata"]["name"]


@pytest.mark.parametrize(
    "kind, name, told",
    [
        ("ServiceAccount", "bench-run", "The ServiceAccount bench-run, which the Jobs name, does not exist in bench."),
        (
            "PersistentVolumeClaim",
            "bench-results",
            "The PersistentVolumeClaim bench-results, which the Jobs name, does not exist",
        ),
    ],
)
def test_what_the_jobs_need_is_asked_for_first(client, cluster, kind, name, told):
    cluster.remove(kind, name)
    assert client.submit() == ClusterRefused.exit_code
    assert told in client.err
    assert "`python -m runner render --namespace bench --out FOLDER`, then `kubectl --kubeconfig" in client.err
    own = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "bench"}}
    assert client.submit(things=[own, bench_job()]) == ClusterRefused.exit_code
    assert (
        f"`kubectl --kubeconfig {client.kubeconfig} apply -f {client.tmp_path}/manifests/60-bench.yaml`" in client.err
    )
    assert not cluster.all("Job")


QUEUE_RULE = {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads", "localqueues"], "verbs": ["get", "list"]}


def queued(cluster, active="True", message="Can submit new workloads to ClusterQueue", rule=QUEUE_RULE):
    """Return a Job for a queue of a cluster that has it, for whoever has the Role as it is rendered with --queue."""
    cluster.rules = [*cluster.rules, *([rule] if rule else [])]
    state = condition("Active", active, "ClusterQueueIsInactive" if active == "False" else "Ready", message)
    cluster.put({"kind": "LocalQueue", "metadata": {"name": "accelerators"}}, {"conditions": [state]})
    job = bench_job()
    job["metadata"]["labels"][names.QUEUE] = "accelerators"
    return job


def test_a_queue_that_takes_something_is_submitted_to(client, cluster):
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[queued(cluster)]) == 0, client.err
    assert client.jobs()[0]["metadata"]["labels"][names.QUEUE] == "accelerators"
    assert ("kueue.x-k8s.io", "localqueues", "get") in cluster.used_rights


def test_a_queue_that_nobody_made_is_refused_before_anything_is_created(client, cluster):
    job = queued(cluster)
    cluster.remove("LocalQueue", "accelerators")
    assert client.submit(things=[job]) == ClusterRefused.exit_code
    assert "The LocalQueue accelerators does not exist in bench. `" in client.err
    assert f"`kubectl --kubeconfig {client.kubeconfig} -n bench get localqueues` shows" in client.err
    assert not cluster.all("Job") and not cluster.all("ConfigMap")


def test_a_queue_that_takes_nothing_is_refused_with_its_own_reason(client, cluster):
    job = queued(cluster, "False", "ClusterQueue is stopped")
    assert client.submit(things=[job]) == ClusterRefused.exit_code
    assert "The LocalQueue accelerators takes nothing: ClusterQueue is stopped. `kubectl" in client.err
    assert not cluster.all("Job")


def test_a_queue_of_another_version_is_not_looked_up_and_that_is_said(client, cluster):
    job = queued(cluster)
    cluster.unserved.add("localqueues")
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[job]) == 0, client.err
    assert "does not serve kueue.x-k8s.io/v1beta2; accelerators was not looked up." in client.err


def test_a_queue_takes_rights_that_other_jobs_do_not(client, cluster):
    assert client.submit(things=[queued(cluster, rule=None)]) == ClusterRefused.exit_code
    assert "lack rights in bench: get localqueues, list workloads." in client.err


def test_what_admission_refuses_is_told_before_anything_is_created(client, cluster):
    cluster.faults.append(
        apiserver.Fault(
            ("create", "jobs"), "status", status=422, message='Job.batch "x" is invalid: spec.template: Required value'
        )
    )
    assert client.submit() == ClusterRefused.exit_code
    assert "the API server finds the manifest wrong: Job.batch" in client.err
    assert not cluster.all("Job") and not cluster.all("ConfigMap")


def test_an_image_that_cannot_be_pulled_is_refused_before_the_cluster_is_asked(client, cluster):
    draft = bench_job()
    draft["metadata"]["annotations"][names.IMAGE_PROBLEM] = (
        "no image of this stack stands in versions.lock. Run make images"
    )
    assert client.submit(things=[draft]) == ClusterRefused.exit_code
    assert "The image of bench-cpu-1-v0-1-0" in client.err and "Run make images." in client.err
    assert not cluster.requests


OTHER_DIGEST = "cd" * 32


@pytest.mark.parametrize(
    "image",
    ["kit:latest", "kit", "", f"kit@sha256:{'0' * 64}", f"kit@sha256:{'ab' * 31}", f"--x@sha256:{'ab' * 32}", f"kit@sha256:{'ab' * 32} "],
)  # fmt: skip
@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_an_image_that_is_not_named_by_digest_is_refused_before_the_cluster_is_asked(client, cluster, image, place):
    job = bench_job()
    job["spec"]["template"]["spec"][place][0]["image"] = image
    assert client.submit(things=[job]) == InputError.exit_code
    assert f"takes the image {image or 'without a name'}, which is not named by digest" in client.err
    assert not cluster.requests


def runs_image(image_id):
    """Return a script that plays a run of which the kubelet reports this image."""

    def script(play, job):
        play._status = lambda pod, container, state: {"name": container, "state": state, "imageID": image_id}
        clusterplay.runs_well(play, job)

    return script


@pytest.mark.parametrize(
    "image_id",
    [
        clusterplay.IMAGE,
        "docker-pullable://" + clusterplay.IMAGE,
        "mirror.test/other/name@sha256:" + clusterplay.IMAGE[-64:],
    ],
)
def test_the_image_that_ran_is_held_beside_the_one_that_was_asked_for_and_kept(client, cluster, image_id):
    Play(cluster, runs_image(image_id))
    assert client.submit() == 0, client.err
    assert "cannot be compared" not in client.err
    (told,) = evidence_of(client)["images"]
    assert told == {
        "pod": f"{client.name}-p1",
        "container": "bench",
        "asked": clusterplay.IMAGE[-64:],
        "reported": image_id,
        "foreign": False,
    }


def evidence_of(client):
    (path,) = client.runs.rglob("evidence.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    "image_id", [f"registry.test/kit@sha256:{OTHER_DIGEST}", f"docker-pullable://registry.test/x@sha256:{OTHER_DIGEST}"]
)
def test_a_pod_that_runs_another_image_is_no_run_of_this_one(client, cluster, image_id):
    Play(cluster, runs_image(image_id))
    assert client.submit() == DamagedResult.exit_code
    assert (
        f"the container bench of {client.name}-p1 runs the image {image_id}, and sha256:{'ab' * 32} was asked"
        in client.err
    )
    assert client.out == ""
    assert evidence_of(client)["images"][0]["foreign"] is True
    assert client.run("follow", client.name) == DamagedResult.exit_code
    assert client.out == "" and not list(client.runs.rglob("*.log"))


def test_an_image_that_a_rule_put_into_the_job_is_another_one(client, cluster):
    """What the cluster says that the Job asks for is not what was asked for."""
    kept = cluster.put

    def put(thing, status=None):
        if thing["kind"] == "Job":
            thing["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry.test/kit@sha256:{OTHER_DIGEST}"
        return kept(thing, status)

    cluster.put = put
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == DamagedResult.exit_code
    assert f"runs the image registry.test/kit@sha256:{OTHER_DIGEST}, and sha256:{'ab' * 32} was asked for" in client.err


@pytest.mark.parametrize(
    ("image_id", "told"),
    [
        (f"sha256:{OTHER_DIGEST}", f"the image of bench came from no registry (sha256:{OTHER_DIGEST}), so that it cannot be compared"),
        ("", "its node does not say which image ran"),
    ],
)  # fmt: skip
def test_an_image_that_cannot_be_compared_is_said(client, cluster, image_id, told):
    Play(cluster, runs_image(image_id))
    assert client.submit() == 0, client.err
    assert told in client.err
    assert client.collected() == [FIRST]


# --- what is given: names, times, manifests ---


@pytest.mark.parametrize("verb", ["follow", "cancel"])
@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x\n", "X", "x y", "-", "a" * 254])
def test_a_name_that_no_run_can_have_is_refused(client, cluster, verb, name):
    assert client.run(verb, "--", name) == UsageError.exit_code
    assert "is no name of a Job: at most 253 lower-case letters, digits, dots and hyphens" in client.err
    assert not cluster.requests


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e99", "x", "", "-inf"])
@pytest.mark.parametrize("flag", ["--request-timeout-s", "--drain-s", "--init-s", "--poll-s", "--deadline-s"])
def test_a_time_that_is_none_is_refused(client, cluster, flag, value):
    assert client.submit(f"{flag}={value}") == UsageError.exit_code
    assert f"argument {flag}: " in client.err and "seconds" in client.err
    assert not cluster.requests


@pytest.mark.parametrize(
    "flag", ["--request-timeout-s", "--watch-timeout-s", "--silence-timeout-s", "--log-timeout-s", "--poll-s"]
)
def test_no_time_at_all_is_too_short_where_nothing_could_be_done_in_it(client, flag):
    assert client.submit(flag, "0") == UsageError.exit_code
    assert f"argument {flag}: 0 seconds are too short for this" in client.err


@pytest.mark.parametrize("namespace", ["Mine", "../x", "a.b", "", "x" * 64])
def test_a_namespace_that_none_can_be_called_is_refused(client, cluster, namespace):
    assert client.submit(f"--namespace={namespace}") == UsageError.exit_code
    assert "is no name of a namespace: at most 63 lower-case letters, digits and hyphens" in client.err


POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("kind",), None, "kind is missing"),
        (("metadata",), None, "metadata is missing"),
        (("metadata", "name"), "../x", "metadata.name is the text '../x', and must be at most 253 "),
        (("metadata", "name"), 5, "metadata.name is the number 5, and must be at most 253 "),
        (("metadata", "namespace"), "Mine", "metadata.namespace is the text 'Mine'"),
        (("metadata", "labels"), ["x"], "metadata.labels is a list, not a mapping"),
        (("metadata", "labels", names.REQUEST_ID), "../x", f"{names.REQUEST_ID} is the text '../x', and must be the value of a label"),
        (("metadata", "annotations", names.DEADLINE), 7, f"metadata.annotations.{names.DEADLINE} is the number 7, not text"),
        (("metadata", "annotations", names.DEADLINE), "9" * 5000, "no number of seconds"),
        (("spec",), [], "spec is a list, not a mapping"),
        (("spec", "template"), None, "spec.template is missing"),
        (POD, None, "spec.template.spec is missing"),
        ((*POD, "containers"), None, "spec.template.spec.containers is missing"),
        ((*POD, "containers"), [], "spec.template.spec.containers is empty"),
        ((*POD, "containers"), [None], "spec.template.spec.containers[0] is empty, not a mapping"),
        ((*POD, "containers", 0, "name"), "../x", "spec.template.spec.containers[0].name is the text '../x'"),
        ((*POD, "containers", 0, "command"), "sh", "containers[0].command is the text 'sh', not a list"),
        ((*POD, "volumes"), "x", "spec.template.spec.volumes is the text 'x', not a list"),
        ((*POD, "volumes", 1, "persistentVolumeClaim", "claimName"), "a b", "claimName is the text 'a b', and must be at most 253 "),
    ],
)  # fmt: skip
def test_a_manifest_whose_parts_are_not_what_they_should_be(client, cluster, path, value, told):
    job = bench_job()
    part = job
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert client.submit(things=[job]) == InputError.exit_code
    assert told in client.err
    assert not cluster.requests


def test_null_in_a_manifest_is_what_is_not_there(client, cluster):
    job = bench_job()
    job["spec"]["template"]["spec"]["containers"][0].update(resources=None, env=None, args=None)
    job["spec"]["template"]["spec"].update(tolerations=None, hostAliases=None)
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[job]) == 0, client.err


NINE_TIMES = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise("abcdefghijklmn")
)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[" * 100_000, "line 1 lies deeper than 50 levels"),
        (b"{a: " * 100_000, "line 1 lies deeper than 50 levels"),
        (b"a: &a [x, x, x, x, x, x, x, x, x]\n" + NINE_TIMES.encode(), "is beyond the 200,000 values that are read of a file"),
        (b"a: &a {x: 1}\nb: {<<: [*a, *a]}\n", "line 2 merges a mapping (<<)"),
        (b"a: &a [*a]\n", "repeats a, which does not stand before it, or holds it"),
        (b"a: !!python/object/apply:os.system [x]\n", "has the tag tag:yaml.org,2002:python/object/apply:os.system"),
        (b"kind: Job\nkind: Job\n", "line 2 has the key kind a second time"),
        (b"kind: Job\nmetadata: {name: x}\nspec: .inf\n", "line 3 is .inf, which no JSON holds"),
        (b'kind: "\\ud800"\n', "half of a surrogate pair"),
        (b"kind: \xff\n", "character 7 is not text"),
        (b"<!DOCTYPE html><html>", "it is an HTML page"),
        (b"hello", "it is the text 'hello', not a mapping"),
        (b"kind: List\nitems: 5\n", "its items are no list"),
        (b"#" * 5_000_000, "has more than 4194304 bytes"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_manifest(client, cluster, content, told):
    path = client.tmp_path / "m.yaml"
    path.write_bytes(content)
    assert client.run("submit", path) == InputError.exit_code
    assert told in client.err
    assert not cluster.requests


def test_a_manifest_that_is_no_file(client, tmp_path):
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert client.run("submit", tmp_path / "fifo.yaml") == InputError.exit_code
    assert "it is a FIFO (a named pipe), not a regular file" in client.err
    assert client.run("submit", tmp_path / "gone.yaml") == InputError.exit_code
    assert "it is a link to " in client.err
    assert client.run("submit", tmp_path / "a b; x") == InputError.exit_code
    assert f"`python -m runner render --out '{tmp_path / 'a b; x'}'`" in client.err


def test_a_list_as_kubectl_prints_it_is_taken_with_the_types_that_kubectl_gives(client, cluster):
    job = bench_job()
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": [clusterplay.CONFIG, job]})
    (client.tmp_path / "list.json").write_text(text)
    Play(cluster, clusterplay.runs_well)
    assert client.run("submit", client.tmp_path / "list.json", "--dry-run") == 0, client.err
    scalars = (
        b"a: 12:30:45\nb: 1e3\nc: yes\nd: 0o17\ne: 017\nf: 1_0\ng: 2026-11-26\nh: '1'\ni: 1.10\nj: ~\nk: 0x1F\n"
        b"l: 99999999999999999999\n"
    )
    (values,) = kubeyaml.documents(scalars)
    assert values == {
        **{"a": "12:30:45", "b": 1000.0, "c": True, "d": 15, "e": 15, "f": 10, "g": "2026-11-26", "h": "1", "i": 1.1},
        **{"k": 31, "l": 1e20},
    }


def test_a_dry_run_without_any_kubeconfig_checks_the_manifests_alone_and_says_so(client, cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(client.tmp_path / "none"))
    client.kubeconfig = None
    assert client.submit("--dry-run") == 0
    assert [one["kind"] for one in yaml.safe_load_all(client.out)] == ["ConfigMap", "Job"]
    assert client.err.startswith("No cluster was asked, and the manifests alone were checked. ")
    assert len(client.err.splitlines()) == 1
    assert client.submit() == ClusterRefused.exit_code


def test_a_dry_run_on_a_server_that_does_not_answer_prints_and_says_so(client):
    client.kubeconfig = client.server.kubeconfig(client.tmp_path / "other", server="http://127.0.0.1:9")
    assert client.submit("--dry-run", "--passing-timeout-s", "0.1") == Unreachable.exit_code
    assert [one["kind"] for one in yaml.safe_load_all(client.out)] == ["ConfigMap", "Job"]
    assert "The manifests alone were checked; what is printed was not shown to the cluster." in client.err


# --- secrets ---


def test_planted_secrets_are_in_no_file_and_in_no_output(client, cluster, monkeypatch):
    """In the manifest, in what the cluster says, in the log and in the last words."""
    planted = [f"planted-secret-{number}" for number in range(6)]
    monkeypatch.setattr(secrets, "_remembered", set())
    job = bench_job()
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "HUB_TOKEN", "value": planted[0]}]
    container["args"] = [f"--api-key={planted[1]}"]

    def tells(play, job):
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


def test_a_namespace_that_is_not_there(client, cluster):
    cluster.rules = None
    assert client.submit("--namespace", "nowhere") == ClusterRefused.exit_code
    assert (
        "The namespace nowhere does not exist. Create it and what belongs to it: `kubectl apply -f k8s/00-namespace.yaml`"
        in client.err
    )


def test_nodes_are_told_where_they_may_be_seen(client, cluster):
    cluster.rules = None
    cluster.put({"kind": "Node", "metadata": {"name": "node1"}, "status": {"allocatable": {"habana.ai/gaudi": "8"}}})
    cluster.put({"kind": "Node", "metadata": {"name": "node2"}, "status": {"allocatable": {"cpu": "8"}}})
    assert client.submit("--dry-run", things=[bench_job(**{"habana.ai/gaudi": "8"})]) == 0
    assert "nodes: 1 of 2 offers 8 habana.ai/gaudi or more." in client.err


def test_manifests_without_a_benchmark_and_without_anything(client, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert client.run("submit", empty) == UsageError.exit_code
    assert client.run("submit", tmp_path / "none") == InputError.exit_code
    assert "does not exist. Render it" in client.err
    (empty / "a.yaml").write_text("a: [")
    assert client.run("submit", empty) == InputError.exit_code
    assert "is no manifest" in client.err


@pytest.mark.parametrize("text", ["a: [", "- a", "text", "\x00", "clusters: 3\r\n", ""])
def test_a_kubeconfig_that_is_none(client, tmp_path, text):
    (tmp_path / "other").write_text(text)
    assert client.run("submit", client.manifests(), "--kubeconfig", tmp_path / "other") == ClusterRefused.exit_code
    assert "No kubeconfig can be used: " in client.err


@pytest.mark.parametrize("of_pods", [False, True])
def test_a_run_that_lost_the_label_by_which_it_is_found_is_refused(client, cluster, of_pods):
    job = bench_job()
    (job["spec"]["template"] if of_pods else job)["metadata"]["labels"] = {
        "app.kubernetes.io/name": "mine",
        "app.kubernetes.io/component": "bench",
    }
    assert client.submit(things=[job]) == InputError.exit_code
    assert "lost the label app.kubernetes.io/name=bloomz-bench, by which they are found" in client.err
    assert not cluster.requests


def test_manifests_that_were_edited_by_hand(client, cluster):
    job = bench_job()
    job["metadata"]["annotations"]["bloomz-bench.dev/deadline-seconds"] = "4h"
    assert client.submit(things=[job]) == InputError.exit_code
    assert "bloomz-bench.dev/deadline-seconds of bench-cpu-1-v0-1-0 is '4h', no number of seconds." in client.err
    job["metadata"]["annotations"] = None
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "labels": None}, "data": {}}
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[job, other]) == 0, client.err


def test_a_date_in_a_manifest_is_text_as_to_kubectl(client, cluster, tmp_path):
    job = bench_job()
    job["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "DAY", "value": "DATE"}]
    text = yaml.safe_dump_all([clusterplay.CONFIG, job]).replace("value: DATE", "value: 2026-11-26")
    (tmp_path / "dated.yaml").write_text(text)
    Play(cluster, clusterplay.runs_well)
    assert client.run("submit", tmp_path / "dated.yaml") == 0, client.err
    (container,) = client.jobs()[0]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "DAY", "value": "2026-11-26"}]


def test_a_kubeconfig_that_is_not_there(client, tmp_path):
    assert client.run("submit", client.manifests(), "--kubeconfig", tmp_path / "none") == ClusterRefused.exit_code
    assert "No kubeconfig can be used: " in client.err and "--kubeconfig or KUBECONFIG" in client.err


# --- how long it may take ---


def test_a_run_that_no_node_takes_is_given_up_at_its_deadline_and_stays(client, cluster):
    def pends(play, job):
        message = "0/1 nodes are available: 1 Insufficient habana.ai/gaudi. preemption: none"
        play.pod(job, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])

    Play(cluster, pends)
    began_s = time.monotonic()
    assert (
        client.submit("--unschedulable-s", "0.4", things=[bench_job(**{"habana.ai/gaudi": "8"})])
        == NotStarted.exit_code
    )
    assert time.monotonic() - began_s < HANG_S
    assert "No node has 8 habana.ai/gaudi free (nodes may not be listed with these rights)." in client.err
    assert "It waited 0 s for a node that takes the pod, as long as it may." in client.err
    assert f"`{client.again('follow')} {client.name}` goes on" in client.err
    assert client.jobs()


def test_an_autoscaler_s_event_starts_the_deadline_anew(client, cluster):
    def grows(play, job):
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
def test_every_wait_has_its_deadline(client, cluster, row, deadline):
    def waits(play, job):
        name = job["metadata"]["name"]
        if row == "refused":
            cluster.event("FailedCreate", f'pods "{name}-x" is forbidden: exceeded quota: q, used: 8', name, "Job")
            return
        pod = play.pod(job)
        play.place(pod)
        if row == "image":
            cluster.event("Pulling", "Pulling image", pod)
        if row == "init":
            state = {"running": {}}
            cluster.write_log(pod, "wait-for-weights", ["waiting"])
            cluster.change("Pod", pod, initContainerStatuses=[{"name": "wait-for-weights", "state": state}])

    Play(cluster, waits)
    began_s = time.monotonic()
    code = client.submit(deadline, "0.3")
    assert time.monotonic() - began_s < HANG_S
    assert code == (ClusterRefused if row == "refused" else NotStarted).exit_code, client.err
    assert {"refused": "A quota of the namespace bench is used up"}.get(row, f"{deadline} allows more") in client.err


def test_a_job_that_outlives_its_own_deadline_is_given_up(client, cluster):
    Play(cluster, stands)
    assert client.submit("--deadline-s", "1", "--overrun-s", "0.3") == NotStarted.exit_code
    assert "for a Job that is past its own deadline" in client.err


def test_what_cannot_get_better_is_not_waited_for(client, cluster):
    def names_nothing(play, job):
        pod = play.pod(job)
        play.place(pod)
        state = {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image name"}}
        cluster.change("Pod", pod, containerStatuses=[{"name": "bench", "state": state}])

    Play(cluster, names_nothing)
    assert client.submit() == NotStarted.exit_code
    assert "is no name of an image" in client.err


def test_a_queue_is_waited_for(client, cluster):
    def queued(play, job):
        with cluster.lock:
            made = cluster.get("Job", job["metadata"]["name"])
            made["spec"]["suspend"] = True
            cluster.put(made)
        play.wait(0.5)
        made["spec"]["suspend"] = False
        cluster.put(made)
        clusterplay.runs_well(play, made)

    Play(cluster, queued)
    assert client.submit("--creating-s", "0.4") == 0, client.err
    assert "waits in the queue (suspended)" in client.err


def test_events_of_a_job_whose_name_is_longer_are_another_s(client, cluster):
    def queued_beside_another(play, job):
        name = job["metadata"]["name"]
        with cluster.lock:
            made = {**cluster.get("Job", name), "spec": {**job["spec"], "suspend": True}}
            cluster.put(made)
        refusal = f'Error creating: pods "{name}-r2-x" is forbidden: exceeded quota: q, used: 8'
        cluster.event("FailedCreate", refusal, f"{name}-r2", "Job")
        play.wait(1.5)
        clusterplay.runs_well(play, cluster.put({**made, "spec": job["spec"]}))

    Play(cluster, queued_beside_another)
    assert client.submit("--refused-s", "0.5") == 0, client.err
    assert "quota" not in client.err


# --- where the result comes from ---


def test_a_log_that_lost_its_frame_is_made_good_from_the_volume(client, cluster):
    def loses(play, job):
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", log=framed()[:-2])
        play.finish(job)

    Play(cluster, loses, volume=[FIRST])
    assert client.submit() == 0, client.err
    assert "the log was rotated or cut, and a part of the result is missing" in client.err
    assert client.collected() == [FIRST]
    assert not client.jobs("collect")  # it is removed again


def test_the_job_that_takes_results_off_the_volume_changes_nothing_and_asks_for_no_device():
    rendered = bench_job(**{"habana.ai/gaudi": "8", "hugepages-2Mi": "42000Mi"})
    job = collect_job(to_submit(rendered), "20261122T095000Z")
    pod, own = job["spec"]["template"]["spec"], rendered["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == [
        *("python3", "-m", "runner", "frames"),
        f"/results/{rendered['metadata']['labels']['bloomz-bench.dev/request-id']}",
        "--since",
        "20261122T095000Z",
    ]
    assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    assert next(one for one in pod["volumes"] if one["name"] == "results")["persistentVolumeClaim"]["readOnly"] is True
    assert {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]} == {
        "/results": True,
        "/tmp": False,
    }
    assert pod["nodeSelector"] == own["nodeSelector"] and pod["tolerations"] == own["tolerations"]
    assert "podAntiAffinity" not in str(job) and "initContainers" not in pod
    assert container["securityContext"] == own["containers"][0]["securityContext"]
    assert names.component_of(job) == "collect" and len(job["metadata"]["name"]) <= 63
    assert collect_job(bench_job(volume=False)) is None


def test_a_result_that_is_nowhere_leaves_the_pod_s_last_words_as_partial(client, cluster):
    words = {
        "kind": "termination",
        "schema": 1,
        "attempts": [{"attempt": FIRST, "latency_s": [0.5]}],
        "dropped": 0,
        "error": None,
    }

    def loses(play, job):
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


def test_a_result_that_the_last_words_name_and_the_log_lacks_is_fetched(client, cluster):
    words = {"kind": "termination", "schema": 1, "attempts": [{"attempt": FIRST}, {"attempt": SECOND}], "error": None}

    def half(play, job):
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", message=json.dumps(words), log=framed(FIRST))
        play.finish(job)

    Play(cluster, half, volume=[FIRST, SECOND])
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST, SECOND]


def ends_without_a_log(play, job):
    stands(play, job)
    play.end(f"{job['metadata']['name']}-p1")
    play.finish(job)


def test_a_complete_run_whose_pod_is_gone_gives_its_result_from_the_volume(client, cluster):
    Play(cluster, stands, volume=[FIRST])
    assert client.submit("--detach") == 0
    finish(cluster, client.name)
    cluster.remove("Pod", f"{client.name}-p1")
    assert client.run("follow", client.name, "--drain-s", "0.5") == 0, client.err
    assert client.collected() == [FIRST]


def test_a_volume_that_could_not_be_read_is_not_said_to_be_missing(client, cluster):
    def refuses_the_next(play, job):
        cluster.faults.append(apiserver.Fault(("create", "jobs"), "status", 9, 403, "jobs.batch is forbidden"))
        ends_without_a_log(play, job)

    Play(cluster, refuses_the_next)
    assert client.submit() == ResultLost.exit_code
    assert f"may not create the Job {client.name}-collect in bench (403)" in client.err
    assert "its result could be taken neither from the log nor from the volume" in client.err


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_for_the_volume_that_comes_to_nothing_says_why_and_is_removed(client, cluster, fails, monkeypatch):
    def comes_to_nothing(play, job):
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


def test_a_job_for_the_volume_that_another_client_waits_for_is_left_to_both(client, cluster, monkeypatch):
    def other_client_s(play, job):
        own = collect_job(job)
        cluster.put({**own, "spec": {**own["spec"], "of": "another"}}, {})
        ends_without_a_log(play, job)

    def takes_its_time(play, job):
        play.wait(0.5)
        assert cluster.get("Job", job["metadata"]["name"]) is not None, "it was deleted meanwhile"
        collects(play, job)

    collects = clusterplay.collects
    monkeypatch.setattr(clusterplay, "collects", takes_its_time)
    play = Play(cluster, other_client_s, volume=[FIRST])
    assert client.submit() == 0, client.err
    assert not play.errors
    assert client.collected() == [FIRST]


def test_only_what_began_with_the_run_s_own_container_is_taken_off_the_volume(client, cluster, monkeypatch):
    """Another run of the same request, a few minutes before, left its result in the same folder."""

    def ends(play, job):
        stands(play, job)
        play.wait(0.1)
        cluster.write_log(f"{job['metadata']['name']}-p1", "bench", [], ended=True)
        ended = {"exitCode": 0, "startedAt": "2026-11-22T10:01:00Z"}
        status = [{"name": "bench", "state": {"terminated": ended}}]
        cluster.change("Pod", f"{job['metadata']['name']}-p1", phase="Succeeded", containerStatuses=status)
        play.finish(job)

    def looks(play, job):
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


def test_without_a_volume_a_lost_result_is_said_to_be_lost(client, cluster):
    def loses(play, job):
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1")
        play.finish(job)

    Play(cluster, loses)
    assert client.submit(things=[bench_job(volume=False)]) == ResultLost.exit_code
    assert "could be taken not from the log, and there is no volume" in client.err
    assert not client.jobs("collect")


def test_a_failed_attempt_s_result_is_taken_too(client, cluster):
    def fails(play, job):
        stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 6, log=framed())
        play.finish(job, "Failed", "PodFailurePolicy")

    Play(cluster, fails)
    assert client.submit() == JobFailed.exit_code
    assert client.collected() == [FIRST]


def test_a_job_that_is_gone_gives_its_result_from_the_volume(client, cluster):
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


def test_follow_without_names_follows_all_that_are_there(client, cluster):
    Play(cluster, clusterplay.runs_well)
    assert client.run("follow") == InputError.exit_code
    assert "No benchmark is in bench. Start one" in client.err
    attempts = iter([FIRST, SECOND])
    cluster.players.clear()
    Play(cluster, lambda play, job: clusterplay.runs_well(play, job, next(attempts), pause=0.2))
    assert client.submit("--detach", things=[bench_job("bench-b-v0-1-0"), bench_job("bench-c-v0-1-0")]) == 0
    assert client.run("follow") == 0, client.err
    assert sorted(client.collected()) == [FIRST, SECOND]


def beside_a_mesh(play, job, own, other, log=()):
    """Play a pod that got a mesh's container before its own; ``own`` is how that ended, None where it runs."""
    pod = play.pod(job)
    thing = play.cluster.get("Pod", pod)
    thing["spec"]["containers"] = [{"name": "istio-proxy", "image": "proxy"}, *thing["spec"]["containers"]]
    play.cluster.put(thing)
    play.place(pod)
    play.cluster.write_log(pod, "bench", list(log), ended=own is not None)
    play.cluster.write_log(pod, "istio-proxy", ["a word of the mesh"])
    states = [
        {"name": "istio-proxy", "state": other},
        {"name": "bench", "state": {"terminated": own} if own else {"running": {}}},
    ]
    play.cluster.change("Pod", pod, phase="Running", containerStatuses=states)


def test_a_mesh_that_keeps_the_pod_is_named_and_the_result_is_taken(client, cluster):
    Play(cluster, lambda play, job: beside_a_mesh(play, job, {"exitCode": 0}, {"running": {}}, framed()))
    assert client.submit("--creating-s", "0.5") == NotStarted.exit_code
    assert "The container bench has ended, but istio-proxy, which something else put beside it, goes on" in client.err
    assert "a word of the mesh" not in client.err
    assert client.collected() == [FIRST]


def test_a_mesh_that_ends_first_ends_nothing(client, cluster):
    def goes_on(play, job):
        beside_a_mesh(play, job, None, {"terminated": {"exitCode": 1, "reason": "Error"}})
        play.wait(0.3)
        play.end(f"{job['metadata']['name']}-p1", log=framed())
        play.finish(job)

    Play(cluster, goes_on)
    assert client.submit() == 0, client.err
    assert "istio-proxy" not in client.err
    assert client.collected() == [FIRST]


def test_the_last_words_are_those_of_the_run_s_own_container(client, cluster):
    words = {"kind": "termination", "schema": 1, "attempts": [{"attempt": FIRST}], "dropped": 0, "error": None}

    def loses(play, job):
        own = {"exitCode": 0, "message": json.dumps(words)}
        beside_a_mesh(play, job, own, {"terminated": {"exitCode": 0}}, ["nothing"])
        play.finish(job)

    Play(cluster, loses)
    assert client.submit() == ResultLost.exit_code
    assert f"{FIRST} could be taken neither from the log nor from the volume; the pod's last words" in client.err


def test_a_run_that_ends_is_not_kept_waiting_by_those_whose_logs_are_followed(client, cluster, monkeypatch):
    monkeypatch.setattr(logs, "STREAMS", 2)
    others: list = []

    def script(play, job):
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


# --- signals, and the way back ---


def interrupted(client, *arguments, signals=(signal.SIGINT,), things=(), verb="submit"):
    """Submit, or follow, and send this process signals once the pod runs."""

    def send():
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


def test_ctrl_c_detaches_and_says_how_to_come_back(client, cluster, monkeypatch):
    monkeypatch.setattr(follower, "at_a_terminal", lambda: True)
    monkeypatch.setattr(follower, "SECOND_SIGNAL_S", 0.3)
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


def test_ctrl_c_says_that_later_runs_are_not_created_yet(client, cluster, monkeypatch):
    monkeypatch.setattr(follower, "at_a_terminal", lambda: True)
    monkeypatch.setattr(follower, "SECOND_SIGNAL_S", 0.3)
    Play(cluster, stands)
    things = [bench_job(name) for name in ("bench-a", "bench-b", "bench-c")]
    assert interrupted(client, things=things) == Interrupted.exit_code
    assert len(client.jobs()) == 1
    assert "Of these manifests 2 more were not created yet: the same `submit` again" in client.err
    finish(cluster, client.name)
    cluster.players.pop()  # what ended it plays nothing new
    assert interrupted(client, "--rerun", things=things) == Interrupted.exit_code
    told = "Of these manifests 2 more were not created yet: `submit --rerun` with `--only` measures them: bench-b, bench-c."
    assert told in client.err  # the same again would measure the first a third time


def test_a_second_ctrl_c_cancels(client, cluster, monkeypatch):
    monkeypatch.setattr(follower, "at_a_terminal", lambda: True)
    Play(cluster, stands)
    assert interrupted(client, signals=(signal.SIGINT, signal.SIGINT)) == Interrupted.exit_code
    assert "Cancelled 1 run(s)" in client.err
    assert not client.jobs() and not cluster.all("Pod")
    (evidence,) = client.runs.rglob("evidence.json")
    assert json.loads(evidence.read_text())["pods"]


def test_a_cancelling_ctrl_c_outlasts_a_server_that_fails_once(client, cluster, monkeypatch):
    monkeypatch.setattr(follower, "at_a_terminal", lambda: True)
    Play(cluster, stands)
    cluster.faults.append(apiserver.Fault(("delete", "jobs"), "status", 1, 500))
    assert interrupted(client, signals=(signal.SIGINT, signal.SIGINT)) == Interrupted.exit_code, client.err
    assert not client.jobs()


def test_a_third_ctrl_c_does_not_wait_for_what_is_slow_to_go(client, cluster, monkeypatch):
    monkeypatch.setattr(follower, "at_a_terminal", lambda: True)
    monkeypatch.setattr(cluster, "remove", lambda kind, name: cluster.get(kind, name))  # a finalizer keeps it
    Play(cluster, stands)
    began_s = time.monotonic()
    assert interrupted(client, signals=[signal.SIGINT] * 3) == Interrupted.exit_code
    assert time.monotonic() - began_s < HANG_S
    assert f"{client.name}: is still being deleted; that goes on in the cluster." in client.err
    assert "Cancelled 1 run(s)" in client.err


def test_a_cancelling_signal_that_the_cluster_refuses_is_told_with_the_way_back(client, cluster):
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    cluster.faults.append(apiserver.Fault(("delete", "jobs"), "status", 9, 403, "forbidden"))
    assert interrupted(client, signals=(signal.SIGTERM,), verb="follow") == ClusterRefused.exit_code
    assert f"may not delete the Job {client.name} in bench (403)" in client.err
    assert f"Come back: `{client.again('follow')} {client.name}`." in client.err


def test_a_signal_at_the_end_of_a_run_keeps_the_next_from_starting(client, cluster, monkeypatch):
    keep = evidence.keep

    def keep_and_interrupt(*told):
        keep(*told)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(evidence, "keep", keep_and_interrupt)
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
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(client, cluster, number):
    """As nohup, and a shell for its background jobs, ask for it."""
    before = signal.signal(number, signal.SIG_IGN)
    try:

        def goes_on(play, job):
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
def test_without_a_terminal_a_signal_cancels_unless_told_otherwise(client, cluster, number):
    Play(cluster, stands)
    assert interrupted(client, "--detach-on-signal", signals=(number,)) == Interrupted.exit_code
    assert "Detached; the runs go on in the cluster." in client.err
    assert client.jobs()
    assert interrupted(client, signals=(number,)) == Interrupted.exit_code
    assert not client.jobs()


def test_a_run_can_be_cancelled_where_events_cannot_be_had(client, cluster):
    Play(cluster, stands)
    assert client.submit("--detach") == 0
    cluster.faults.append(apiserver.Fault(("list", "events"), "status", 10_000, 500))
    assert client.run("cancel", client.name, "--passing-timeout-s", "0.3") == 0, client.err
    assert not client.jobs()


def test_a_cancelled_run_can_be_submitted_again(client, cluster):
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
