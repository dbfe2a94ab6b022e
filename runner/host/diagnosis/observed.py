"""A run as it was last seen in a cluster, and what is read of it: the pod that says where the run stands, and its events."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from enum import IntEnum

from runner.contract.records import JsonObject
from runner.host.objects import names
from runner.host.objects.names import labels_of, name_of
from runner.host.objects.pods import pod_ended, states


@dataclass(frozen=True)
class Observed:
    """One run as last seen: objects as the API gives them.

    ``job`` is the Job, MPIJob or JobSet, None where it is not there. ``pods`` are oldest first. ``nodes`` is None where the
    credentials may not list nodes. ``claims`` are the PersistentVolumeClaims of the pods, by name. ``workload`` is Kueue's object of
    the run. ``neighbours`` are the other pods of the kit in the namespace. ``log`` holds the last lines of the newest container.
    ``kubectl_flags`` are the flags of kubectl that lead to the cluster.
    """

    name: str
    namespace: str
    kind: str = "Job"
    job: JsonObject | None = None
    pods: tuple[JsonObject, ...] = ()
    events: tuple[JsonObject, ...] = ()
    nodes: tuple[JsonObject, ...] | None = None
    claims: dict[str, JsonObject] = field(default_factory=dict)
    workload: JsonObject | None = None
    neighbours: tuple[JsonObject, ...] = ()
    log: tuple[str, ...] = ()
    kubectl_flags: tuple[str, ...] = ()

    @property
    def kubectl(self) -> str:
        """Return the beginning of a kubectl command for the cluster and namespace of the run."""
        return shlex.join(["kubectl", *self.kubectl_flags, "-n", self.namespace])

    @property
    def pod(self) -> JsonObject | None:
        """Return the pod that says where the run stands, None before there is a pod.

        The pods of a Job come one after the other: the newest pod. The pods of an MPIJob or JobSet run at once, and each needs all
        others: the pod that ended first; while none has ended, the pod that is least far.
        """
        if self.kind == "Job" or not self.pods:
            return self.pods[-1] if self.pods else None
        current = list({_index(pod): pod for pod in self.pods}.values())
        ended = [pod for pod in current if _progress(pod) is _Progress.ENDED]
        if ended:
            return min(ended, key=lambda pod: (_ended_at(pod), not _prints(pod)))
        return min(current, key=lambda pod: (_progress(pod), not _prints(pod)))

    def named(self, container: str) -> str:
        """Return how a sentence names a container of ``pod``: with the pod, where the pod is not the one that prints results."""
        is_other = self.kind != "Job" and self.pod is not None and not _prints(self.pod)
        return f"container {container}{f' of {name_of(self.pod or {})}' if is_other else ''}"

    def events_of(self, *reasons: str, about: str | None = None) -> list[JsonObject]:
        """Return the events with one of these reasons, newest first; ``about`` is the name of the object that they are of."""
        events = [
            event
            for event in self.events
            if event.get("reason") in reasons
            and (about is None or event.get("involvedObject", {}).get("name") == about)
        ]
        return sorted(events, key=event_time, reverse=True)


def event_time(event: JsonObject) -> str:
    """Return when an event was last seen, as text of RFC 3339; the empty text where the event does not say."""
    times = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    return next((time for time in times if time), "")


class _Progress(IntEnum):
    """How far a pod is."""

    WITHOUT_NODE = 0
    ON_NODE = 1
    RUNNING = 2
    ENDED = 3


def _progress(pod: JsonObject) -> _Progress:
    if pod_ended(pod):
        return _Progress.ENDED
    if not pod.get("spec", {}).get("nodeName"):
        return _Progress.WITHOUT_NODE
    runs = any(not state.init for state in states(pod, "running"))
    return _Progress.RUNNING if runs else _Progress.ON_NODE


def _prints(pod: JsonObject) -> bool:
    return any(names.PRINTING_POD.get(key) == value for key, value in labels_of(pod).items())


def _index(pod: JsonObject) -> tuple[str, ...]:
    """Return what tells a pod from the others of its run: a pod that replaces another has the same index."""
    labels = labels_of(pod)
    return tuple(labels[key] for key in names.POD_INDEX if key in labels) or (name_of(pod),)


def _ended_at(pod: JsonObject) -> str:
    """Return when a pod ended, by the clock of its node; the empty text, which sorts first, where the node does not say."""
    return max([state.state.get("finishedAt") or "" for state in states(pod, "terminated")], default="")
