"""The state of a scripted cluster: objects with their history, logs of containers, rights, and faults to come.

``tests.support.apiserver`` serves a ``Cluster`` over HTTP. ``clusterplay`` plays the controllers: a player is called with every
change of an object.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from runner.contract.records import JsonObject
from runner.host.objects.rights import Right

NAMESPACE = "bench"
KINDS = {
    "jobs": "Job",
    "mpijobs": "MPIJob",
    "jobsets": "JobSet",
    "pods": "Pod",
    "events": "Event",
    "configmaps": "ConfigMap",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "serviceaccounts": "ServiceAccount",
    "nodes": "Node",
    "namespaces": "Namespace",
    "storageclasses": "StorageClass",
    "workloads": "Workload",
    "localqueues": "LocalQueue",
}
# The labels by which a pod names its Job, MPIJob or JobSet.
OWNER_LABELS = ("batch.kubernetes.io/job-name", "training.kubeflow.org/job-name", "jobset.sigs.k8s.io/jobset-name")

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
# What a fault does to a request.
Act = Literal["status", "hang", "drop", "cut", "error", "repeat", "bytes", "body"]
# Called with the type and the object of every change.
Player = Callable[[EventType, JsonObject], None]


@dataclass
class Fault:
    """A misbehaviour of the server, for the next ``times`` requests that have all words of ``on``.

    The words of a request are its verb (get, list, watch, create, delete), its resource, its subresource (log), its name, and
    ``follow``. The acts are:

    - ``status``: answer ``status`` with ``message``, and ``retry_after`` as a header
    - ``hang``: accept the request and never answer
    - ``drop``: close the connection before an answer
    - ``cut``: end a stream after ``after`` items, with ``inside`` in the middle of the next item, without in a proper way
    - ``error``: send an ERROR with ``status`` in a watch
    - ``repeat``: send every object of a watch twice
    - ``bytes``: send a stream in pieces of one byte
    - ``body``: answer 200 with ``message`` as the body, as a server that is no API server does
    """

    on: tuple[str, ...]
    act: Act
    times: int = 1
    status: int = 500
    message: str = "scripted"
    retry_after: str | None = None
    after: int = 0
    inside: bool = False


@dataclass
class Request:
    """A request as the server understands it; ``sub`` is the subresource, an empty text for none."""

    verb: str
    group: str
    resource: str
    sub: str
    namespace: str | None
    name: str | None
    query: dict[str, str]

    @property
    def words(self) -> set[str]:
        """Return the words that a fault may ask for."""
        follow = "follow" if self.query.get("follow") in ("true", "True") else ""
        return {self.verb, self.resource, self.sub, self.name or "", follow}

    @property
    def right(self) -> Right:
        """Return the right that the request takes."""
        verb = "get" if self.sub == "log" else self.verb
        return Right(self.group, f"{self.resource}/{self.sub}" if self.sub else self.resource, verb)


@dataclass
class LogFile:
    """The log of a container as its node keeps it: lines with their times in seconds since 1970, and what rotation did.

    Only the lines from ``start`` on can be read; ``generation`` counts the rotations.
    """

    lines: list[tuple[float, str]] = field(default_factory=list)
    ended: bool = False
    start: int = 0
    generation: int = 0


@dataclass(frozen=True)
class Change:
    """A change of an object, as a watch reports it."""

    version: int
    event: EventType
    resource: str
    object: JsonObject


class Cluster:
    """The state of a cluster with one namespace, which tests may change while a server runs.

    ``rules`` are those of the Role that everybody has, None where everybody has every right. ``requests`` counts by (verb,
    resource); ``unserved`` are resources whose kinds the cluster does not know; a watch from before ``oldest`` is answered 410;
    ``now_s`` is the clock of API server and nodes, in seconds since 1970; ``release`` is the version of Kubernetes.
    """

    def __init__(self, rules: Sequence[JsonObject] | None = None, namespaces: Iterable[str] = (NAMESPACE,)) -> None:
        self.rules, self.namespaces = rules, set(namespaces)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        # by resource and name
        self.objects: dict[tuple[str, str], JsonObject] = {}
        self.history: list[Change] = []
        # by pod and container
        self.logs: dict[tuple[str, str], LogFile] = {}
        self.version, self.oldest = 1000, 0
        self.requests: Counter[tuple[str, str]] = Counter()
        self.faults: list[Fault] = []
        self.used_rights: set[Right] = set()
        self.refused_rights: set[Right] = set()
        self.unserved: set[str] = set()
        self.players: list[Player] = []
        self.closing = False
        self.now_s = 1_790_000_000.0
        self.bytes_sent = 0
        self.headers_seen: list[str | None] = []
        self.release = "v1.36.1"

    # --- objects ---

    def put(self, manifest: JsonObject, status: JsonObject | None = None) -> JsonObject:
        """Create or replace an object as a controller would, and report it to all watches; return the object as it is kept."""
        with self.lock:
            metadata = manifest.setdefault("metadata", {})
            resource = _resource(manifest["kind"])
            key = resource, metadata["name"]
            event: EventType = "MODIFIED" if key in self.objects else "ADDED"
            self.version += 1
            metadata.setdefault("uid", f"uid-{self.version}")
            metadata.setdefault("namespace", NAMESPACE)
            metadata.setdefault("creationTimestamp", self.time())
            metadata["resourceVersion"] = str(self.version)
            if status is not None:
                manifest["status"] = status
            self.objects[key] = json.loads(json.dumps(manifest))
            self._report(event, resource, self.objects[key])
            return self.objects[key]

    def change(self, kind: str, name: str, **status: object) -> JsonObject:
        """Set parts of the status of an object that exists; return the object."""
        with self.lock:
            changed = json.loads(json.dumps(self.existing(kind, name)))
            changed["status"] = {**changed.get("status", {}), **status}
            return self.put(changed)

    def get(self, kind: str, name: str) -> JsonObject | None:
        with self.lock:
            return self.objects.get((_resource(kind), name))

    def existing(self, kind: str, name: str) -> JsonObject:
        """Return an object that must exist."""
        manifest = self.get(kind, name)
        assert manifest is not None, f"there is no {kind} {name}"
        return manifest

    def all(self, kind: str) -> list[JsonObject]:
        with self.lock:
            return [manifest for (resource, _), manifest in self.objects.items() if resource == _resource(kind)]

    def remove(self, kind: str, name: str) -> JsonObject | None:
        """Remove an object, and report that to all watches; return the object, None where there was none."""
        resource = _resource(kind)
        with self.lock:
            removed = self.objects.pop((resource, name), None)
            if removed is not None:
                self.version += 1
                removed = {**removed, "metadata": {**removed["metadata"], "resourceVersion": str(self.version)}}
                self._report("DELETED", resource, removed)
            return removed

    def forget_history(self) -> None:
        """Compact the history: a watch from an earlier version is answered 410."""
        with self.lock:
            self.oldest = self.version

    def _report(self, event: EventType, resource: str, manifest: JsonObject) -> None:
        self.history.append(Change(self.version, event, resource, manifest))
        self.changed.notify_all()
        for player in self.players:
            player(event, manifest)

    def time(self) -> str:
        """Move the clock on by a second, and return its time as Kubernetes writes it."""
        self.now_s += 1
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now_s))

    def event(self, reason: str, message: str, about: str, kind: str = "Pod") -> None:
        """Create an Event about an object of this name and kind."""
        with self.lock:
            self.put(
                {
                    "kind": "Event",
                    "metadata": {"name": f"{about}.{self.version:x}"},
                    "reason": reason,
                    "message": message,
                    "type": "Normal"
                    if reason in ("Scheduled", "Pulling", "Pulled", "Created", "Started")
                    else "Warning",
                    "involvedObject": {"kind": kind, "name": about},
                    "lastTimestamp": self.time(),
                }
            )

    # --- logs ---

    def write_log(self, pod: str, container: str, lines: Iterable[str], ended: bool = False) -> None:
        """Add lines to the log of a container; ``ended`` after the container's last line."""
        with self.lock:
            log = self.logs.setdefault((pod, container), LogFile())
            for line in lines:
                self.now_s += 0.001
                log.lines.append((self.now_s, line))
            log.ended = log.ended or ended
            self.changed.notify_all()

    def rotate_log(self, pod: str, container: str, keep: int = 0) -> None:
        """Rotate the log of a container: streams that follow it end, and only the last ``keep`` lines can still be read."""
        with self.lock:
            log = self.logs[pod, container]
            log.start = max(log.start, len(log.lines) - keep)
            log.generation += 1
            self.changed.notify_all()

    # --- faults ---

    def fault_for(self, request: Request, *acts: Act) -> Fault | None:
        """Return the first fault with one of these acts that meets a request, and count it; None where no fault does."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.act in acts and set(fault.on) <= request.words:
                    fault.times -= 1
                    return fault
        return None

    def allowed(self, request: Request) -> bool:
        """Return whether the Role grants a request; without a Role every request is granted."""
        if self.rules is None or request.resource == "selfsubjectaccessreviews":
            return True
        return grants(self.rules, request.right)


def grants(rules: Iterable[JsonObject], right: Right) -> bool:
    """Return whether the rules of a Role grant a right."""
    return any(
        right.group in rule["apiGroups"] and right.resource in rule["resources"] and right.verb in rule["verbs"]
        for rule in rules
    )


def _resource(kind: str) -> str:
    return next(resource for resource, known in KINDS.items() if known == kind)
