"""What is asked of a cluster, and refused, before anything is created."""

from __future__ import annotations

import pytest

from runner.contract.errors import (
    ClusterRefused,
    InputError,
)
from runner.contract.records import JsonObject
from runner.host.objects.names import PROBLEM, QUEUE, TAGGED_BASES
from runner.host.objects.rights import Right
from tests.support import apiserver, clusterplay
from tests.support.client import Client
from tests.support.clusterplay import (
    Play,
    bench_job,
    condition,
)
from tests.support.scriptedcluster import Cluster


@pytest.mark.parametrize(
    "kind, name, sentence",
    [
        ("ServiceAccount", "bench-run", "The ServiceAccount bench-run, which the Jobs name, does not exist in bench."),
        (
            "PersistentVolumeClaim",
            "bench-results",
            "The PersistentVolumeClaim bench-results, which the Jobs name, does not exist",
        ),
    ],
)
def test_what_the_jobs_need_is_asked_for_first(
    client: Client, cluster: Cluster, kind: str, name: str, sentence: str
) -> None:
    cluster.remove(kind, name)
    assert client.submit() == ClusterRefused.exit_code
    assert sentence in client.err
    assert "`python -m runner render --namespace bench --out FOLDER`, then `kubectl --kubeconfig" in client.err
    rendered = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "bench"}}
    assert client.submit(things=[rendered, bench_job()]) == ClusterRefused.exit_code
    assert (
        f"`kubectl --kubeconfig {client.kubeconfig} apply -f {client.tmp_path}/manifests/60-bench.yaml`" in client.err
    )
    assert not cluster.all("Job")


QUEUE_RULE = {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads", "localqueues"], "verbs": ["get", "list"]}


def queued(
    cluster: Cluster,
    active: str = "True",
    message: str = "Can submit new workloads to ClusterQueue",
    rule: JsonObject | None = QUEUE_RULE,
) -> JsonObject:
    """Return a Job for a queue of a cluster that has it, for whoever has the Role as it is rendered with --queue."""
    cluster.rules = [*(cluster.rules or ()), *([rule] if rule else [])]
    state = condition("Active", active, "ClusterQueueIsInactive" if active == "False" else "Ready", message)
    cluster.put({"kind": "LocalQueue", "metadata": {"name": "accelerators"}}, {"conditions": [state]})
    job = bench_job()
    job["metadata"]["labels"][QUEUE] = "accelerators"
    return job


def test_a_queue_that_takes_something_is_submitted_to(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[queued(cluster)]) == 0, client.err
    assert client.jobs()[0]["metadata"]["labels"][QUEUE] == "accelerators"
    assert Right("kueue.x-k8s.io", "localqueues", "get") in cluster.used_rights


def test_a_queue_that_nobody_made_is_refused_before_anything_is_created(client: Client, cluster: Cluster) -> None:
    job = queued(cluster)
    cluster.remove("LocalQueue", "accelerators")
    assert client.submit(things=[job]) == ClusterRefused.exit_code
    assert "The LocalQueue accelerators does not exist in bench. `" in client.err
    assert f"`kubectl --kubeconfig {client.kubeconfig} -n bench get localqueues` shows" in client.err
    assert not cluster.all("Job") and not cluster.all("ConfigMap")


def test_a_queue_that_takes_nothing_is_refused_with_its_own_reason(client: Client, cluster: Cluster) -> None:
    job = queued(cluster, "False", "ClusterQueue is stopped")
    assert client.submit(things=[job]) == ClusterRefused.exit_code
    assert "The LocalQueue accelerators takes nothing: ClusterQueue is stopped. `kubectl" in client.err
    assert not cluster.all("Job")


def test_a_queue_of_another_version_is_not_looked_up_and_that_is_said(client: Client, cluster: Cluster) -> None:
    job = queued(cluster)
    cluster.unserved.add("localqueues")
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[job]) == 0, client.err
    assert "does not serve kueue.x-k8s.io/v1beta2; accelerators was not looked up." in client.err


def test_a_queue_takes_rights_that_other_jobs_do_not(client: Client, cluster: Cluster) -> None:
    assert client.submit(things=[queued(cluster, rule=None)]) == ClusterRefused.exit_code
    assert "lack rights in bench: get localqueues, list workloads." in client.err


def test_what_admission_refuses_is_told_before_anything_is_created(client: Client, cluster: Cluster) -> None:
    cluster.faults.append(
        apiserver.Fault(
            ("create", "jobs"), "status", status=422, message='Job.batch "x" is invalid: spec.template: Required value'
        )
    )
    assert client.submit() == ClusterRefused.exit_code
    assert "the API server finds the manifest wrong: Job.batch" in client.err
    assert not cluster.all("Job") and not cluster.all("ConfigMap")


def test_a_run_that_would_refuse_to_measure_is_refused_before_the_cluster_is_asked(
    client: Client, cluster: Cluster
) -> None:
    draft = bench_job()
    draft["metadata"]["annotations"][PROBLEM] = "the commit of a fork is unresolved in versions.lock. Run a command"
    assert client.submit(things=[draft]) == ClusterRefused.exit_code
    assert "bench-cpu-1-v0-1-0" in client.err
    assert "would not measure: the commit of a fork is unresolved in versions.lock. Run a command.\n" in client.err
    assert not cluster.requests


def test_a_base_whose_digest_nobody_has_published_may_be_named_by_tag_and_no_other_image(
    client: Client, cluster: Cluster
) -> None:
    Play(cluster, clusterplay.runs_well)
    job = bench_job()
    job["metadata"]["annotations"][TAGGED_BASES] = "vendor.test/base:1.10.0-494 other.test/python:3.10"
    spec = job["spec"]["template"]["spec"]
    spec["containers"][0]["image"] = "vendor.test/base:1.10.0-494"
    assert client.submit(things=[job]) == 0, client.err
    spec["initContainers"][0]["image"] = "vendor.test/base:1.10.0-495"
    assert client.submit(things=[job]) == InputError.exit_code
    assert "takes the image vendor.test/base:1.10.0-495, which is not named by digest" in client.err


@pytest.mark.parametrize(
    "image",
    ["kit:latest", "kit", "", f"kit@sha256:{'0' * 64}", f"kit@sha256:{'ab' * 31}", f"--x@sha256:{'ab' * 32}", f"kit@sha256:{'ab' * 32} "],
)  # fmt: skip
@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_an_image_that_is_not_named_by_digest_is_refused_before_the_cluster_is_asked(
    client: Client, cluster: Cluster, image: str, place: str
) -> None:
    job = bench_job()
    job["spec"]["template"]["spec"][place][0]["image"] = image
    assert client.submit(things=[job]) == InputError.exit_code
    assert f"takes the image {image or 'without a name'}, which is not named by digest" in client.err
    assert not cluster.requests


def test_a_namespace_that_is_not_there(client: Client, cluster: Cluster) -> None:
    cluster.rules = None
    assert client.submit("--namespace", "nowhere") == ClusterRefused.exit_code
    assert (
        "The namespace nowhere does not exist. Create it and what belongs to it: `kubectl apply -f k8s/00-namespace.yaml`"
        in client.err
    )


def test_nodes_are_told_where_they_may_be_seen(client: Client, cluster: Cluster) -> None:
    cluster.rules = None
    cluster.put({"kind": "Node", "metadata": {"name": "node1"}, "status": {"allocatable": {"habana.ai/gaudi": "8"}}})
    cluster.put({"kind": "Node", "metadata": {"name": "node2"}, "status": {"allocatable": {"cpu": "8"}}})
    assert client.submit("--dry-run", things=[bench_job(resources={"habana.ai/gaudi": "8"})]) == 0
    assert "nodes: 1 of 2 offers 8 habana.ai/gaudi or more." in client.err
