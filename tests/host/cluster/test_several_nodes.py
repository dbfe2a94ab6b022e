"""The client with runs on several nodes: an MPIJob or JobSet as it is rendered, and what its operator makes of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence

import pytest

from runner import __version__
from runner.contract.errors import ClusterRefused, JobFailed, NotStarted
from runner.contract.records import JsonObject
from runner.host.diagnosis import requests
from runner.host.objects.submitted import to_submit
from runner.host.objects.walk import pod_specs
from tests.support import clusterplay, manifests
from tests.support.client import Client
from tests.support.clusterplay import FIRST, Play, condition, framed
from tests.support.scriptedcluster import Cluster, EventType

SETS = {"MPIJob": "multinode", "JobSet": "multinode-jobset"}
RESOURCES = {"MPIJob": "mpijobs", "JobSet": "jobsets"}
DONE = {"MPIJob": "Succeeded", "JobSet": "Completed"}


class Operated(Play):
    """Plays an MPIJob or JobSet by its operator's names and labels with ``script(play, run, first, other)``."""

    def __init__(self, cluster: Cluster, script: OperatedScript, volume: Iterable[str] = ()) -> None:
        super().__init__(cluster, clusterplay.runs_well, volume)
        self._operate = script

    def _created(self, event: EventType, manifest: JsonObject) -> None:
        if event == "ADDED" and manifest["kind"] in SETS:
            threading.Thread(target=self._play, args=(self._as_operator, manifest), daemon=True).start()
        else:
            super()._created(event, manifest)

    def _as_operator(self, play: Play, run: JsonObject) -> None:
        self.cluster.change(run["kind"], run["metadata"]["name"], conditions=[condition("Created")])
        self._operate(self, run, *(self.pod_of(run, index) for index in (0, 1)))

    def pod_of(self, run: JsonObject, index: int) -> str:
        name = run["metadata"]["name"]
        if run["kind"] == "MPIJob":
            role = ("Launcher", "Worker")[index]
            template = run["spec"]["mpiReplicaSpecs"][role]["template"]
            pod = f"{name}-{('launcher-x7k2p', 'worker-0')[index]}"
            labels = {"training.kubeflow.org/job-name": name, "training.kubeflow.org/job-role": role.lower()}
        else:
            part = run["spec"]["replicatedJobs"][index]
            template = part["template"]["spec"]["template"]
            pod = f"{name}-{part['name']}-0-0-x7k2p"
            labels = {"jobset.sigs.k8s.io/jobset-name": name, "jobset.sigs.k8s.io/replicatedjob-name": part["name"]}
        metadata = {"name": pod, "labels": {**template["metadata"]["labels"], **labels}}
        self.cluster.put({"kind": "Pod", "metadata": metadata, "spec": dict(template["spec"])}, {"phase": "Pending"})
        return pod

    def over(self, run: JsonObject, kind: str | None = None, **what: str) -> None:
        self.cluster.change(
            run["kind"], run["metadata"]["name"], conditions=[condition(kind or DONE[run["kind"]], **what)]
        )


OperatedScript = Callable[[Operated, JsonObject, str, str], None]


def measures(play: Operated, run: JsonObject, first: str, other: str, log: Sequence[str] | None = None) -> None:
    """Play a run that goes well: the other pod lends its devices until it is removed."""
    for pod in (first, other):
        play.place(pod, f"node-of-{pod}")
    play.start(other, log=["Server listening on port 2222"])
    play.start(first)
    play.end(first, log=framed() if log is None else log)
    play.over(run)
    play.cluster.remove("Pod", other)


def stands(play: Operated, run: JsonObject, first: str, other: str) -> None:
    for pod in (first, other):
        play.place(pod)
        play.start(pod)


@pytest.fixture(params=SETS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def things(kind: str, cluster: Cluster) -> list[JsonObject]:
    """Return the rendered set; the cluster has what an administrator applied of it, and only the set's own Role."""
    rendered = manifests.objects(SETS[kind])
    cluster.rules = manifests.one(rendered, "Role")["rules"]
    for claim in (manifest for manifest in rendered if manifest["kind"] == "PersistentVolumeClaim"):
        cluster.put({**claim, "metadata": {"name": claim["metadata"]["name"]}}, {"phase": "Bound"})
    return rendered


def submitted(cluster: Cluster, kind: str) -> JsonObject:
    (run,) = cluster.all(kind)
    return run


def test_a_run_on_several_nodes_goes_from_manifest_to_result(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    play = Operated(cluster, measures)
    assert client.submit(things=things) == 0, client.err
    run = submitted(cluster, kind)
    assert not play.errors
    assert f"{run['metadata']['name']} | [cpu-1] launch 1/1: starting" in client.err
    assert "takes the results off the volume" not in client.err
    assert client.collected() == [FIRST]
    assert run["metadata"]["name"].startswith(f"bench-gaudi-16-bloomz-v{__version__.replace('.', '-')}-")
    verbs = {right.verb for right in cluster.used_rights if right.resource == RESOURCES[kind]}
    assert verbs >= {"create", "get", "list", "watch"}
    assert client.submit(things=things) == 0
    assert "is complete already; its result is taken" in client.err
    assert client.collected() == [FIRST]


def test_it_gets_its_own_deadline_where_its_kind_has_one(kind: str, things: Sequence[JsonObject]) -> None:
    rendered = manifests.one(things, kind)
    spec = to_submit(rendered)["spec"]
    if kind == "MPIJob":
        assert spec["runPolicy"]["activeDeadlineSeconds"] == 14400
    else:
        limits = [part["template"]["spec"]["activeDeadlineSeconds"] for part in spec["replicatedJobs"]]
        assert limits == [14400, 14400]
    for pod in pod_specs(to_submit(rendered)):
        assert pod["initContainers"][0]["command"][-1] == "60"


def test_a_run_that_outlives_its_deadline_is_given_up(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    Operated(cluster, stands)
    assert client.submit("--deadline-s", "1", "--overrun-s", "0.3", things=things) == NotStarted.exit_code
    assert "for a Job that is past its own deadline" in client.err


def test_a_cluster_without_the_kind_says_how_to_install_it(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    cluster.unserved.add(RESOURCES[kind])
    assert client.submit(things=things) == ClusterRefused.exit_code
    assert f"This cluster does not know {kind}" in client.err
    file = {"MPIJob": requests.MPI_OPERATOR, "JobSet": requests.JOBSET}[kind]
    assert f"kubectl apply --server-side -f {file}" in client.err
    assert not cluster.all("Job") and not cluster.all("ConfigMap")


def test_without_the_rights_of_its_kind_the_set_s_own_role_is_named(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    cluster.rules = clusterplay.role()
    assert client.submit(things=things) == ClusterRefused.exit_code
    assert f"lack rights in bench: create {RESOURCES[kind]}, get {RESOURCES[kind]}," in client.err
    assert f"Ask for the Role in {client.tmp_path / 'manifests'}" in client.err


@pytest.mark.parametrize("modes, refused", [(["ReadWriteOnce"], True), (["ReadOnlyMany"], False)])
def test_a_volume_of_one_node_is_refused_before_anything_is_created(
    client: Client, cluster: Cluster, things: Sequence[JsonObject], modes: list[str], refused: bool
) -> None:
    claim = cluster.existing("PersistentVolumeClaim", "bench-models-shared")
    cluster.put({**claim, "spec": {**claim["spec"], "accessModes": modes}})
    Operated(cluster, measures)
    code = client.submit(things=things)
    sentence = "The claim bench-models-shared can be mounted on one node at a time (ReadWriteOnce), and the pods of"
    assert (code == ClusterRefused.exit_code and not cluster.all("Job")) is refused
    assert (sentence in client.err) is refused
    # the results' volume is mounted by the first pod alone
    assert cluster.existing("PersistentVolumeClaim", "bench-results")["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_a_log_that_lost_its_frame_is_made_good_from_the_volume(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    Operated(cluster, lambda play, run, first, other: measures(play, run, first, other, framed()[:-2]), volume=[FIRST])
    created: list[JsonObject] = []
    cluster.players.append(lambda event, manifest: created.append(manifest) if event == "ADDED" else None)
    assert client.submit(things=things) == 0, client.err
    assert client.collected() == [FIRST]
    (collect,) = [job for job in created if job["kind"] == "Job" and clusterplay.component(job) == "collect"]
    (container,) = collect["spec"]["template"]["spec"]["containers"]
    request = manifests.one(things, kind)["metadata"]["labels"]["bloomz-bench.dev/request-id"]
    assert container["command"][:5] == ["python3", "-m", "runner", "frames", f"/results/{request}"]
    assert "args" not in container


def test_a_worker_that_no_node_takes_is_told_while_the_first_pod_runs(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    def half(play: Operated, run: JsonObject, first: str, other: str) -> None:
        play.place(first)
        play.start(first)
        message = "0/2 nodes are available: 2 Insufficient habana.ai/gaudi."
        cluster.change("Pod", other, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])

    Operated(cluster, half)
    assert client.submit("--unschedulable-s", "0.4", things=things) == NotStarted.exit_code
    assert "No node has 8 habana.ai/gaudi free" in client.err


def test_a_first_pod_that_fails_is_told_by_its_own_words(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    def fails(play: Operated, run: JsonObject, first: str, other: str) -> None:
        stands(play, run, first, other)
        play.end(first, 9, log=["runner: 1 host(s) did not answer on port 2222. Look at its pod."])
        play.over(run, "Failed", reason="JobFailed")

    Operated(cluster, fails)
    assert client.submit(things=things) == JobFailed.exit_code
    assert "The container bench ended with 9" in client.err
    assert "1 host(s) did not answer on port 2222. Look at its pod." in client.err


def test_another_pod_that_dies_is_the_cause_also_where_the_first_was_ended_with_it(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    def dies(play: Operated, run: JsonObject, first: str, other: str) -> None:
        stands(play, run, first, other)
        play.say(first, ["runner: what the first one said"])
        play.end(other, 10, message="runner: the device was lost. Restart it.", finished="2026-11-22T10:05:00Z")
        play.end(first, 143, finished="2026-11-22T10:05:03Z")
        play.over(run, "Failed", reason="FailedJobs")

    play = Operated(cluster, dies)
    assert client.submit(things=things) == JobFailed.exit_code
    assert not play.errors
    last = client.err.splitlines()[-1]
    assert re.search(r"The container bench of \S+-(worker-0|other-0-0-x7k2p) ended with 10 ", last)
    assert "the device was lost. Restart it." in last and "what the first one said" not in last


def test_another_pod_that_dies_is_told_while_the_first_one_waits_for_it(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    def dies(play: Operated, run: JsonObject, first: str, other: str) -> None:
        stands(play, run, first, other)
        play.end(other, 10, message="runner: the device was lost. Restart it.")

    Operated(cluster, dies)
    assert client.submit("--creating-s", "0.4", things=things) == NotStarted.exit_code
    assert "ended with 10 (" in client.err and "and for the end of a container to be noticed" in client.err


def test_it_can_be_left_and_cancelled(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    Operated(cluster, stands)
    assert client.submit("--detach", things=things) == 0, client.err
    (name,) = [line for line in client.out.split() if line.startswith("bench-")]
    assert client.run("cancel", name) == 0, client.err
    assert f"{name}: deleted." in client.err
    assert not cluster.all(kind) and not [pod for pod in cluster.all("Pod") if "bench-gaudi" in pod["metadata"]["name"]]


def test_follow_without_names_finds_it(
    client: Client, cluster: Cluster, kind: str, things: Sequence[JsonObject]
) -> None:
    def later(play: Operated, run: JsonObject, first: str, other: str) -> None:
        play.wait(0.5)
        measures(play, run, first, other)

    Operated(cluster, later)
    assert client.submit("--detach", things=things) == 0, client.err
    assert client.run("follow") == 0, client.err
    assert client.collected() == [FIRST]
