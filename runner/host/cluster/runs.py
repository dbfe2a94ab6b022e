"""Name runs, find them in a cluster, create them there, and delete them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.contract.errors import NotStarted
from runner.contract.records import JsonObject
from runner.host.cluster import image_ids
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.diagnosis import Observed
from runner.host.objects.kinds import RUNS
from runner.host.objects.names import FETCHING, POD_LABELS, SELECTOR, component_of, name_of
from runner.host.objects.walk import operator_jobs, pod_specs

FOLDER = Path("build/runs")
# How long a run that was just created may be missing from the cluster's lists.
EXPECTED_S = 30.0
# Prints a line of progress.
Show = Callable[[str], None]


@dataclass(frozen=True)
class FollowedRun:
    """A run as it is known before it is followed: its name, its content and its place on this machine.

    ``manifest`` is the object as it is to be submitted, or as the cluster keeps it; ``folder`` holds its logs and its evidence;
    ``digests`` are the sha256 digests of the images that were asked for, and ``tags`` the images that were asked for by tag, each by
    container. A run that was only just created may be
    missing from the cluster's lists until ``expected_until_s`` of the monotonic clock; None for every other run.
    """

    name: str
    kind: str
    manifest: JsonObject
    folder: Path
    digests: dict[str, str]
    expected_until_s: float | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: JsonObject, cluster: Cluster, runs_folder: Path) -> FollowedRun:
        """Return the run of an object; ``runs_folder`` holds the folders of all runs."""
        name = name_of(manifest)
        folder = folder_of(runs_folder, cluster, name)
        digests, tags = image_ids.asked_digests(manifest), image_ids.asked_tags(manifest)
        return cls(name, manifest["kind"], manifest, folder, digests, tags=tags)

    def created(self, manifest: JsonObject, now_s: float) -> FollowedRun:
        """Return the run as the cluster keeps it since ``now_s`` of the monotonic clock. The digests stay those that were asked for."""
        return replace(self, manifest=manifest, expected_until_s=now_s + EXPECTED_S)

    @property
    def measures(self) -> bool:
        """Return whether the run has a result: a run that fetches packages or weights has none."""
        return component_of(self.manifest) not in FETCHING

    def started_images(self, pods: Iterable[JsonObject]) -> list[image_ids.StartedImage]:
        """Return the images that containers of the run's pods were started from, each with the digest that it must have."""
        return image_ids.started_images(self.digests, self.tags, pods)

    @property
    def log_files(self) -> list[Path]:
        """Return the logs in the run's folder that can hold results, those of earlier processes too: no log of an init container."""
        preparing = {
            container["name"] for spec in pod_specs(self.manifest) for container in spec.get("initContainers") or ()
        }
        logs = (path for path in self.folder.glob("*.log") if path.is_file())
        return sorted(path for path in logs if path.stem.rpartition(".")[2] not in preparing)


def folder_of(runs_folder: Path, cluster: Cluster, name: str) -> Path:
    """Return the folder of a run. Names are unique within a namespace only, so that the namespace is a part of the path."""
    return Path(runs_folder) / cluster.namespace / name


def find(cluster: Cluster, name: str) -> JsonObject | None:
    """Return the Job, MPIJob or JobSet of this name with its kind, None if there is none. Raises ``Refused``."""
    for kind in RUNS:
        try:
            manifest = cluster.get(kind, name)
        except Refused as refusal:
            if not _may_lack(kind, refusal):
                raise
            continue
        if manifest is not None:
            return {**manifest, "kind": kind}
    return None


def find_all(cluster: Cluster) -> list[JsonObject]:
    """Return all Jobs, MPIJobs and JobSets of this kit in the namespace, with their kinds. Raises ``Refused``."""
    manifests: list[JsonObject] = []
    for kind in RUNS:
        try:
            manifests += [{**manifest, "kind": kind} for manifest in cluster.list(kind, SELECTOR).objects]
        except Refused as refusal:
            if not _may_lack(kind, refusal):
                raise
    return manifests


def _may_lack(kind: str, refusal: Refused) -> bool:
    """Return whether a refusal only says that the cluster does not know a kind, or keeps the kind from this person: not so for Jobs."""
    return kind != "Job" and refusal.status in (403, 404)


def observe_once(cluster: Cluster, manifest: JsonObject) -> Observed:
    """Return what the cluster says of a run now, for a verb that does not follow the run."""
    name, kind = name_of(manifest), manifest["kind"]
    pods = [
        pod
        for pod in cluster.list("Pod", SELECTOR).objects
        if any((pod["metadata"].get("labels") or {}).get(key) == name for key in POD_LABELS[kind])
    ]
    pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    subjects = {name, *operator_jobs(manifest), *map(name_of, pods)}
    events: list[JsonObject] = []
    # events add detail, and nothing depends on them
    with contextlib.suppress(Refused, Unanswered):
        listed = cluster.list("Event").objects
        events = [event for event in listed if event.get("involvedObject", {}).get("name") in subjects]
    return Observed(
        name, cluster.namespace, kind, manifest, tuple(pods), tuple(events), kubectl_flags=cluster.kubectl_flags
    )


@dataclass(frozen=True)
class Created:
    """An object as the cluster keeps it after a ``create``; ``existed`` where the cluster had one of this name before."""

    manifest: JsonObject
    existed: bool


def create(cluster: Cluster, manifest: JsonObject) -> Created:
    """Create an object, or find that it exists, as it does after a ``create`` whose answer was lost. Raises ``Refused``."""
    kind = manifest["kind"]
    try:
        return Created({**cluster.create(manifest), "kind": kind}, existed=False)
    except Refused as refusal:
        existing = cluster.get(kind, name_of(manifest)) if refusal.status == 409 else None
        if existing is None:
            raise
        return Created({**existing, "kind": kind}, existed=True)


def _silent(_line: str) -> None:
    return None


def delete(
    cluster: Cluster,
    runs: Iterable[FollowedRun],
    wait_s: float,
    show: Show = _silent,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Delete runs with all that they own, and wait until they are gone, or until ``interrupted()`` is true.

    Raises ``NotStarted`` for a run that is not gone after ``wait_s`` seconds, and ``Refused`` and ``Unanswered``.
    """
    runs = list(runs)
    for run in runs:
        cluster.delete(run.kind, run.name)
    until_s = time.monotonic() + wait_s
    for run in runs:
        while cluster.get(run.kind, run.name) is not None:
            if interrupted():
                show(f"{run.name}: is still being deleted; that goes on in the cluster.")
                return
            if time.monotonic() > until_s:
                raise NotStarted(
                    f"{run.name} is still being deleted after {wait_s:.0f} s. Look: `{cluster.kubectl} get pods`."
                )
            time.sleep(0.2)
        show(f"{run.name}: deleted.")
