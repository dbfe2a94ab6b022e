"""Send single requests to an API server: the ``kubernetes`` package's functions, credentials made anew, the server's clock.

Requests keep the answer's body raw (``_preload_content=False``). The package's own watch repeats events after a 410 and its log
stream mangles lines (kubernetes-client/python issues 124, 811); its models refuse fields that they do not know. The package's
loader of kubeconfigs waits for plugins without a limit and reads no pod's own credentials: ``kubeconfig``, ``credentials`` and
``transport`` stand in its place.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubernetes import client

from runner.contract.errors import ClusterRefused
from runner.host.cluster import credentials, kubeconfig, transport
from runner.host.cluster.answers import Refused, Response, Unanswered, error_message, words_of

# Where neither a flag nor the kubeconfig's context names a namespace.
DEFAULT_NAMESPACE = "bloomz-bench"
# Between two tries to make credentials anew.
RENEWAL_S = 60.0


@dataclass(frozen=True)
class CustomKind:
    """Where the API keeps a kind that has no functions of its own in the ``kubernetes`` package."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of objects of the kind."""
        return f"{self.group}/{self.version}"


CUSTOM_KINDS = {
    "Job": CustomKind("batch", "v1", "jobs"),
    "MPIJob": CustomKind("kubeflow.org", "v2beta1", "mpijobs"),
    "JobSet": CustomKind("jobset.x-k8s.io", "v1alpha2", "jobsets"),
    "Workload": CustomKind("kueue.x-k8s.io", "v1beta2", "workloads"),
    "LocalQueue": CustomKind("kueue.x-k8s.io", "v1beta2", "localqueues"),
}
_REVIEW = CustomKind("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
_STORAGE_CLASS = CustomKind("storage.k8s.io", "v1", "storageclasses")
# By kind, the part of the package's function names that stands for it.
CORE_KINDS = {
    "ConfigMap": "config_map",
    "Event": "event",
    "PersistentVolumeClaim": "persistent_volume_claim",
    "Pod": "pod",
    "ServiceAccount": "service_account",
}


class Connection:
    """The way to one namespace of a cluster, as a kubeconfig's context names it. Safe to share between threads.

    ``clock_ahead_s`` is how much the server's clock is ahead of this machine's, in seconds; ``answered`` is True once the server
    has sent an answer of an API server, ``admitted`` once it has done what was asked; ``renewal_problem`` is the error of the last
    attempt to make the credentials anew that failed. Raises ``ClusterRefused`` where no kubeconfig can be used.
    """

    def __init__(
        self,
        kubeconfig_path: str | os.PathLike[str] | None,
        context: str | None,
        namespace: str | None,
        request_timeout_s: float,
        first_timeout_s: float,
    ) -> None:
        self._first_timeout_s = first_timeout_s
        self._kubeconfig_path, self._context, self._request_timeout_s = kubeconfig_path, context, request_timeout_s
        self._lock, self._renewing = threading.Lock(), threading.Lock()
        self.renewal_problem: ClusterRefused | None = None
        self.answered = self.admitted = False
        self.clock_ahead_s = 0.0
        self._load()
        self.namespace = namespace or self._target.namespace or DEFAULT_NAMESPACE

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self._target.server

    def _load(self) -> None:
        target = kubeconfig.find(self._kubeconfig_path, self._context)
        shown = credentials.of(target, self._request_timeout_s)
        configuration = client.Configuration(host=target.server)
        # the pool of connections has the proxy
        configuration.proxy = None
        api = client.ApiClient(configuration)
        api.rest_client.pool_manager = transport.connections(target, shown)
        if shown.authorization:
            api.set_default_header("Authorization", shown.authorization)
        with self._lock:
            self._target, self._renew_at_s, self._generation = target, shown.renew_at_s, object()
            self._core, self._custom = client.CoreV1Api(api), client.CustomObjectsApi(api)
            self._version = client.VersionApi(api)

    def renew(self) -> bool:
        """Read the kubeconfig again, run its plugin again, and return whether that worked; ``renewal_problem`` says why not.

        Renewing fails, for example, while somebody writes a new token. Of several threads that ask at once, one does the work.
        """
        generation = self._generation
        with self._renewing:
            if self._generation is not generation:
                return True
            try:
                self._load()
            except ClusterRefused as problem:
                self.renewal_problem = problem
                return False
            return True

    def open(self, verb: str, kind: str, action: str, read_timeout_s: float, **parameters: object) -> Response:
        """Make one request, once, and return its open answer.

        ``verb`` is one of create, read, get, list, delete, log, review and version; ``action`` says in words what is asked, for errors.
        Raises ``Refused`` or ``Unanswered``.
        """
        if self._renew_at_s is not None and time.time() >= self._renew_at_s and not self.renew():
            # the old credentials are used until then: the server says whether they still hold
            self._renew_at_s = time.time() + RENEWAL_S
        with self._lock:
            function = self._function(verb, kind)
        limit_s = math.inf if self.answered else self._first_timeout_s
        timeout = (min(limit_s, float(self._request_timeout_s)), min(limit_s, float(read_timeout_s)))
        try:
            response = function(**parameters, _preload_content=False, _request_timeout=timeout)
            self._read_clock(response.headers)
            return response
        except client.ApiException as problem:
            # the package reports a failure of TLS without a status
            if not problem.status:
                raise Unanswered(words_of(problem.reason), action) from None
            self.answered = True
            message = error_message(problem.body, problem.reason)
            raise Refused(problem.status, message, action, _retry_after_s(problem.headers)) from None
        except transport.FAILURES as problem:
            raise Unanswered(words_of(problem), action) from None

    def _read_clock(self, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self.clock_ahead_s = email.utils.parsedate_to_datetime(headers["Date"]).timestamp() - time.time()

    def _function(self, verb: str, kind: str) -> Callable[..., Response]:
        """Return the package's function for a request, with the place in the API filled in."""
        if kind == "Version":
            return self._version.get_code
        if kind == "Node":
            return self._core.list_node
        if kind == "Namespace":
            return self._core.read_namespace
        if kind == "StorageClass":
            place, listed = _STORAGE_CLASS, self._custom.list_cluster_custom_object
            return functools.partial(listed, group=place.group, version=place.version, plural=place.plural)
        if verb == "review":
            create = self._custom.create_cluster_custom_object
            return functools.partial(create, group=_REVIEW.group, version=_REVIEW.version, plural=_REVIEW.plural)
        if verb == "log":
            return functools.partial(self._core.read_namespaced_pod_log, namespace=self.namespace)
        if kind in CORE_KINDS:
            function = getattr(self._core, f"{verb}_namespaced_{CORE_KINDS[kind]}")
            return functools.partial(function, namespace=self.namespace)
        place = CUSTOM_KINDS[kind]
        return functools.partial(
            getattr(self._custom, f"{verb}_namespaced_custom_object"),
            group=place.group,
            version=place.version,
            namespace=self.namespace,
            plural=place.plural,
        )


def _retry_after_s(headers: Mapping[str, str] | None) -> float | None:
    try:
        wait_s = float((headers or {})["Retry-After"])
    except (KeyError, TypeError, ValueError):
        return None
    return wait_s if 0.0 <= wait_s < math.inf else None
