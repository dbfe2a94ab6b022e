"""Compare the image that a kubelet started with the image that was asked for: a result of other software is no result of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runner.contract import patterns
from runner.contract.records import JsonObject
from runner.host.objects.names import name_of
from runner.host.objects.walk import pod_specs

# How kubelets report an image from a registry: docker-pullable://REPOSITORY@sha256:..., or REPOSITORY@sha256:...
_REPORTED = re.compile(r".*@sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class StartedImage:
    """The image of a container that a kubelet started: the digest that was asked for, and what the kubelet reports (``imageID``).

    ``tag`` is the image by tag where nobody has published its digest, else None. What the first container of the run that was started
    by the tag reports is then the digest that the others must have.
    """

    pod: str
    container: str
    asked: str
    reported: str
    tag: str | None = None

    @property
    def digest(self) -> str | None:
        """Return the digest that the kubelet reports, None for an image that came from no registry."""
        match = _REPORTED.fullmatch(self.reported)
        return match.group(1) if match else None

    @property
    def foreign(self) -> bool:
        """Return whether the kubelet reports another digest than the one that was asked for."""
        return self.digest not in (None, self.asked)


def without_digest(manifest: JsonObject) -> list[str]:
    """Return the images of a run that are not named by digest: the image behind a tag can change between two runs."""
    images = {container.get("image", "") for container in _containers_of_run(manifest)}
    return sorted(image for image in images if not patterns.IMAGE.fullmatch(image))


def asked_digests(manifest: JsonObject) -> dict[str, str]:
    """Return the digest that a run asks for, by container; containers whose image has only a tag are left out."""
    return {
        container["name"]: container["image"].rpartition(":")[2]
        for container in _containers_of_run(manifest)
        if patterns.IMAGE.fullmatch(container.get("image", ""))
    }


def asked_tags(manifest: JsonObject) -> dict[str, str]:
    """Return the image that a run asks for by tag, by container; containers whose image is named by digest are left out."""
    return {
        container["name"]: container["image"]
        for container in _containers_of_run(manifest)
        if container.get("image") and not patterns.IMAGE.fullmatch(container["image"])
    }


def started_images(
    digests: Mapping[str, str], tags: Mapping[str, str], pods: Iterable[JsonObject]
) -> list[StartedImage]:
    """Return the images of those containers of some pods that were started and that ``digests`` or ``tags`` asks for.

    ``digests`` are those of ``asked_digests``, ``tags`` those of ``asked_tags``.
    """
    images, of_tag = [], dict[str, str]()
    for pod in pods:
        status = pod.get("status", {})
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            name, reported = container["name"], container.get("imageID")
            if name in digests and reported:
                images.append(StartedImage(name_of(pod), name, digests[name], reported))
            elif name in tags and reported and (match := _REPORTED.fullmatch(reported)):
                asked = of_tag.setdefault(tags[name], match.group(1))
                images.append(StartedImage(name_of(pod), name, asked, reported, tags[name]))
    return images


def _containers_of_run(manifest: JsonObject) -> list[JsonObject]:
    return [
        container
        for spec in pod_specs(manifest)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
    ]
