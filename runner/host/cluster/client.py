"""The only door to a Kubernetes cluster: requests in, plain JSON objects out. It decides nothing about them.

Everything goes over the ``kubernetes`` package's calls with the body left raw (``_preload_content=False``): its own watch
repeats events after a 410 and its log stream mangles lines (kubernetes-client/python issues 124, 811), and its models refuse
fields that they do not know. Where a kubeconfig leads to, with which credentials and over which connections is for
``kubeconfig``, ``credentials`` and ``transport`` to say; the package's loader waits for plugins for ever and reads no pod's own.
"""

import contextlib
import email.utils
import json
import math
import random
import shlex
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import urllib3
from kubernetes import client

from runner.contract.errors import ClusterRefused
from runner.host.cluster import credentials, kubeconfig, transport
from runner.host.diagnosis.requests import UNKNOWN_KIND
from runner.host.objects import kinds

# kind: (group, version, plural); those without a group have functions of their own in the package.
GROUPS = {
    "Job": ("batch", "v1", "jobs"),
    "MPIJob": ("kubeflow.org", "v2beta1", "mpijobs"),
    "JobSet": ("jobset.x-k8s.io", "v1alpha2", "jobsets"),
    "Workload": ("kueue.x-k8s.io", "v1beta2", "workloads"),
    "LocalQueue": ("kueue.x-k8s.io", "v1beta2", "localqueues"),
}
CORE = {
    "ConfigMap": "config_map",
    "Event": "event",
    "PersistentVolumeClaim": "persistent_volume_claim",
    "Pod": "pod",
    "ServiceAccount": "service_account",
}
FIRST_ANSWER_S = 15.0  # a server that has never answered is not one that passes through a bad minute
MAX_ANSWER_BYTES = 64 * 1024 * 1024  # a page of 500 pods has 10 MB
MAX_LOG_LINE_BYTES = 64 * 1024  # a container runtime cuts at 16 KiB, and most kubelets put the pieces together again
CUT = f" [cut here: this line has more than {MAX_LOG_LINE_BYTES:,} bytes]"
RENEWAL_S = 60.0  # between two tries to renew credentials
_PASSING = (429, 500, 502, 503, 504)
_PAGE = 500


class Refused(Exception):
    """An answer other than yes: HTTP ``status``, the server's ``message``, what was asked (``doing``), ``retry_after_s``."""

    def __init__(self, status, message, doing, retry_after_s=None):
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.doing, self.retry_after_s = status, message, doing, retry_after_s


class Unanswered(Exception):
    """No answer, or one that cannot be used: the ``words`` of what is wrong, what was asked (``doing``), whether it may pass."""

    def __init__(self, words, doing, passes=True):
        super().__init__(words)
        self.words, self.doing, self.passes = words, doing, passes


@dataclass(frozen=True)
class Patience:
    """How long single requests may take, in seconds: ``request`` until an answer, ``passing`` for what a server says passes,
    ``watch`` for the server to end a watch by itself, ``silence`` for a stream without a byte, ``log`` likewise for a log."""

    request_s: float = 30.0
    passing_s: float = 600.0
    watch_s: float = 240.0
    silence_s: float = 270.0
    log_s: float = 60.0


class Cluster:
    """One namespace of a cluster, as a kubeconfig's context names it. Safe to share between threads.

    ``calls`` counts requests by (verb, kind); ``ahead_s`` is how much the server's clock is ahead of this machine's.
    """

    def __init__(self, kubeconfig=None, context=None, namespace=None, patience=Patience()):
        self.kubeconfig, self.context, self.patience = kubeconfig, context, patience
        self._lock, self._renewing = threading.Lock(), threading.Lock()
        self._stopped = threading.Event()
        self._not_renewed: ClusterRefused | None = None  # why the credentials could not be made again
        self.calls = {}
        self._answered = False
        self.ahead_s = 0.0
        self._load()
        self.namespace = namespace or self._target.namespace or "bloomz-bench"

    @property
    def server(self):
        return self._target.server

    @property
    def place(self):
        """Return the flags, the same for kubectl and for this kit, that lead to this cluster again."""
        named = {"--kubeconfig": self.kubeconfig, "--context": self.context}
        return tuple(word for flag, value in named.items() if value for word in (flag, str(value)))

    @property
    def kubectl(self):
        return shlex.join(["kubectl", *self.place, "-n", self.namespace])

    def hurry(self):
        """End what waits between two tries, so that something else can be done; until ``resume``, nothing is tried again."""
        self._stopped.set()

    def resume(self):
        self._stopped.clear()

    def _load(self):
        target = kubeconfig.find(self.kubeconfig, self.context)
        given = credentials.of(target, self.patience.request_s)
        configuration = client.Configuration(host=target.server)
        configuration.proxy = None  # the connections have it
        api = client.ApiClient(configuration)
        api.rest_client.pool_manager = transport.connections(target, given)
        if given.authorization:
            api.set_default_header("Authorization", given.authorization)
        with self._lock:
            self._target, self._renew_at_s, self._loaded = target, given.renew_at_s, object()
            self._core, self._custom = client.CoreV1Api(api), client.CustomObjectsApi(api)

    def _renewed(self) -> bool:
        """Read the kubeconfig and run its plugin again; return whether that was possible: a new token may just be being written.

        Of several threads that ask at once, one reads.
        """
        loaded = self._loaded
        with self._renewing:
            if self._loaded is not loaded:
                return True
            try:
                self._load()
            except ClusterRefused as problem:
                self._not_renewed = problem
                return False
            return True

    # --- the verbs ---

    def create(self, thing, dry_run=False):
        """Create an object and return it as the server keeps it; unknown fields are refused by the server."""
        kind, name = thing["kind"], thing["metadata"].get("name", "")
        options = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        doing = f"{'try to create' if dry_run else 'create'} the {kind} {name}"
        made = self._ask("create", kind, doing, body=thing, **options)
        return made if dry_run else _checked(kind, made, doing)

    def get(self, kind, name):
        """Return an object, None if it is not there. Raises ``Refused`` for a namespace or a kind that the cluster does not know."""
        try:
            doing = f"get the {kind} {name}"
            return _checked(kind, self._ask("read" if kind in CORE else "get", kind, doing, name=name), doing)
        except Refused as refusal:
            if refusal.status == 404 and not any(words in refusal.message for words in ("namespaces", *UNKNOWN_KIND)):
                return None
            raise

    def delete(self, kind, name):
        """Delete an object and, before it goes, what it owns (propagation Foreground); one that is not there is deleted."""
        try:
            self._ask("delete", kind, f"delete the {kind} {name}", name=name, propagation_policy="Foreground")
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def list(self, kind, selector=None):
        """Return all objects of a kind and the resourceVersion of the list; pages are put together."""
        while True:
            try:
                return self._pages(kind, selector)
            except Refused as refusal:
                if refusal.status != 410:  # the next page was forgotten: from the start
                    raise

    def _pages(self, kind, selector):
        found: list[dict] = []
        following = None
        while True:
            options = {"limit": _PAGE, **({"label_selector": selector} if selector else {})}
            if following:
                options["_continue"] = following
            doing = f"list {_plural(kind)}"
            page = self._ask("list", kind, doing, **options)
            items, metadata = page.get("items", []), page.get("metadata", {})
            if not isinstance(items, list) or not isinstance(metadata, dict):
                raise Unanswered("the answer is no list of Kubernetes", doing)
            found += [_checked(kind, one, doing) for one in items]
            following = metadata.get("continue")
            if not following:
                return found, str(metadata.get("resourceVersion", ""))

    def nodes(self):
        """Return all nodes, None where these credentials may not list them."""
        try:
            return tuple(self.list("Node")[0])
        except Refused as refusal:
            if refusal.status == 403:
                return None
            raise

    def may(self, verb, group, resource, subresource=""):
        """Return whether these credentials may do this in the namespace, as the server itself judges."""
        attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        if subresource:
            attributes["subresource"] = subresource
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        doing = "ask what these credentials may"
        status = self._ask("review", "SelfSubjectAccessReview", doing, body=review).get("status", {})
        if not isinstance(status, dict):
            raise Unanswered("the answer is no review of Kubernetes", doing)
        return bool(status.get("allowed"))

    def watch(self, kind, version, selector=None, opened=lambda stream: None):
        """Yield (type, object) of what happens after a resourceVersion, until the server ends the watch.

        Raises ``Refused`` (410: list again) and ``Unanswered``, for silence too. ``opened`` is given the stream, to close it.
        """
        doing = f"watch {_plural(kind)}"
        options = {
            "watch": True,
            "allow_watch_bookmarks": True,
            "resource_version": version,
            "timeout_seconds": max(1, round(self.patience.watch_s)),
            **({"label_selector": selector} if selector else {}),
        }
        response = self._open("list", kind, doing, self.patience.silence_s, **options)
        opened(response)
        for line in _lines(response, doing, MAX_ANSWER_BYTES):
            event = _parsed(line, doing)
            what, thing = event.get("type"), event.get("object", {})
            if not isinstance(thing, dict) or not isinstance(thing.get("metadata", {}), dict):
                raise Unanswered("the answer is no event of Kubernetes", doing)
            if what == "ERROR":
                code = thing.get("code")
                raise Refused(code if isinstance(code, int) else 500, str(thing.get("message", "")), doing)
            yield what, thing if what == "BOOKMARK" else _checked(kind, thing, doing)

    def log(self, pod, container, since_s=None, follow=True, opened=lambda stream: None):
        """Yield the lines of a container's log as bytes with the kubelet's timestamp, from ``since_s`` seconds ago on.

        A line of more than ``MAX_LOG_LINE_BYTES`` is cut there and ends with ``CUT``.
        Returns when the stream ends, which with ``follow`` can be before the container does: at a rotation, say.
        """
        doing = f"read the log of {pod}"
        options = {"container": container, "follow": follow, "timestamps": True}
        if since_s is not None:
            options["since_seconds"] = max(1, round(since_s))
        response = self._open("log", "Pod", doing, self.patience.log_s, name=pod, **options)
        opened(response)
        yield from _lines(response, doing, MAX_LOG_LINE_BYTES, CUT.encode(), rest_too=not follow)

    # --- one request ---

    def _ask(self, verb, kind, doing, **options):
        """Make a request, again while its refusal is one that passes, and return the answer's JSON.

        Every request may be made twice: names are fixed and never generated, so what a lost answer created is met again.
        """
        began = time.monotonic()
        until, wait_s, renewed = began + self.patience.passing_s, 0.2, False
        while True:
            try:
                response = self._open(verb, kind, doing, self.patience.request_s, **options)
                try:
                    answer = _parsed(_bounded(response, doing), doing)
                    self._answered = True
                    return answer
                except (urllib3.exceptions.HTTPError, OSError) as problem:
                    raise Unanswered(_words(problem), doing) from None
                finally:
                    response.release_conn()
            except Refused as refusal:
                if refusal.status == 401 and not renewed:
                    # a token that ran out: the kubeconfig may hold, or make, a newer one
                    renewed = self._renewed()
                    if renewed:
                        continue
                    until = min(until, began + FIRST_ANSWER_S)
                elif refusal.status not in _PASSING:
                    raise
                if time.monotonic() > until:
                    if refusal.status == 401 and self._not_renewed is not None:
                        refusal.message = str(self._not_renewed)
                    raise
                pause_s = max(refusal.retry_after_s or 0, wait_s)
            except Unanswered as silence:
                if not silence.passes:
                    raise
                if not self._answered:
                    until = min(until, began + FIRST_ANSWER_S)
                if time.monotonic() > until:
                    raise
                pause_s = wait_s
            if self._stopped.wait(min(jittered(pause_s), max(0.0, until - time.monotonic()) + 0.01)):
                raise Unanswered("it was stopped", doing)
            wait_s = min(wait_s * 2, 30.0, max(0.2, self.patience.passing_s / 20))

    def _open(self, verb, kind, doing, read_s, **options):
        """Make one request and return its open response; raise ``Refused`` or ``Unanswered``."""
        if self._renew_at_s is not None and time.time() >= self._renew_at_s and not self._renewed():
            # with the old ones until then: the server says whether they still hold
            self._renew_at_s = time.time() + RENEWAL_S
        with self._lock:
            self.calls[verb, kind] = self.calls.get((verb, kind), 0) + 1
            function, arguments = self._function(verb, kind)
        timeout = (float(self.patience.request_s), float(read_s))
        try:
            response = function(*arguments, **options, _preload_content=False, _request_timeout=timeout)
            self._note_clock(response.headers.get("Date"))
            return response
        except client.ApiException as problem:
            if not problem.status:  # how the package tells of TLS
                raise Unanswered(_words(problem.reason), doing) from None
            self._answered = True
            raise Refused(problem.status, _message(problem), doing, _retry_after(problem.headers)) from None
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise Unanswered(_words(problem), doing) from None

    def _note_clock(self, date):
        with contextlib.suppress(TypeError, ValueError):
            self.ahead_s = email.utils.parsedate_to_datetime(date).timestamp() - time.time()

    def _function(self, verb, kind):
        """Return the package's function for a request, and its place in the API."""
        if kind == "Node":
            return self._core.list_node, ()
        if verb == "review":
            return self._custom.create_cluster_custom_object, ("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
        if verb == "log":
            return _named(self._core.read_namespaced_pod_log, self.namespace), ()
        if kind in CORE:
            function = getattr(self._core, f"{verb}_namespaced_{CORE[kind]}")
            return (_named(function, self.namespace) if verb in ("read", "delete") else function), (
                () if verb in ("read", "delete") else (self.namespace,)
            )
        group, version, plural = GROUPS[kind]
        function = getattr(self._custom, f"{verb}_namespaced_custom_object")
        return function, (group, version, self.namespace, plural)


def _named(function, namespace):
    """Return a function of the core API with the namespace given: it comes after the name there."""
    return lambda *arguments, name, **options: function(name, namespace, *arguments, **options)


def jittered(seconds):
    """Return a time near ``seconds``, so that many clients do not come back at once."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def _lines(
    response: urllib3.BaseHTTPResponse, doing: str, most: int, cut: bytes | None = None, rest_too: bool = False
) -> Iterator[bytes]:
    """Yield the whole lines of a stream as bytes, however it is cut into chunks; raise ``Unanswered`` where it breaks off.

    Of a line with more than ``most`` bytes the first ones are kept, and then ``cut``; without a ``cut`` such a line is an
    ``Unanswered`` that does not pass. What stands after the last newline is half a line wherever a stream can end early;
    ``rest_too`` where it cannot.
    """
    pieces, kept = [], 0

    def take(piece: bytes) -> None:
        nonlocal kept
        if kept + len(piece) > most and cut is None:
            raise Unanswered(f"one line of the answer has more than {most:,} bytes", doing, passes=False)
        if kept <= most:
            piece = piece[: most + 1 - kept]
            pieces.append(piece)
            kept += len(piece)

    def line() -> bytes:
        nonlocal kept
        whole = b"".join(pieces)
        pieces.clear()
        kept = 0
        return whole if len(whole) <= most else whole[:most] + (cut or b"")

    try:
        for chunk in response.stream(65536):
            *ended, rest = chunk.split(b"\n")
            for piece in ended:
                take(piece)
                yield line()
            take(rest)
    except (
        urllib3.exceptions.HTTPError,
        OSError,
        AttributeError,
    ) as problem:  # AttributeError: closed by another thread
        raise Unanswered(_words(problem), doing) from None
    finally:
        response.close()
    if kept and rest_too:
        yield line()


def _bounded(response: urllib3.BaseHTTPResponse, doing: str) -> bytes:
    """Return the body of an answer, of at most ``MAX_ANSWER_BYTES``."""
    raw = response.read(MAX_ANSWER_BYTES + 1)
    if len(raw) > MAX_ANSWER_BYTES:
        raise Unanswered(f"the answer has more than {MAX_ANSWER_BYTES:,} bytes", doing, passes=False)
    return raw


def _parsed(raw: bytes, doing: str) -> dict[str, Any]:
    """Return the object in an answer's JSON, without what is null in it: to Kubernetes that is the same as not there."""
    try:
        value = json.loads(raw, object_pairs_hook=_without_nulls) if raw else {}
    except RecursionError:
        raise Unanswered("the answer is nested too deeply", doing) from None
    except ValueError:
        page = b"<html" in raw[:1000].lower()
        words = "the answer is an HTML page, of a login or a proxy perhaps" if page else "the answer is cut, or no JSON"
        raise Unanswered(words, doing) from None
    if not isinstance(value, dict):
        raise Unanswered("the answer is JSON and no object of Kubernetes", doing)
    return value


def _without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value is not None}


def _checked(kind: str, thing: Any, doing: str) -> dict[str, Any]:
    try:
        kinds.check_kept(kind, thing)
    except kinds.Malformed as problem:
        raise Unanswered(f"the answer is no {kind} of Kubernetes: {problem}", doing) from None
    return thing


def _message(problem):
    """Return the server's own words of a refusal: of its Status object, else its body."""
    body = problem.body if isinstance(problem.body, str | bytes) else ""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return str(problem.body or problem.reason or "")


def _retry_after(headers):
    try:
        asked_s = float((headers or {})["Retry-After"])
    except (KeyError, TypeError, ValueError):
        return None
    return asked_s if 0.0 <= asked_s < math.inf else None


def _words(problem):
    return " ".join(str(problem).split()) or type(problem).__name__


def _plural(kind):
    return f"{kind}s"
