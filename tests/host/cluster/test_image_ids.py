"""The image that ran, held beside the image that was asked for."""

from __future__ import annotations

import pytest

from runner.contract.errors import (
    DamagedResult,
)
from runner.contract.records import JsonObject
from runner.host.objects.names import TAGGED_BASES
from runner.host.results import run_images
from tests.support import clusterplay
from tests.support.client import Client
from tests.support.clusterplay import (
    FIRST,
    Play,
    Script,
    bench_job,
)
from tests.support.scriptedcluster import Cluster

OTHER_DIGEST = "cd" * 32


def runs_image(image_id: str) -> Script:
    """Return a script that plays a run of which the kubelet reports this image."""

    def script(play: Play, job: JsonObject) -> None:
        play.image_id = image_id
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
def test_the_image_that_ran_is_held_beside_the_one_that_was_asked_for_and_kept(
    client: Client, cluster: Cluster, image_id: str
) -> None:
    Play(cluster, runs_image(image_id))
    assert client.submit() == 0, client.err
    assert "cannot be compared" not in client.err
    (image,) = client.evidence()["images"]
    assert image == {
        "pod": f"{client.name}-p1",
        "container": "bench",
        "asked": clusterplay.IMAGE[-64:],
        "reported": image_id,
        "foreign": False,
        "tag": None,
    }


@pytest.mark.parametrize(
    "image_id", [f"registry.test/kit@sha256:{OTHER_DIGEST}", f"docker-pullable://registry.test/x@sha256:{OTHER_DIGEST}"]
)
def test_a_pod_that_runs_another_image_is_no_run_of_this_one(client: Client, cluster: Cluster, image_id: str) -> None:
    Play(cluster, runs_image(image_id))
    assert client.submit() == DamagedResult.exit_code
    assert (
        f"the container bench of {client.name}-p1 runs the image {image_id}, and sha256:{'ab' * 32} was asked"
        in client.err
    )
    assert client.out == ""
    assert client.evidence()["images"][0]["foreign"] is True
    assert client.run("follow", client.name) == DamagedResult.exit_code
    assert client.out == "" and not list(client.runs.rglob("*.log"))


def test_an_image_that_a_rule_put_into_the_job_is_another_one(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cluster says that the Job asks for is not what was asked for."""
    kept = cluster.put

    def put(manifest: JsonObject, status: JsonObject | None = None) -> JsonObject:
        if manifest["kind"] == "Job":
            manifest["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry.test/kit@sha256:{OTHER_DIGEST}"
        return kept(manifest, status)

    monkeypatch.setattr(cluster, "put", put)
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == DamagedResult.exit_code
    assert f"runs the image registry.test/kit@sha256:{OTHER_DIGEST}, and sha256:{'ab' * 32} was asked for" in client.err


@pytest.mark.parametrize(
    ("image_id", "sentence"),
    [
        (f"sha256:{OTHER_DIGEST}", f"the image of bench came from no registry (sha256:{OTHER_DIGEST}), so that it cannot be compared"),
        ("", "its node does not say which image ran"),
    ],
)  # fmt: skip
def test_an_image_that_cannot_be_compared_is_said(
    client: Client, cluster: Cluster, image_id: str, sentence: str
) -> None:
    Play(cluster, runs_image(image_id))
    assert client.submit() == 0, client.err
    assert sentence in client.err
    assert client.collected() == [FIRST]


BASE = "vendor.test/base:1.10.0-494"


def on_a_tagged_base() -> JsonObject:
    """Return a Job whose pods are started from a base that is named by tag, as its annotation allows."""
    job = bench_job()
    job["metadata"]["annotations"][TAGGED_BASES] = BASE
    spec = job["spec"]["template"]["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        container["image"] = BASE
    return job


def test_what_a_tag_named_is_said_and_kept(client: Client, cluster: Cluster) -> None:
    Play(cluster, runs_image(f"vendor.test/base@sha256:{OTHER_DIGEST}"))
    assert client.submit(things=[on_a_tagged_base()]) == 0, client.err
    assert f"{BASE} was sha256:{OTHER_DIGEST}." in client.err
    (image,) = client.evidence()["images"]
    assert (image["tag"], image["asked"], image["foreign"]) == (BASE, OTHER_DIGEST, False)
    assert client.collected() == [FIRST]
    (noted,) = run_images.read(client.out.strip())
    assert (noted.tag, noted.digest, noted.pod) == (BASE, f"sha256:{OTHER_DIGEST}", image["pod"])
    assert noted.node is not None


def test_containers_of_a_run_by_one_tag_run_one_image(client: Client, cluster: Cluster) -> None:
    def moves(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        play.place(pod)
        state = {"terminated": {"exitCode": 0}}
        before = {"name": "wait-for-weights", "state": state, "imageID": f"vendor.test/base@sha256:{'ab' * 32}"}
        cluster.change("Pod", pod, initContainerStatuses=[before])
        play.image_id = f"vendor.test/base@sha256:{OTHER_DIGEST}"
        play.start(pod)

    Play(cluster, moves)
    assert client.submit(things=[on_a_tagged_base()]) == DamagedResult.exit_code
    assert (
        f"runs the image vendor.test/base@sha256:{OTHER_DIGEST}, and sha256:{'ab' * 32} came by the same tag"
        in client.err
    )
    assert client.out == ""
