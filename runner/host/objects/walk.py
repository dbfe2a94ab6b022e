"""Walk from objects to their pods, containers and Jobs, whatever kind makes the pods, and say what a run needs in its namespace.

A run is a Job (batch/v1), an MPIJob (kubeflow.org) or a JobSet (jobset.x-k8s.io).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from runner.contract.records import JsonObject
from runner.host.objects.kinds import RUNS

CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True)
class Replica:
    """The pods of a run that share one template. ``part`` is the role of an MPIJob or the replicated Job of a JobSet, else empty."""

    part: str
    template: JsonObject
    pods: int


class Reference(NamedTuple):
    """An object in the namespace of a run that the run names."""

    kind: str
    name: str


# --- of one run ---


def replicas(run: JsonObject) -> list[Replica]:
    """Return the templates of a run with the number of their pods, the pod that prints results first; [] for any other object."""
    if run.get("kind") not in (None, *RUNS):
        return []
    spec = run.get("spec") or {}
    if "mpiReplicaSpecs" in spec:
        roles = sorted(spec["mpiReplicaSpecs"].items(), key=lambda role: role[0] != "Launcher")
        return [Replica(role, replica.get("template", {}), replica.get("replicas", 1)) for role, replica in roles]
    if "replicatedJobs" in spec:
        return [
            Replica(part.get("name", ""), job.get("template", {}), part.get("replicas", 1) * job.get("parallelism", 1))
            for part, job in ((part, part["template"]["spec"]) for part in spec["replicatedJobs"])
        ]
    return [Replica("", spec["template"], spec.get("parallelism", 1))] if "template" in spec else []


def templates(run: JsonObject) -> list[JsonObject]:
    """Return the pod templates of a run, that of the pod that prints results first."""
    return [replica.template for replica in replicas(run)]


def pod_specs(run: JsonObject) -> list[JsonObject]:
    """Return the pod specs of a run, that of the pod that prints results first."""
    return [template["spec"] for template in templates(run)]


def pods_at_once(run: JsonObject) -> int:
    """Return how many pods a run has while it runs."""
    return sum(replica.pods for replica in replicas(run))


def job_specs(run: JsonObject) -> list[JsonObject]:
    """Return the spec of a Job, or the specs of a JobSet's Jobs. An MPIJob has none: its operator makes its Job."""
    spec = run.get("spec") or {}
    if "replicatedJobs" in spec:
        return [part["template"]["spec"] for part in spec["replicatedJobs"]]
    return [] if "mpiReplicaSpecs" in spec else [spec]


def deadline_holders(run: JsonObject) -> list[JsonObject]:
    """Return the mappings of a run that may hold ``activeDeadlineSeconds``. A JobSet has no deadline of its own: its Jobs have."""
    spec = run.get("spec") or {}
    if "mpiReplicaSpecs" in spec:
        return [spec["runPolicy"]] if spec.get("runPolicy") is not None else []
    return job_specs(run)


def deadline_s(run: JsonObject | None) -> float | None:
    """Return the deadline of a run in seconds, None where it has none."""
    deadlines = [holder.get("activeDeadlineSeconds") for holder in deadline_holders(run or {})]
    return next(filter(None, deadlines), None)


def suspended(run: JsonObject | None) -> bool:
    """Return whether a run is held back by what admits it, such as Kueue."""
    spec = (run or {}).get("spec", {})
    return bool(spec.get("suspend") or spec.get("runPolicy", {}).get("suspend"))


def claims(pod_spec: JsonObject) -> list[str]:
    """Return the names of the claims behind the volumes of a pod, in the order of the volumes."""
    volumes = pod_spec.get("volumes") or []
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume.get("persistentVolumeClaim")]


def needs(run: JsonObject) -> list[Reference]:
    """Return every object that the pods of a run need and name, sorted. An optional ConfigMap is not needed."""
    needed = set()
    for spec in pod_specs(run):
        if spec.get("serviceAccountName"):
            needed.add(Reference("ServiceAccount", spec["serviceAccountName"]))
        needed |= {Reference(CLAIM, name) for name in claims(spec)}
        for volume in spec.get("volumes") or []:
            needed |= {Reference("ConfigMap", name) for name in config_maps(volume)}
    return sorted(needed)


def config_maps(volume: JsonObject) -> list[str]:
    """Return the names of the ConfigMaps that a volume is made of and cannot do without."""
    sources = [volume, *((volume.get("projected") or {}).get("sources") or [])]
    named = [source["configMap"] for source in sources if source.get("configMap")]
    return [config_map["name"] for config_map in named if not config_map.get("optional")]


def shared_claims(run: JsonObject) -> list[str]:
    """Return the names of the claims that more than one pod of a run mounts. The pods of a run are on different nodes."""
    mounts: dict[str, int] = {}
    for replica in replicas(run):
        for claim in claims(replica.template["spec"]):
            mounts[claim] = mounts.get(claim, 0) + replica.pods
    return sorted(claim for claim, pods in mounts.items() if pods > 1)


def operator_jobs(run: JsonObject) -> list[str]:
    """Return the names of the Jobs that an operator makes for an MPIJob or JobSet; [] for a Job."""
    name = run["metadata"]["name"]
    if run["kind"] == "MPIJob":
        return [f"{name}-launcher"]
    return [f"{name}-{part['name']}-0" for part in run["spec"].get("replicatedJobs") or []]


# --- of many objects, each with a title for messages ---


def title(manifest: JsonObject) -> str:
    """Return how a message names an object: its kind and its name."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def pods(objects: Iterable[JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    """Yield (title, pod template) of every pod that the objects would start."""
    for manifest in objects:
        for replica in replicas(manifest):
            yield f"{title(manifest)}, {replica.part}" if replica.part else title(manifest), replica.template


def containers(objects: Iterable[JsonObject]) -> Iterator[tuple[str, JsonObject, JsonObject]]:
    """Yield (title, pod spec, container) of every container, the init containers of a pod first."""
    for where, template in pods(objects):
        spec = template["spec"]
        for container in containers_of(spec):
            yield f"{where}, container {container['name']}", spec, container


def containers_of(pod_spec: JsonObject) -> list[JsonObject]:
    """Return the containers of a pod, init containers first."""
    return [*(pod_spec.get("initContainers") or ()), *(pod_spec.get("containers") or ())]


def jobs(objects: Iterable[JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    """Yield (title, spec) of every batch/v1 Job, those inside a JobSet too."""
    for manifest in objects:
        if manifest["kind"] == "Job":
            yield title(manifest), manifest["spec"]
        elif manifest["kind"] == "JobSet":
            for part in manifest["spec"]["replicatedJobs"]:
                yield f"{title(manifest)}, {part['name']}", part["template"]["spec"]


def metadata(objects: Iterable[JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    """Yield (title, metadata) of every object, then of every pod template."""
    objects = list(objects)
    for manifest in objects:
        yield title(manifest), manifest["metadata"]
    yield from ((where, template["metadata"]) for where, template in pods(objects))
