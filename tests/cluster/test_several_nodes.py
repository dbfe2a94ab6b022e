"""Runs on several nodes as their real operators make them: mpi-operator's MPIJob and JobSet's controller, where the cluster has them.

What runs to its end takes SEVERAL_IMAGE: the CPU image, by digest as nodes can pull it or have it, on a base with sshd and pdsh
(`python -m tests.cluster` builds one). Its two pods share a node.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from runner.contract.errors import ClusterRefused, JobFailed, NotStarted
from runner.contract.records import JsonObject
from runner.host.manifests.site import Site
from runner.host.objects.names import COMPONENT
from runner.host.objects.walk import pod_specs
from runner.host.results import result_files
from tests.cluster import kueue, several
from tests.cluster.conftest import GAUDI, Real, pretend_node
from tests.cluster.steps import ROOT, furnish, moved, runner, submit, there
from tests.support import manifests
from tests.support.house import output_ids
from tests.support.plain_transformers import plain_tokens

pytestmark = pytest.mark.cluster


# What the pods of a run are called, and call themselves, the first one first.
HOSTS: dict[str, Callable[[str], list[str]]] = {
    "MPIJob": lambda name: [f"{name}-launcher", f"{name}-worker-0"],
    "JobSet": lambda name: [f"{name}-first-0-0", f"{name}-other-0-0"],
}
OTHER = {"MPIJob": "worker-0", "JobSet": "other-0-0"}
ENDED = {"MPIJob": NotStarted.exit_code, "JobSet": JobFailed.exit_code}
# what a pod does that neither ends nor minds to be ended
WAITS = "trap 'exit 143' TERM; sleep 600 & wait; exec python3 -m runner bench"
PORT = "template.spec.containers[0].ports[0].protocol"
# All that the definition and its webhooks add to what is rendered.
DEFAULTS: dict[str, dict[str, object]] = {
    "MPIJob": {
        ".launcherCreationPolicy": "AtStartup",
        ".mpiImplementation": "OpenMPI",
        f".mpiReplicaSpecs.Launcher.{PORT}": "TCP",
        f".mpiReplicaSpecs.Worker.{PORT}": "TCP",
        ".runPolicy.suspend": False,
    },
    "JobSet": {
        ".failurePolicy.restartStrategy": "Recreate",
        ".startupPolicy": {"startupPolicyOrder": "AnyOrder"},
        **{f".replicatedJobs[{index}].groupName": "default" for index in (0, 1)},
        **{f".replicatedJobs[{index}].template.metadata": {} for index in (0, 1)},
        **{f".replicatedJobs[{index}].template.spec.{PORT}": "TCP" for index in (0, 1)},
    },
}


@pytest.fixture(params=several.SETS)
def kind(request: pytest.FixtureRequest, api: Real) -> str:
    definition = several.DEFINITIONS[request.param]
    if not api.knows(definition):
        pytest.skip(f"this cluster has no {definition}")
    name: str = request.param
    return name


@pytest.fixture
def image() -> str:
    image = os.environ.get("SEVERAL_IMAGE")
    if not image:
        pytest.skip(
            "no image: set SEVERAL_IMAGE to the CPU image with sshd and pdsh by digest, as the nodes can pull it"
        )
    return image


@pytest.fixture
def person(real: Real, kind: str) -> str:
    """Return the kubeconfig of somebody who has the Role of the kind's set and nothing else."""
    return real.person(manifests.one(manifests.read(ROOT / "k8s" / several.SETS[kind]), "Role")["rules"])


@pytest.fixture
def two(real: Real, kind: str, image: str) -> list[JsonObject]:
    """Return the objects of a run over two pods; the namespace has what they name."""
    furnish(real)
    if kind == "JobSet":
        several.make_keys(real)
    return several.objects(kind, image, real.namespace)


def added(sent: object, kept: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield what a server changed or added to an object: (path, value) of each."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for key in kept:
            if key in sent:
                yield from added(sent[key], kept[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}", kept[key]
        for key in sent.keys() - kept.keys():
            yield f"{path}.{key}", None
    elif isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        for index, (one, other) in enumerate(zip(sent, kept, strict=True)):
            yield from added(one, other, f"{path}[{index}]")
    elif sent != kept:
        yield path, kept


def test_the_definition_takes_the_set_strictly(api: Real, kind: str) -> None:
    for thing in manifests.read(ROOT / "k8s" / several.SETS[kind]):
        if thing["kind"] in ("Namespace", "Kustomization"):
            continue
        done = api.kubectl(
            *("create", "--dry-run=server", "--validate=strict", "-o", "yaml", "-f", "-"),
            stdin=yaml.safe_dump(moved(thing, api.namespace)),
            fails=True,
        )
        assert done.returncode == 0, f"{thing['kind']} {thing['metadata']['name']}: {done.stderr}"
        assert "Warning" not in done.stderr, done.stderr
        if thing["kind"] == kind:
            more = dict(added(thing["spec"], yaml.safe_load(done.stdout)["spec"]))
            assert {path: value for path, value in more.items() if "kueue.x-k8s.io" not in path} == DEFAULTS[kind]


def test_a_run_over_two_pods_ends_in_a_compared_result_with_the_tokens_of_one_host(
    real: Real, kind: str, two: list[JsonObject], person: str
) -> None:
    """Rendered, submitted with the set's own Role alone, measured over ssh, collected, compared."""
    done = runner(*submit(real, person, *two))
    assert done.returncode == 0, done.stderr
    collected = runner("collect", *done.stdout.split(), "--results", real.folder / "results")
    assert collected.returncode == 0, collected.stderr
    (path,) = collected.stdout.split()
    result = result_files.read_one(path)[0]
    (launch,) = result["launches"]
    (name,) = [one["metadata"]["name"] for one in real.get_all(kind.lower())]
    assert [rank["host"] for rank in launch["ranks"]] == HOSTS[kind](name)
    assert output_ids(result) == plain_tokens(29)
    compared = runner("compare", path)
    assert compared.returncode == 0 and "walk-through, not a" in compared.stdout
    real.until(lambda: not [pod for pod in real.get_all("pods") if pod["status"]["phase"] in ("Pending", "Running")])
    again = runner("follow", name, *there(real, person))
    assert again.returncode == 0, again.stderr
    assert runner("cancel", name, *there(real, person)).returncode == 0
    real.until(lambda: not real.get_all("pods"))


def test_a_first_pod_that_reaches_nobody_is_told_by_its_own_words(
    real: Real, kind: str, two: list[JsonObject], person: str
) -> None:
    run = manifests.one(two, kind)
    several.command_of(run, 0)[-1] = several.command_of(run, 0)[-1].replace("--within-s 600", "--within-s 5")
    several.command_of(run, 1)[-1] = WAITS
    done = runner(*submit(real, person, *two))
    assert done.returncode == JobFailed.exit_code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "The container bench ended with 9" in last and "1 host(s) did not answer on port 2222 within 5 s" in last
    assert "See whether their pods run" in last


def test_another_pod_that_dies_is_told(real: Real, kind: str, two: list[JsonObject], person: str) -> None:
    run = manifests.one(two, kind)
    several.command_of(run, 0)[-1] = WAITS
    several.command_of(run, 1)[-1] = "sleep 3; echo runner: the device was lost. Restart it. >&2; exit 10"
    done = runner(*submit(real, person, *two, extra=["--creating-s", "5"]))
    # mpi-operator leaves the first pod waiting, JobSet ends it: either way the cause is told, not what came of it
    assert done.returncode == ENDED[kind], done.stderr
    pod = f"{manifests.one(real.get_all(kind.lower()), kind)['metadata']['name']}-{OTHER[kind]}"
    last = done.stderr.splitlines()[-1]
    assert re.search(rf"The container bench of {pod}\S* ended with 10 \(.+\): the device was lost\. Restart it\.", last)


def test_pods_that_pod_security_refuses_are_told(real: Real, kind: str, two: list[JsonObject], person: str) -> None:
    run = manifests.one(two, kind)
    pod_specs(run)[1]["containers"][0]["securityContext"]["capabilities"]["add"] = ["SYS_NICE"]
    several.command_of(run, 0)[-1] = WAITS
    done = runner(*submit(real, person, *two, extra=["--refused-s", "3"]))
    assert done.returncode == ClusterRefused.exit_code, done.stderr
    told = f"Pod Security of the namespace {real.namespace} refuses the pod:"
    assert told in done.stderr.splitlines()[-1] and "SYS_NICE" in done.stderr


def test_pods_wait_for_devices_and_start_together_once_there_are_enough(real: Real, kind: str, person: str) -> None:
    furnish(real, "bench-models-shared")
    if kind == "JobSet":
        several.make_keys(real)
    things = manifests.objects(several.SETS[kind], Site(namespace=real.namespace))
    (bench,) = [one for one in things if one["kind"] == kind]
    where = f"pretend-{real.namespace[-6:]}"

    def placed() -> list[JsonObject]:
        return [
            pod
            for pod in real.get_all("pods")
            if pod["metadata"]["labels"][COMPONENT] == "bench" and pod["spec"].get("nodeName")
        ]

    with pretend_node(real, f"{where}-1", accelerator="gaudi"):
        done = runner(*submit(real, person, *needs(things), bench, extra=["--detach"]))
        assert done.returncode == 0, done.stderr
        name = done.stdout.strip()
        real.until(placed)
        of_all: list[str | Path] = [
            "--namespace",
            real.namespace,
            "--runs",
            real.folder / "runs",
        ]  # whoever may see nodes is told more
        told = runner("follow", name, *of_all, "--unschedulable-s", "3")
        assert told.returncode == NotStarted.exit_code, told.stderr
        last = told.stderr.splitlines()[-1]
        assert f"No node has 8 {GAUDI} free: " in last and f"{where}-1 has 8, " in last and f"held by {name}-" in last
        with pretend_node(real, f"{where}-2", accelerator="gaudi"):
            real.until(lambda: len(placed()) == 2)
            assert {pod["spec"]["nodeName"] for pod in placed()} == {f"{where}-1", f"{where}-2"}
            real.kubectl("delete", kind.lower(), name, "--wait=false")  # whose pods nobody on these nodes would end


def needs(things: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the ConfigMaps of a set."""
    return [thing for thing in things if thing["kind"] == "ConfigMap"]


def test_a_run_whose_turn_is_taken_waits_again_and_is_no_failure(
    real: Real, kind: str, image: str, person: str
) -> None:
    """The real Kueue ends both pods for a Job of a higher priority, and starts the run over after it."""
    if not real.knows("clusterqueues.kueue.x-k8s.io"):
        pytest.skip("this cluster has no Kueue")
    furnish(real)
    if kind == "JobSet":
        several.make_keys(real)
    two = several.objects(kind, image, real.namespace, kueue.QUEUE)
    run = manifests.one(two, kind)
    for index in (0, 1):
        several.command_of(run, index)[-1] = WAITS
    person = real.person(manifests.one(two, "Role")["rules"])
    with kueue.made(real, {"cpu": "400m", "memory": "1Gi", "ephemeral-storage": "2Gi"}) as goes_first:
        done = runner(*submit(real, person, *two, extra=["--detach"]))
        assert done.returncode == 0, done.stderr
        name = done.stdout.strip()
        real.until(lambda: len(running(real)) == 2)
        real.apply(urgent(run, goes_first))
        real.until(lambda: real.get("job", "urgent")["status"].get("active"))
        told = runner("follow", name, *there(real, person), "--queue-s", "1")
        assert told.returncode == NotStarted.exit_code, told.stderr
        assert "Kueue took the Job's quota back (Preempted): Preempted to accommodate a workload" in told.stderr
        real.kubectl("delete", "job", "urgent")
        real.until(lambda: len(running(real)) == 2)
        assert runner("cancel", name, *there(real, person)).returncode == 0


def running(real: Real) -> list[JsonObject]:
    return [pod for pod in real.get_all("pods") if pod["status"]["phase"] == "Running"]


def urgent(run: JsonObject, labels: dict[str, str]) -> JsonObject:
    """Return a Job of the pods of a run, which goes before it."""
    spec = pod_specs(run)[1]
    template = {"spec": {**spec, "restartPolicy": "Never", "volumes": []}}
    (container,) = spec["containers"]
    template["spec"]["containers"] = [{**container, "volumeMounts": []}]
    metadata = {"name": "urgent", "labels": labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
