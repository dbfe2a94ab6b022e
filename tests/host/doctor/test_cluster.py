"""The looks at a cluster, against the scripted API server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.contract.records import JsonObject
from runner.host.cluster.client import Cluster, Timeouts
from runner.host.doctor import cluster
from runner.host.doctor.cluster import ClusterLooks, Wanted
from runner.host.doctor.findings import Finding
from runner.host.doctor.looking import Group, look_at
from runner.host.doctor.plan import Tables
from runner.host.manifests import plan as job_plan
from runner.host.manifests.plan import JobPlan
from runner.host.readers.profiles import JobKind
from tests.support import apiserver, clusterplay, scriptedcluster
from tests.support.patience import HANG_S
from tests.support.scriptedcluster import Fault

GAUDI2 = {"bloomz-bench.dev/accelerator": "gaudi2"}
WHOLE = {
    "cpu": "96",
    "memory": "1000Gi",
    "hugepages-2Mi": "42000Mi",
    "ephemeral-storage": "500Gi",
    "habana.ai/gaudi": "8",
}


@pytest.fixture
def scripted() -> scriptedcluster.Cluster:
    """A cluster in which everything is ready for the Gaudi2 set, and this user may do all."""
    cluster = scriptedcluster.Cluster()
    clusterplay.furnish(cluster)
    cluster.now_s = time.time()
    put_node(cluster, "node1", GAUDI2, WHOLE)
    put_claim(cluster, "bench-models", "500Gi")
    put_claim(cluster, "bench-packages", "40Gi")
    put_namespace(cluster, {"pod-security.kubernetes.io/enforce": "restricted"})
    cluster.put({"kind": "StorageClass", "metadata": {"name": "fast"}})
    return cluster


def put_node(cluster: scriptedcluster.Cluster, name: str, labels: dict[str, str], allocatable: dict[str, str]) -> None:
    cluster.put({"kind": "Node", "metadata": {"name": name, "labels": labels}}, {"allocatable": allocatable})


def put_claim(cluster: scriptedcluster.Cluster, name: str, size: str, phase: str = "Bound") -> None:
    claim: JsonObject = {"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {}}
    cluster.put(claim, {"phase": phase, "capacity": {"storage": size}})


def put_namespace(cluster: scriptedcluster.Cluster, labels: dict[str, str]) -> None:
    cluster.put({"kind": "Namespace", "metadata": {"name": scriptedcluster.NAMESPACE, "labels": labels}})


class Looker:
    """Looks at a scripted cluster."""

    def __init__(
        self, scripted: scriptedcluster.Cluster, server: apiserver.Server, folder: Path, tables: Tables
    ) -> None:
        self.scripted, self._server, self._folder, self._tables = scripted, server, folder, tables

    def plans(self, *cases: str, nodes: int = 1) -> list[JobPlan]:
        catalog, lock, profiles = self._tables.catalog, self._tables.lock, self._tables.profiles
        return [job_plan.make(catalog, lock, profiles, case, nodes, {}, None) for case in cases]

    def look(
        self,
        *cases: str,
        job_kind: JobKind = "job",
        nodes: int = 1,
        queue: str | None = None,
        storage_class: str | None = None,
        server: str | None = None,
        namespace: str = scriptedcluster.NAMESPACE,
        token: str = apiserver.TOKEN,
    ) -> dict[str, Finding]:
        """Return the findings by what was looked at."""
        path = self._server.kubeconfig(self._folder / "kubeconfig", token, namespace, server)
        cluster = Cluster(path, None, None, Timeouts(request_s=10.0, passing_s=0.0))
        wanted = Wanted(job_kind, self.plans(*(cases or ("gaudi2-8-bloomz",)), nodes=nodes), queue, storage_class)
        return {finding.what: finding for finding in look_at([Group(ClusterLooks(cluster, wanted).looks(), 120)])}


@pytest.fixture
def looker(scripted: scriptedcluster.Cluster, tmp_path: Path, tables: Tables) -> Iterator[Looker]:
    with apiserver.Server(scripted) as server:
        yield Looker(scripted, server, tmp_path, tables)


def test_a_cluster_that_is_ready(looker: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    # the scripted clock stands still, however long the looks before take on a loaded machine
    monkeypatch.setattr(cluster, "MOST_APART_S", HANG_S)
    before = dict(looker.scripted.objects)
    found = looker.look("gaudi2-8-bloomz", "gaudi2-1-bloomz-7b1")
    assert {what: finding.state for what, finding in found.items() if finding.state != "ready"} == {
        "network policies": "cannot be told"
    }
    assert {"device plugin of habana.ai/gaudi", "labels of gaudi2", "room for gaudi2-1-bloomz-7b1"} <= set(found)
    assert found["API server"].finding.endswith("answers with Kubernetes v1.36.1.")
    assert "enforces the level restricted" in found["namespace"].finding
    assert looker.scripted.objects == before
    assert {verb for verb, resource in looker.scripted.requests if resource != "selfsubjectaccessreviews"} == {
        "get",
        "list",
    }


def test_an_old_cluster(looker: Looker) -> None:
    looker.scripted.release = "v1.27.3-gke.100"
    assert looker.look()["API server"].state == "warning"


@pytest.mark.parametrize("ahead_s, words", [(60, "60 s ahead of"), (-60, "60 s behind")])
def test_a_clock_that_is_apart(looker: Looker, ahead_s: int, words: str) -> None:
    looker.scripted.now_s = time.time() + ahead_s
    clock = looker.look()["clock of the API server"]
    # the other requests take a while on a loaded machine
    assert clock.state == "warning" and clock.finding.partition(" s ")[2] == f"{words.partition(' s ')[2]} this host's."


def test_rights_that_are_missing(looker: Looker) -> None:
    looker.scripted.rules = [rule for rule in clusterplay.role() if "jobs" not in rule["resources"]]
    found = looker.look()
    assert found["rights"].state == "not ready" and "create jobs" in found["rights"].finding
    # what a submitter's Role does not grant cannot be told
    assert found["namespace"].state == found["nodes"].state == "cannot be told"
    assert found["room for gaudi2-8-bloomz"].state == "not looked at"


def test_a_namespace_that_does_not_exist(looker: Looker) -> None:
    found = looker.look(namespace="nowhere")
    assert found["namespace"].state == "not ready"
    assert "The namespace nowhere does not exist." in found["namespace"].finding


def test_a_namespace_without_a_level(looker: Looker) -> None:
    put_namespace(looker.scripted, {})
    assert "enforces no level of Pod Security" in looker.look()["namespace"].finding


def test_an_account_that_is_missing(looker: Looker) -> None:
    looker.scripted.remove("ServiceAccount", "bench-run")
    account = looker.look()["account"]
    assert account.state == "not ready" and "render --namespace bench" in str(account.remedy)


@pytest.mark.parametrize("job_kind, resource", [("mpijob", "mpijobs"), ("jobset", "jobsets")])
def test_the_operator_of_several_nodes(looker: Looker, job_kind: JobKind, resource: str) -> None:
    assert looker.look("gaudi-16-bloomz", job_kind=job_kind, nodes=2)["operator"].state == "ready"
    looker.scripted.unserved.add(resource)
    operator = looker.look("gaudi-16-bloomz", job_kind=job_kind, nodes=2)["operator"]
    assert operator.state == "not ready" and "kubectl apply --server-side -f" in str(operator.remedy)


def test_a_queue(looker: Looker) -> None:
    assert looker.look(queue="accelerators")["queue"].state == "not ready"
    state = {"conditions": [clusterplay.condition("Active", "True")]}
    looker.scripted.put({"kind": "LocalQueue", "metadata": {"name": "accelerators"}}, state)
    assert looker.look(queue="accelerators")["queue"].state == "ready"
    state = {"conditions": [clusterplay.condition("Active", "False", "Stopped", "ClusterQueue is stopped")]}
    looker.scripted.put({"kind": "LocalQueue", "metadata": {"name": "accelerators"}}, state)
    assert "takes nothing: ClusterQueue is stopped." in looker.look(queue="accelerators")["queue"].finding
    looker.scripted.unserved.add("localqueues")
    assert "does not know LocalQueue" in looker.look(queue="accelerators")["queue"].finding


@pytest.mark.parametrize(
    "claim, state",
    [
        ({"size": "300Gi"}, "not ready"),
        ({"size": "500Gi", "phase": "Pending"}, "ready"),
        ({"size": "500Gi", "phase": "Lost"}, "not ready"),
    ],
    ids=["too-small", "pending", "lost"],
)
def test_claims_that_are_there(looker: Looker, claim: dict[str, Any], state: str) -> None:
    put_claim(looker.scripted, "bench-models", **claim)
    assert looker.look()["volumes"].state == state


def test_claims_that_a_storage_class_would_make(looker: Looker) -> None:
    looker.scripted.remove("PersistentVolumeClaim", "bench-models")
    none = looker.look()["volumes"]
    assert none.state == "not ready" and "no storage class is the default; there are: fast." in none.finding
    assert looker.look(storage_class="fast")["volumes"].state == "warning"
    assert "There is no storage class slow" in looker.look(storage_class="slow")["volumes"].finding
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    looker.scripted.put({"kind": "StorageClass", "metadata": {"name": "fast", "annotations": annotations}})
    assert looker.look()["volumes"].finding == "The claim bench-models is not there; fast would make its volume."


def test_storage_classes_that_may_not_be_listed(looker: Looker) -> None:
    looker.scripted.rules = clusterplay.role()
    looker.scripted.remove("PersistentVolumeClaim", "bench-models")
    assert looker.look()["volumes"].state == "cannot be told"


def test_nodes_that_do_not_serve(looker: Looker) -> None:
    put_node(looker.scripted, "node1", GAUDI2, {**WHOLE, "hugepages-2Mi": "0"})
    room = looker.look()["room for gaudi2-8-bloomz"]
    assert room.state == "not ready" and "the nearest has 0 hugepages-2Mi of 42000Mi" in room.finding
    assert "vm.nr_hugepages" in str(room.remedy)
    put_node(looker.scripted, "node1", {}, WHOLE)
    found = looker.look()
    assert found["labels of gaudi2"].state == found["room for gaudi2-8-bloomz"].state == "warning"
    assert "`kubectl label node NODE bloomz-bench.dev/accelerator=gaudi2`" in str(found["labels of gaudi2"].remedy)
    put_node(looker.scripted, "node1", GAUDI2, {"cpu": "96", "memory": "1000Gi", "ephemeral-storage": "500Gi"})
    plugin = looker.look()["device plugin of habana.ai/gaudi"]
    assert plugin.state == "warning" and plugin.finding == "No node offers habana.ai/gaudi."


def test_a_set_on_two_nodes_needs_two(looker: Looker) -> None:
    put_node(looker.scripted, "node1", {"bloomz-bench.dev/accelerator": "gaudi"}, WHOLE)
    room = looker.look("gaudi-16-bloomz", job_kind="mpijob", nodes=2)["room for gaudi-16-bloomz"]
    assert room.state == "warning" and "1 of 1 nodes have what a pod asks for, and 2 must" in room.finding


def test_a_cluster_for_the_cpu_needs_no_device(looker: Looker) -> None:
    put_node(looker.scripted, "node1", {}, {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "20Gi"})
    found = looker.look("cpu-1")
    assert found["labels of cpu"].finding == "The pods look for no label."
    assert found["device plugin of cpu"].finding == "The cases ask for no device."
    assert found["room for cpu-1"].state == "ready"


def test_nodes_that_are_all_closed(looker: Looker) -> None:
    looker.scripted.put({"kind": "Node", "metadata": {"name": "node1"}, "spec": {"unschedulable": True}}, {})
    assert looker.look()["nodes"].finding == "1 node, 1 of them closed to new pods."
    looker.scripted.remove("Node", "node1")
    found = looker.look()
    assert found["nodes"].state == found["room for gaudi2-8-bloomz"].state == "warning"


def test_credentials_that_are_not_accepted_end_the_looks(looker: Looker) -> None:
    looker.scripted.faults.append(Fault(("version",), "status", times=9, status=401, message="Unauthorized"))
    found = looker.look()
    assert found["API server"].state == "not ready" and "(401)" in found["API server"].finding
    assert {finding.state for what, finding in found.items() if what != "API server"} == {"not looked at"}


def test_a_server_that_is_not_there_ends_the_looks(looker: Looker) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = looker.look(server=f"http://127.0.0.1:{probe.getsockname()[1]}")
    assert found["API server"].state == "not ready"
    assert {finding.state for what, finding in found.items() if what != "API server"} == {"not looked at"}


def test_a_server_that_falls_silent_ends_the_looks(looker: Looker) -> None:
    looker.scripted.faults.append(Fault(("serviceaccounts",), "drop", times=9))
    found = looker.look()
    assert found["namespace"].state == "ready" and found["account"].state == "not ready"
    assert found["room for gaudi2-8-bloomz"].state == "not looked at"


def test_a_failing_server_cannot_be_told(looker: Looker) -> None:
    looker.scripted.faults.append(Fault(("serviceaccounts",), "status", times=9, status=503))
    found = looker.look()
    assert found["account"].state == "cannot be told" and found["room for gaudi2-8-bloomz"].state == "ready"
