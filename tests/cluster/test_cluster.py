"""The client and the manifests on a real API server, scheduler and, where there is an image for it, kubelet.

``make test-cluster`` runs these against KUBECONFIG, or those that need no more than an API server against one of its own, from
KUBEBUILDER_ASSETS. CPU_IMAGE names the CPU image by digest as nodes can pull it, or have it; without it
the walk is skipped. A cluster without a default storage class gets a volume on its node, below /tmp.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from runner.contract.records import JsonObject
from runner.host.objects.names import SPEC_SHA256
from runner.host.results import result_files
from tests.cluster.conftest import GAUDI, Real, pretend_node
from tests.cluster.steps import ACCOUNT_AND_CLAIM, ROOT, furnish, moved, runner, submit, there
from tests.support import clusterplay

pytestmark = pytest.mark.cluster

WITHOUT = (
    "MPIJob",
    "JobSet",
    "NodeFeatureRule",
    "Kustomization",
    "Namespace",
    "Component",
)  # kinds that need an operator, or are no objects


def test_server_side_dry_run_accepts_every_manifest(api: Real) -> None:
    manifests = [
        one for file in sorted((ROOT / "k8s").rglob("*.yaml")) for one in yaml.safe_load_all(file.read_text()) if one
    ]
    if not manifests:
        pytest.skip("no manifests are rendered below k8s/")
    tried = [moved(one, api.namespace) for one in manifests if one["kind"] not in WITHOUT and "$patch" not in one]
    for thing in tried:
        done = api.kubectl(
            "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(thing), fails=True
        )
        assert done.returncode == 0, f"{thing['kind']} {thing['metadata']['name']}: {done.stderr}"
        assert "would violate PodSecurity" not in done.stderr, done.stderr
    assert len(tried) > 10


def restricted(name: str, **resources: str) -> JsonObject:
    """Return a Job as the tests' own, in the shape that a restricted namespace takes."""
    job = clusterplay.bench_job(name, resources=resources)
    spec = job["spec"]["template"]["spec"]
    del spec["initContainers"]
    spec["affinity"] = {}
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    confined = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    spec["containers"][0]["securityContext"] = confined
    return job


def test_the_submitter_s_role_is_enough_to_check_a_run_and_lets_nobody_do_more(api: Real) -> None:
    api.apply(*ACCOUNT_AND_CLAIM)
    person = api.person()
    done = runner(*submit(api, person, clusterplay.CONFIG, restricted("bench-x-v0-1-0"), extra=["--dry-run"]))
    assert done.returncode == 0, done.stderr
    assert [thing["kind"] for thing in yaml.safe_load_all(done.stdout)] == ["ConfigMap", "Job"]
    assert not api.get_all("jobs")
    more = ("get secrets", "create pods", "create pods/exec", "update jobs.batch", "patch configmaps", "list nodes")
    for verb, resource in (right.split() for right in more):
        answer = api.kubectl("--kubeconfig", person, "auth", "can-i", verb, resource, fails=True)
        assert (answer.returncode, answer.stdout.strip()) == (1, "no"), f"{verb} {resource}"
    api.kubectl("delete", "rolebinding", "person")
    api.until(lambda: "lack rights" in runner(*submit(api, person, restricted("bench-x-v0-1-0"))).stderr)


def test_gaudi2_jobs_are_scheduled_by_their_devices_and_wait_for_each_other(real: Real) -> None:
    furnish(real)
    person, name = real.person(), f"pretend-{real.namespace[-6:]}"
    things = [restricted(f"bench-{letter}-v0-1-0", **{GAUDI: "8", "hugepages-2Mi": "42000Mi"}) for letter in "ab"]
    with pretend_node(real, name):
        done = runner(*submit(real, person, clusterplay.CONFIG, *things, extra=["--detach"]))
        assert done.returncode == 0, done.stderr
        first, second = done.stdout.split()

        def placed() -> list[JsonObject]:
            return [pod for pod in real.get_all("pods") if pod["spec"].get("nodeName") == name]

        real.until(lambda: len(real.get_all("pods")) == 2 and placed())
        running = placed()
        assert len(running) == 1
        holder = running[0]["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        waiting = first if holder == second else second
        told = runner(
            "follow", waiting, "--namespace", real.namespace, "--runs", real.folder / "runs", "--unschedulable-s", "3"
        )
        assert told.returncode == 12, told.stderr
        assert f"No node has 8 {GAUDI} free: {name} has 8, held by {running[0]['metadata']['name']} (8)." in told.stderr
        real.kubectl("delete", "job", holder, "--wait=false")
        real.kubectl("delete", "pod", running[0]["metadata"]["name"], "--force", "--grace-period=0")
        real.until(
            lambda: [pod for pod in placed() if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == waiting]
        )


def test_pod_security_refuses_what_is_not_restricted_and_it_is_told(real: Real) -> None:
    furnish(real)
    open_job = restricted("bench-open-v0-1-0")
    open_job["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = ["SYS_NICE"]
    done = runner(*submit(real, real.person(), clusterplay.CONFIG, open_job, extra=["--refused-s", "2"]))
    assert done.returncode == 11, done.stderr
    assert (
        f"Pod Security of the namespace {real.namespace} refuses the pod:" in done.stderr and "SYS_NICE" in done.stderr
    )


def test_the_immutable_template_and_the_digest(real: Real) -> None:
    furnish(real)
    person = real.person()
    done = runner(*submit(real, person, clusterplay.CONFIG, restricted("bench-x-v0-1-0"), extra=["--detach"]))
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    real.kubectl("annotate", "job", name, f"{SPEC_SHA256}=other", "--overwrite")
    again = runner(*submit(real, person, clusterplay.CONFIG, restricted("bench-x-v0-1-0"), extra=["--detach"]))
    assert again.returncode == 11 and "is there with another content (spec-sha256 other, here" in again.stderr
    cancelled = runner(
        "cancel", name, "--kubeconfig", person, "--namespace", real.namespace, "--runs", real.folder / "runs"
    )
    assert cancelled.returncode == 0, cancelled.stderr
    assert not real.get_all("jobs")


def test_an_image_that_is_nowhere(real: Real) -> None:
    furnish(real)
    job = restricted("bench-x-v0-1-0")
    job["spec"]["template"]["spec"]["nodeSelector"] = {}
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "bloomz-bench.invalid/cpu@sha256:" + "1" * 64
    done = runner(*submit(real, real.person(), clusterplay.CONFIG, job, extra=["--image-s", "5"]))
    if "waits for a node" in done.stderr and "runs on" not in done.stderr and "pulls its image" not in done.stderr:
        pytest.skip("no node runs pods")
    assert done.returncode == 12, done.stderr
    assert "The node cannot reach the registry of the image bloomz-bench.invalid/cpu@sha256:1111" in done.stderr


def test_the_cpu_walk_ends_in_a_compared_result(real: Real) -> None:
    """Rendered, submitted with the submitter's Role alone, measured, collected from the log and from the volume, compared."""
    image = os.environ.get("CPU_IMAGE")
    if not image:
        pytest.skip("no image: set CPU_IMAGE to the CPU image by digest, as the nodes can pull it")
    rendered = runner(
        "render", "cpu", "--image", f"cpu={image}", "--namespace", real.namespace, "--out", real.folder / "rendered"
    )
    assert rendered.returncode == 0, rendered.stderr
    furnish(real)
    person, runs, kept = real.person(), real.folder / "runs", real.folder / "results"
    with_person = there(real, person)
    done = runner("submit", rendered.stdout.strip(), "--only", "cpu-1", *with_person)
    assert done.returncode == 0, done.stderr
    collected = runner("collect", *done.stdout.split(), "--results", kept)
    assert collected.returncode == 0, collected.stderr
    (path,) = collected.stdout.split()
    content = Path(path).read_bytes()
    assert result_files.read_one(path)[0]["attempt"]["status"] == "complete"
    compared = runner("compare", path)
    assert compared.returncode == 0 and "walk-through, not a reproduction" in compared.stdout.replace("\n", " ")
    # the log is lost, and the Job with it: the volume has the same bytes
    name = next(runs.rglob("job.json")).parent.name
    for log in runs.rglob("*.log"):
        log.unlink()
    real.kubectl("delete", "job", name)
    again = runner("follow", name, *with_person)
    assert again.returncode == 0, again.stderr
    assert "takes the results off the volume" in again.stderr
    collected = runner("collect", *again.stdout.split(), "--results", real.folder / "again")
    assert Path(collected.stdout.strip()).read_bytes() == content
