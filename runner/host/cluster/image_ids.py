"""Hold the image that a kubelet started beside the one that was asked for: a result of other software is no result of this run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner.contract import patterns
from runner.host.objects import walk
from runner.host.objects.names import name_of

# as kubelets report an image that came from a registry: docker-pullable://REPOSITORY@sha256:..., REPOSITORY@sha256:...
_REPORTED = re.compile(r".*@sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Started:
    """A container that a kubelet started: the digest that was asked for, and the image that the kubelet reports (``imageID``)."""

    pod: str
    container: str
    asked: str
    reported: str

    @property
    def digest(self) -> str | None:
        """Return the digest that the kubelet reports, None for an image that came from no registry."""
        found = _REPORTED.fullmatch(self.reported)
        return found.group(1) if found else None

    @property
    def foreign(self) -> bool:
        return self.digest not in (None, self.asked)


def by_tag(thing: dict[str, Any]) -> list[str]:
    """Return the images of a run that are not named by digest: what a tag names can change between two runs."""
    named = {one.get("image", "") for spec in walk.pod_specs(thing) for one in _containers(spec)}
    return sorted(image for image in named if not patterns.IMAGE.fullmatch(image))


def asked(thing: dict[str, Any]) -> dict[str, str]:
    """Return the digests that a run asks for, by container; without those that it names by tag."""
    found = {}
    for spec in walk.pod_specs(thing):
        for one in _containers(spec):
            image = one.get("image", "")
            if patterns.IMAGE.fullmatch(image):
                found[one["name"]] = image.rpartition(":")[2]
    return found


def started(digests: dict[str, str], pods: Iterable[dict[str, Any]]) -> list[Started]:
    """Return the containers of some pods that were started and whose digest is known, as ``asked`` returns ``digests``."""
    found = []
    for pod in pods:
        status = pod.get("status", {})
        for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            if one["name"] in digests and one.get("imageID"):
                found.append(Started(name_of(pod), one["name"], digests[one["name"]], one["imageID"]))
    return found


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]
