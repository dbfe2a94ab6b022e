"""What was seen of one run, and what is said of it."""

import re
import shlex
from dataclasses import dataclass, field

from runner.contract import termination
from runner.contract.errors import DamagedResult
from runner.contract.text import printable


@dataclass(frozen=True)
class Problem:
    """What is wrong and what to do. ``row`` names it; ``patience`` is the deadline that it may still pass by within,
    None where waiting does not help."""

    row: str
    sentence: str
    step: str
    patience: str | None = None

    def __str__(self):
        return f"{self.sentence} {self.step}"


@dataclass(frozen=True)
class Observed:
    """One run as last seen: objects as the API gives them, in JSON's shapes.

    ``job`` is None where it is not there; ``pods`` are oldest first; ``nodes`` is None where they may not be listed;
    ``claims`` are the PersistentVolumeClaims of its pods, by name; ``neighbours`` are the kit's other pods in the namespace;
    ``log`` holds the last lines of the newest container; ``place`` are kubectl's flags that lead to its cluster.
    """

    name: str
    namespace: str
    kind: str = "Job"
    job: dict | None = None
    pods: tuple[dict, ...] = ()
    events: tuple[dict, ...] = ()
    nodes: tuple[dict, ...] | None = None
    claims: dict[str, dict] = field(default_factory=dict)
    workload: dict | None = None
    neighbours: tuple[dict, ...] = ()
    log: tuple[str, ...] = ()
    place: tuple[str, ...] = ()

    @property
    def kubectl(self):
        return shlex.join(["kubectl", *self.place, "-n", self.namespace])

    @property
    def pod(self):
        """Return the pod that says where the run stands, None before there is one.

        Those of a Job come after each other: the newest. Those on several nodes run at once, and none does without the others:
        the one that ended before the others, and before any has ended the one that is least far.
        """
        if self.kind == "Job" or not self.pods:
            return self.pods[-1] if self.pods else None
        now = list({_place(pod): pod for pod in self.pods}.values())  # the newest of each place
        ended = [pod for pod in now if _how_far(pod) == _ENDED]
        if ended:
            return min(ended, key=lambda pod: (_ended_at(pod), not _prints(pod)))
        return min(now, key=lambda pod: (_how_far(pod), not _prints(pod)))

    def named(self, container):
        """Return how a sentence names a container of ``pod``: with the pod where it is not the one that prints results."""
        other = self.kind != "Job" and self.pod is not None and not _prints(self.pod)
        return f"container {container}{f' of {name_of(self.pod)}' if other else ''}"


# What its operator says of the pod that prints results.
_FIRST = {"training.kubeflow.org/job-role": "launcher", "jobset.sigs.k8s.io/replicatedjob-name": "first"}
# What tells the pods of a run apart that are there at the same time.
_PLACES = (*_FIRST, "training.kubeflow.org/replica-index", "batch.kubernetes.io/job-completion-index")
_ENDED = 3


def _prints(pod):
    return any(_FIRST.get(key) == value for key, value in (pod["metadata"].get("labels") or {}).items())


def _place(pod):
    labels = pod["metadata"].get("labels") or {}
    return tuple(labels[key] for key in _PLACES if key in labels) or (name_of(pod),)


def _how_far(pod):
    """Return how far a pod has come: 0 without a node, 1 with one, 2 where it runs, 3 where it has ended."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return _ENDED
    if not pod.get("spec", {}).get("nodeName"):
        return 0
    return 2 if any(not init for _, _, init in states(pod, "running")) else 1


def _ended_at(pod):
    """Return when a pod ended, as its node says; the earliest time where it says none."""
    return max([state.get("finishedAt") or "" for _, state, _ in states(pod, "terminated")], default="")


def suspended(job):
    """Return whether a Job, MPIJob or JobSet is held back by what admits it."""
    spec = (job or {}).get("spec", {})
    return bool(spec.get("suspend") or spec.get("runPolicy", {}).get("suspend"))


def pods_at_once(job):
    """Return how many pods a Job, MPIJob or JobSet has while it runs."""
    spec = job.get("spec", {})
    if "mpiReplicaSpecs" in spec:
        return sum(one.get("replicas", 1) for one in spec["mpiReplicaSpecs"].values())
    if "replicatedJobs" in spec:
        return sum(
            one.get("replicas", 1) * one["template"]["spec"].get("parallelism", 1) for one in spec["replicatedJobs"]
        )
    return 1


def deadline_s(job):
    """Return the deadline that a Job, MPIJob or JobSet has, in seconds, None where it has none."""
    spec = (job or {}).get("spec", {})
    of_jobs = [one["template"]["spec"] for one in spec.get("replicatedJobs") or []]
    limits = [one.get("activeDeadlineSeconds") for one in (spec, spec.get("runPolicy", {}), *of_jobs)]
    return next(filter(None, limits), None)


def condition(thing, kind):
    """Return a condition of an object, None where it has none of this type."""
    found = (thing or {}).get("status", {}).get("conditions") or []
    return next((one for one in found if one.get("type") == kind), None)


def holds(thing, kind):
    return (condition(thing, kind) or {}).get("status") == "True"


def ending(job):
    """Return "complete", "failed" or None of a Job, MPIJob or JobSet: each says it in its own condition."""
    for word, kinds in (("complete", ("Complete", "Succeeded", "Completed")), ("failed", ("Failed",))):
        if any(holds(job, kind) for kind in kinds):
            return word
    return None


def name_of(thing):
    return thing.get("metadata", {}).get("name", "")


def states(pod, kind):
    """Yield (container, state, init) of all containers of a pod that are ``waiting``, ``running`` or ``terminated``."""
    status = pod.get("status", {})
    for init, key in ((True, "initContainerStatuses"), (False, "containerStatuses")):
        for one in status.get(key) or []:
            if kind in (one.get("state") or {}):
                yield one["name"], one["state"][kind] or {}, init


def container_of(pod, name):
    spec = pod.get("spec", {})
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return next((one for one in every if one.get("name") == name), {})


def own_container(pod):
    """Return the name of the container that the pod is there for: its component's. A mesh may have put its own before it."""
    names = [one.get("name") for one in pod.get("spec", {}).get("containers") or []]
    component = (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component")
    return component if component in names else next(iter(names), None)


def beside(pod):
    """Return the names of a pod's containers that run beside its own one: those of a mesh, as containers or as init containers
    that go on (restartPolicy Always)."""
    spec, own = pod.get("spec", {}), own_container(pod)
    names = {one.get("name") for one in spec.get("containers") or [] if one.get("name") != own}
    lasting = {one.get("name") for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"}
    return names | lasting


def events_of(observed, *reasons, about=None):
    """Return the events with one of these reasons, newest first; ``about`` names the object that they are of."""
    found = [
        one
        for one in observed.events
        if one.get("reason") in reasons and (about is None or one.get("involvedObject", {}).get("name") == about)
    ]
    return sorted(found, key=event_time, reverse=True)


def event_time(event):
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    return next((time for time in times if time), "")


def last_words(message):
    """Return the mapping that a bench leaves as its termination message, None for any other message."""
    try:
        return termination.read(message, "the termination message")
    except DamagedResult:
        return None


def quoted(text, limit=300):
    """Return foreign words on one line, without the full stop that the sentence around them sets."""
    return printable(" ".join(str(text).split()), limit).rstrip(". ")


_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text):
    """Return a Kubernetes quantity (``690Gi``, ``88``, ``500m``) as a number; 0 for what is none."""
    found = re.fullmatch(r"([0-9.]+)(m|[kMGT]i?|Ki|)", str(text))
    return float(found.group(1)) * _UNITS.get(found.group(2), 0) if found else 0.0


def wanted(pod, resource):
    """Return what a pod asks for of a resource as it is written: the sum over containers where there are several."""
    asked = [
        (one.get("resources") or {}).get("requests", {}).get(resource)
        or (one.get("resources") or {}).get("limits", {}).get(resource)
        for one in pod.get("spec", {}).get("containers") or []
    ]
    asked = [one for one in asked if one]
    if len(asked) == 1:
        return asked[0]
    return f"{sum(map(quantity, asked)):.0f}" if asked else "0"
