"""Ask a Kubernetes cluster: requests in, plain JSON objects out. No module but this one and ``connection`` sends a request.

This module decides nothing about the objects, and tries a request again where the refusal may pass.
"""

from __future__ import annotations

import os
import random
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from runner.contract import first_answer
from runner.contract.records import JsonObject
from runner.host.cluster.answers import (
    CUT,
    MAX_ANSWER_BYTES,
    MAX_LOG_LINE_BYTES,
    Refused,
    Stream,
    Unanswered,
    check_object,
    parse_object,
    read_lines,
    read_object,
)
from runner.host.cluster.connection import CORE_KINDS, Connection
from runner.host.diagnosis.requests import UNKNOWN_KIND
from runner.host.objects.rights import Right

# How long a login is tried again that a server took before: somebody may be writing a newer token.
RENEWED_LOGIN_S = 15.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
_PASSING_STATUSES = (429, 500, 502, 503, 504)
# objects in one page of a list
_PAGE_LIMIT = 500


@dataclass(frozen=True)
class Timeouts:
    """How long single requests may take, in seconds.

    ``first_s`` bounds all tries of a server that has never answered, since its address may be wrong; ``request_s`` the wait for an
    answer, ``passing_s`` the tries after refusals that may pass, ``watch_s`` the life of a watch, which the server ends; ``silence_s``
    the time without a byte in a watch, and ``log_s`` the same in a log.
    """

    first_s: float = field(default_factory=first_answer.limit_s)
    request_s: float = 30.0
    passing_s: float = 600.0
    watch_s: float = 240.0
    silence_s: float = 270.0
    log_s: float = 60.0


@dataclass(frozen=True)
class Listing:
    """All objects of a kind, and the resourceVersion of the list, from which a watch can go on."""

    objects: list[JsonObject]
    version: str


def _ignore(_stream: Stream) -> None:
    return None


class Cluster:
    """One namespace of a cluster, as a kubeconfig's context names it. Safe to share between threads.

    Raises ``ClusterRefused`` where no kubeconfig can be used, ``NoCluster`` where there is none.
    """

    def __init__(
        self,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        namespace: str | None = None,
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        self._kubeconfig, self._context, self._timeouts = kubeconfig, context, timeouts
        self._hurried = threading.Event()
        self._connection = Connection(kubeconfig, context, namespace, timeouts.request_s, timeouts.first_s)

    @property
    def namespace(self) -> str:
        """The namespace that requests go to."""
        return self._connection.namespace

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self._connection.server

    @property
    def clock_ahead_s(self) -> float:
        """How much the server's clock is ahead of this machine's, in seconds."""
        return self._connection.clock_ahead_s

    @property
    def kubectl_flags(self) -> tuple[str, ...]:
        """Return the flags that lead to this cluster again; kubectl and this kit spell them alike."""
        values = {"--kubeconfig": self._kubeconfig, "--context": self._context}
        return tuple(word for flag, value in values.items() if value for word in (flag, str(value)))

    @property
    def kubectl(self) -> str:
        """Return the beginning of a kubectl command for this cluster and namespace."""
        return shlex.join(["kubectl", *self.kubectl_flags, "-n", self.namespace])

    def hurry(self) -> None:
        """End every wait between two tries; until ``resume``, no request is tried a second time."""
        self._hurried.set()

    def resume(self) -> None:
        """Try requests again as before ``hurry``."""
        self._hurried.clear()

    # --- the verbs ---

    def create(self, manifest: JsonObject, dry_run: bool = False) -> JsonObject:
        """Create an object and return it as the server keeps it. The server refuses unknown fields."""
        kind, name = manifest["kind"], manifest["metadata"].get("name", "")
        parameters = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        action = f"{'try to create' if dry_run else 'create'} the {kind} {name}"
        created = self._ask("create", kind, action, body=manifest, **parameters)
        return created if dry_run else check_object(kind, created, action)

    def get(self, kind: str, name: str) -> JsonObject | None:
        """Return an object, None if it does not exist. Raises ``Refused`` for a namespace or kind that the cluster does not know."""
        action = f"get the {kind} {name}"
        try:
            answer = self._ask("read" if kind in CORE_KINDS else "get", kind, action, name=name)
        except Refused as refusal:
            if refusal.status == 404 and not any(words in refusal.message for words in ("namespaces", *UNKNOWN_KIND)):
                return None
            raise
        return check_object(kind, answer, action)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and first all that it owns (propagation Foreground); an object that does not exist counts as deleted."""
        try:
            self._ask("delete", kind, f"delete the {kind} {name}", name=name, propagation_policy="Foreground")
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def list(self, kind: str, selector: str | None = None) -> Listing:
        """Return all objects of a kind, the pages of the list put together."""
        while True:
            try:
                return self._list_pages(kind, selector)
            except Refused as refusal:
                # 410: the server forgot the next page; the list begins again
                if refusal.status != 410:
                    raise

    def _list_pages(self, kind: str, selector: str | None) -> Listing:
        action = f"list {_plural(kind)}"
        parameters: dict[str, object] = {"limit": _PAGE_LIMIT, **({"label_selector": selector} if selector else {})}
        objects: list[JsonObject] = []
        while True:
            page = self._ask("list", kind, action, **parameters)
            items, metadata = page.get("items", []), page.get("metadata", {})
            if not isinstance(items, list) or not isinstance(metadata, dict):
                raise Unanswered("the answer is no list of Kubernetes", action)
            objects += [check_object(kind, item, action) for item in items]
            next_page = metadata.get("continue")
            if not next_page:
                return Listing(objects, str(metadata.get("resourceVersion", "")))
            parameters["_continue"] = next_page

    def nodes(self) -> tuple[JsonObject, ...] | None:
        """Return all nodes, None where these credentials may not list nodes."""
        return self._all_if_allowed("Node")

    def storage_classes(self) -> tuple[JsonObject, ...] | None:
        """Return all storage classes, None where these credentials may not list them."""
        return self._all_if_allowed("StorageClass")

    def _all_if_allowed(self, kind: str) -> tuple[JsonObject, ...] | None:
        try:
            return tuple(self.list(kind).objects)
        except Refused as refusal:
            if refusal.status == 403:
                return None
            raise

    def version(self) -> str:
        """Return the version of the API server, such as v1.34.1. Raises ``Refused`` and ``Unanswered``."""
        action = "tell its version"
        version = self._ask("version", "Version", action).get("gitVersion")
        if not isinstance(version, str):
            raise Unanswered("the answer is no version of Kubernetes", action)
        return version

    def may(self, right: Right) -> bool:
        """Return whether the server itself says that these credentials have a right in the namespace.

        Raises ``Unanswered`` for an answer that is no review, and ``Refused``.
        """
        resource, _, subresource = right.resource.partition("/")
        attributes = {"namespace": self.namespace, "verb": right.verb, "group": right.group, "resource": resource}
        if subresource:
            attributes["subresource"] = subresource
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        action = "ask what these credentials may"
        status = self._ask("review", "SelfSubjectAccessReview", action, body=review).get("status", {})
        if not isinstance(status, dict):
            raise Unanswered("the answer is no review of Kubernetes", action)
        return bool(status.get("allowed"))

    # --- streams ---

    def watch(
        self, kind: str, version: str, selector: str | None = None, opened: Callable[[Stream], None] = _ignore
    ) -> Iterator[tuple[str | None, JsonObject]]:
        """Yield (event type, object) of the changes after a resourceVersion, until the server ends the watch.

        ``opened`` is called with the stream, so that another thread can end it. Raises ``Refused`` (410: list again) and
        ``Unanswered``, which also tells of silence.
        """
        action = f"watch {_plural(kind)}"
        parameters = {
            "watch": True,
            "allow_watch_bookmarks": True,
            "resource_version": version,
            "timeout_seconds": max(1, round(self._timeouts.watch_s)),
            **({"label_selector": selector} if selector else {}),
        }
        response = self._connection.open("list", kind, action, self._timeouts.silence_s, **parameters)
        opened(response)
        for line in read_lines(response, action, MAX_ANSWER_BYTES):
            event = parse_object(line, action)
            event_type, value = event.get("type"), event.get("object", {})
            if not isinstance(value, dict) or not isinstance(value.get("metadata", {}), dict):
                raise Unanswered("the answer is no event of Kubernetes", action)
            if event_type == "ERROR":
                code = value.get("code")
                raise Refused(code if isinstance(code, int) else 500, str(value.get("message", "")), action)
            yield event_type, value if event_type == "BOOKMARK" else check_object(kind, value, action)

    def log(
        self,
        pod: str,
        container: str,
        since_s: float | None = None,
        follow: bool = True,
        opened: Callable[[Stream], None] = _ignore,
    ) -> Iterator[bytes]:
        """Yield the lines of a container's log as bytes, each after the kubelet's timestamp, from ``since_s`` seconds ago on.

        A line of more than ``MAX_LOG_LINE_BYTES`` bytes is cut there and ends with ``CUT``. The lines end when the stream ends;
        with ``follow`` a stream may end before the container does, for example at a rotation. ``opened`` is called with the
        stream. Raises ``Refused`` and ``Unanswered``.
        """
        action = f"read the log of {pod}"
        parameters = {"container": container, "follow": follow, "timestamps": True}
        if since_s is not None:
            parameters["since_seconds"] = max(1, round(since_s))
        response = self._connection.open("log", "Pod", action, self._timeouts.log_s, name=pod, **parameters)
        opened(response)
        yield from read_lines(response, action, MAX_LOG_LINE_BYTES, CUT.encode(), with_rest=not follow)

    # --- tries ---

    def _ask(self, verb: str, kind: str, action: str, **parameters: object) -> JsonObject:
        """Make a request, again while its refusal may pass, and return the JSON object of the answer.

        A request may be repeated safely: the client names every object, so that a second ``create`` meets what a first one, whose
        answer was lost, has created. Raises ``Refused`` and ``Unanswered``.
        """
        began_s = time.monotonic()
        until_s, pause_s, renewed = began_s + self._timeouts.passing_s, _FIRST_PAUSE_S, False
        while True:
            server_pause_s = 0.0
            try:
                response = self._connection.open(verb, kind, action, self._timeouts.request_s, **parameters)
                answer = read_object(response, action)
                self._connection.answered = self._connection.admitted = True
                return answer
            except Refused as refusal:
                if refusal.status == 401 and not renewed:
                    # a token has expired: the kubeconfig may hold, or its plugin make, a newer one
                    renewed = self._connection.renew()
                    if renewed:
                        continue
                    until_s = min(
                        until_s, began_s + (RENEWED_LOGIN_S if self._connection.admitted else self._timeouts.first_s)
                    )
                elif refusal.status not in _PASSING_STATUSES:
                    raise
                if time.monotonic() > until_s:
                    if refusal.status == 401 and self._connection.renewal_problem is not None:
                        refusal.message = str(self._connection.renewal_problem)
                    raise
                server_pause_s = refusal.retry_after_s or 0.0
            except Unanswered as silence:
                if not silence.may_pass:
                    raise
                if not self._connection.answered:
                    until_s = min(until_s, began_s + self._timeouts.first_s)
                if time.monotonic() > until_s:
                    raise
            left_s = max(0.0, until_s - time.monotonic()) + 0.01
            if self._hurried.wait(min(jittered(max(server_pause_s, pause_s)), left_s)):
                raise Unanswered("it was stopped", action)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, self._timeouts.passing_s / 20))


def jittered(seconds: float) -> float:
    """Return a time near ``seconds``, so that many clients do not come back at once."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def _plural(kind: str) -> str:
    return f"{kind}s"
