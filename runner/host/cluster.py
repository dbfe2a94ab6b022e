"""The only door to a Kubernetes cluster: requests in, plain JSON objects out. It decides nothing about them.

Everything goes over the ``kubernetes`` package's calls with the body left raw (``_preload_content=False``): its own watch
repeats events after a 410 and its log stream mangles lines (kubernetes-client/python issues 124, 811), and its models refuse
fields that they do not know. Credentials are loaded by the package alone; its key for them was renamed between 35 and 36.
"""

import contextlib
import email.utils
import json
import random
import shlex
import threading
import time
from dataclasses import dataclass
from importlib import metadata

import urllib3
import yaml
from kubernetes import client, config

from runner.host.diagnosis.requests import UNKNOWN_KIND

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
PACKAGE = "kubernetes"
FIRST_ANSWER_S = 15.0  # a server that has never answered is not one that passes through a bad minute
_PASSING = (429, 500, 502, 503, 504)
_PAGE = 500


class Refused(Exception):
    """An answer other than yes: HTTP ``status``, the server's ``message``, what was asked (``doing``), ``retry_after_s``."""

    def __init__(self, status, message, doing, retry_after_s=None):
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.doing, self.retry_after_s = status, message, doing, retry_after_s


class Unanswered(Exception):
    """No answer, or one that was cut: the transport's ``words``, what was asked (``doing``)."""

    def __init__(self, words, doing):
        super().__init__(words)
        self.words, self.doing = words, doing


class NoKubeconfig(Exception):
    """No kubeconfig, or none that can be used."""


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
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.calls = {}
        self._answered = False
        self.ahead_s = 0.0
        self._load()
        self.namespace = namespace or self._own_namespace() or "bloomz-bench"

    @property
    def server(self):
        return self._configuration.host

    @property
    def place(self):
        """Return the flags, the same for kubectl and for this kit, that lead to this cluster again."""
        named = {"--kubeconfig": self.kubeconfig, "--context": self.context}
        return tuple(word for flag, value in named.items() if value for word in (flag, str(value)))

    @property
    def kubectl(self):
        return shlex.join(["kubectl", *self.place, "-n", self.namespace])

    @property
    def package_version(self):
        return metadata.version(PACKAGE)

    def hurry(self):
        """End what waits between two tries, so that something else can be done; until ``resume``, nothing is tried again."""
        self._stopped.set()

    def resume(self):
        self._stopped.clear()

    def _load(self):
        configuration = client.Configuration()
        try:
            config.load_config(
                **({"config_file": self.kubeconfig} if self.kubeconfig else {}),
                context=self.context,
                client_configuration=configuration,
            )
        except (config.ConfigException, OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as problem:
            raise NoKubeconfig(" ".join(str(problem).split())) from None
        configuration.retries = False  # tries are counted here, with their own patience
        configuration.connection_pool_maxsize = 32
        with self._lock:
            self._configuration = configuration
            api = client.ApiClient(configuration)
            self._core, self._custom = client.CoreV1Api(api), client.CustomObjectsApi(api)

    def _renewed(self):
        """Read the kubeconfig again; return whether it could be: whoever writes a new token may be at it just now."""
        try:
            self._load()
        except NoKubeconfig:
            return False
        return True

    def _own_namespace(self):
        with contextlib.suppress(config.ConfigException, OSError, KeyError):
            contexts, active = config.list_kube_config_contexts(self.kubeconfig)
            chosen = next((one for one in contexts if one["name"] == self.context), active)
            return chosen["context"].get("namespace")
        return None

    # --- the verbs ---

    def create(self, thing, dry_run=False):
        """Create an object and return it as the server keeps it; unknown fields are refused by the server."""
        kind, name = thing["kind"], thing["metadata"].get("name", "")
        options = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        doing = f"{'try to create' if dry_run else 'create'} the {kind} {name}"
        return self._ask("create", kind, doing, body=thing, **options)

    def get(self, kind, name):
        """Return an object, None if it is not there. Raises ``Refused`` for a namespace or a kind that the cluster does not know."""
        try:
            return self._ask("read" if kind in CORE else "get", kind, f"get the {kind} {name}", name=name)
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
            page = self._ask("list", kind, f"list {_plural(kind)}", **options)
            found += page.get("items") or []
            following = page["metadata"].get("continue")
            if not following:
                return found, page["metadata"].get("resourceVersion", "")

    def nodes(self):
        """Return all nodes, None where these credentials may not list them."""
        try:
            return tuple(self._ask("list", "Node", "list nodes").get("items") or ())
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
        answer = self._ask("review", "SelfSubjectAccessReview", "ask what these credentials may", body=review)
        return bool(answer.get("status", {}).get("allowed"))

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
        for line in _lines(response, doing):
            event = _parsed(line, doing)
            if event.get("type") == "ERROR":
                status = event.get("object") or {}
                raise Refused(status.get("code") or 500, status.get("message", ""), doing)
            yield event.get("type"), event.get("object") or {}

    def log(self, pod, container, since_s=None, follow=True, opened=lambda stream: None):
        """Yield the lines of a container's log as bytes with the kubelet's timestamp, from ``since_s`` seconds ago on.

        Returns when the stream ends, which with ``follow`` can be before the container does: at a rotation, say.
        """
        doing = f"read the log of {pod}"
        options = {"container": container, "follow": follow, "timestamps": True}
        if since_s is not None:
            options["since_seconds"] = max(1, round(since_s))
        response = self._open("log", "Pod", doing, self.patience.log_s, name=pod, **options)
        opened(response)
        yield from _lines(response, doing, rest_too=not follow)

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
                    return _parsed(response.read(), doing)
                except (urllib3.exceptions.HTTPError, OSError) as problem:
                    raise Unanswered(_words(problem), doing) from None
                finally:
                    response.release_conn()
            except Refused as refusal:
                if (
                    refusal.status == 401 and not renewed
                ):  # a token that ran out: the kubeconfig may hold, or make, a newer one
                    renewed = self._renewed()
                    if renewed:
                        continue
                    until = min(until, began + FIRST_ANSWER_S)
                elif refusal.status not in _PASSING:
                    raise
                if time.monotonic() > until:
                    raise
                pause_s = max(refusal.retry_after_s or 0, wait_s)
            except Unanswered:
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
        with self._lock:
            self.calls[verb, kind] = self.calls.get((verb, kind), 0) + 1
            function, arguments = self._function(verb, kind)
        timeout = (float(self.patience.request_s), float(read_s))
        try:
            response = function(*arguments, **options, _preload_content=False, _request_timeout=timeout)
            self._answered = True
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


def _lines(response, doing, rest_too=False):
    """Yield the whole lines of a stream as bytes, however it is cut into chunks; raise ``Unanswered`` where it breaks off.

    What stands after the last newline is half a line wherever a stream can end early; ``rest_too`` where it cannot.
    """
    rest = b""
    try:
        for chunk in response.stream(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
    except (
        urllib3.exceptions.HTTPError,
        OSError,
        AttributeError,
    ) as problem:  # AttributeError: closed by another thread
        raise Unanswered(_words(problem), doing) from None
    finally:
        response.close()
    if rest and rest_too:
        yield rest


def _parsed(raw, doing):
    try:
        return json.loads(raw) if raw else {}
    except ValueError:
        raise Unanswered("the answer is cut, or no JSON", doing) from None


def _message(problem):
    """Return the server's own words of a refusal: of its Status object, else its body."""
    try:
        return json.loads(problem.body)["message"]
    except (ValueError, KeyError, TypeError):
        return str(problem.body or problem.reason or "")


def _retry_after(headers):
    try:
        return max(0.0, float((headers or {})["Retry-After"]))
    except (KeyError, TypeError, ValueError):
        return None


def _words(problem):
    return " ".join(str(problem).split()) or type(problem).__name__


def _plural(kind):
    return f"{kind}s"
