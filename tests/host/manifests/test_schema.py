"""Every rendered object against Kubernetes' own schemas, of the oldest and the newest version that the kit supports."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest

from runner.contract.records import Json, JsonObject
from runner.host.objects import walk
from tests.support import manifests

# 1.31 made podFailurePolicy stable, on which "one attempt unless the cluster took it away" rests; 1.37 is the newest in the package.
OLDEST, NEWEST = "1.31", "1.37"

# With an image of the stack, and with a stack that pods install.
IMAGES = pytest.mark.parametrize("image", [manifests.IMAGE, None], ids=["image", "installed"])
VERSIONS = pytest.mark.parametrize("version", [OLDEST, NEWEST])


def in_core(manifest: JsonObject) -> bool:
    """Return whether Kubernetes itself has a schema; MPIJob and JobSet come with their operators."""
    return manifest["kind"] not in ("MPIJob", "JobSet", "NodeFeatureRule")


@VERSIONS
@IMAGES
@pytest.mark.parametrize("name", manifests.names())
def test_rendered_objects_have_only_fields_that_exist(name: str, image: str | None, version: str) -> None:
    checked = 0
    for manifest in manifests.objects(name, image=image):
        if in_core(manifest):
            kubernetes_validate.validate(manifest, version, strict=True)
            checked += 1
    assert checked >= 6


@VERSIONS
@IMAGES
@pytest.mark.parametrize("name", manifests.names())
def test_pods_have_only_fields_that_exist_whatever_starts_them(name: str, image: str | None, version: str) -> None:
    for where, template in walk.pods(manifests.objects(name, image=image)):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]}
        kubernetes_validate.validate(pod, version, strict=True)
        assert where


def broken(path: tuple[str | int, ...], value: Json) -> JsonObject:
    job = copy.deepcopy(manifests.one(manifests.objects("gaudi2"), "Job", "bench-gaudi2-8-bloomz-v"))
    parent: Any = job
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return job


@VERSIONS
@pytest.mark.parametrize(
    "path, value",
    [
        (("spec", "backoffLimt"), 0),
        (("spec", "backoffLimit"), "0"),
        (("spec", "template", "spec", "containers"), {}),
        (("spec", "template", "spec", "restartPolicy"), 1),
        (("spec", "template", "spec", "securityContext", "runAsNonroot"), True),
        (("spec", "podFailurePolicy", "rules", 0, "on"), []),
    ],
)
def test_a_field_that_does_not_exist_or_is_of_another_kind_is_found(
    version: str, path: tuple[str | int, ...], value: Json
) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken(path, value), version, strict=True)


def test_the_package_has_schemas_of_both_versions() -> None:
    assert kubernetes_validate.latest_version().startswith(NEWEST)
    assert any(version.startswith(OLDEST) for version in kubernetes_validate.utils.all_versions())
