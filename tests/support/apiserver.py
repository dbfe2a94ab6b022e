"""A scripted API server: plain HTTP on loopback, that keeps objects, serves lists, watches and logs, and misbehaves as it is told.

It is what the client meets in tests, through the real ``kubernetes`` package. It enforces a Role, plays the controllers that the
tests need (``Cluster.play``), and counts every request. Misbehaviour is a list of ``Fault``: each takes effect on the requests that
it matches, as often as it says.
"""

import json
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "scripted-token"
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
    "workloads": "Workload",
    "localqueues": "LocalQueue",
}
# The labels by which a pod names what it is of: a Job, MPIJob or JobSet.
OWNERS = ("batch.kubernetes.io/job-name", "training.kubeflow.org/job-name", "jobset.sigs.k8s.io/jobset-name")
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)


@dataclass
class Fault:
    """What goes wrong. ``on`` is a set of words of the request: its verb (get, list, watch, create, delete), its resource, its
    subresource (log), its name, and ``follow``.

    ``act`` is one of: ``status`` (answers ``status`` with ``message``), ``hang`` (accepts and never answers), ``drop`` (closes
    before an answer), ``cut`` (a stream ends after ``after`` items, inside of one with ``inside``, and properly without), ``error``
    (a watch tells an ERROR of ``status``), ``repeat`` (a watch tells every object twice), ``bytes`` (a stream in pieces of one
    byte), ``body`` (answers 200 with ``message`` for a body, as what is no API server does).
    """

    on: tuple
    act: str
    times: int = 1
    status: int = 500
    message: str = "scripted"
    retry_after: str | None = None
    after: int = 0
    inside: bool = False


@dataclass
class Request:
    verb: str
    group: str
    resource: str
    sub: str
    namespace: str | None
    name: str | None
    query: dict

    @property
    def words(self):
        follow = "follow" if self.query.get("follow") in ("true", "True") else ""
        return {self.verb, self.resource, self.sub, self.name or "", follow}

    @property
    def right(self):
        verb = "get" if self.sub == "log" else self.verb
        return self.group, f"{self.resource}/{self.sub}" if self.sub else self.resource, verb


@dataclass
class LogFile:
    """The log of a container as its node keeps it: lines with their time, and where rotation cut it off."""

    lines: list = field(default_factory=list)
    ended: bool = False
    start: int = 0
    generation: int = 0


class Cluster:
    """What the server knows, and who may see it. All methods may be called from tests while the server runs."""

    def __init__(self, rules=None, namespaces=(NAMESPACE,)):
        self.rules, self.namespaces = rules, set(namespaces)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects, self.history, self.logs = {}, [], {}
        self.version, self.oldest = 1000, 0
        self.requests: Counter = Counter()
        self.faults, self.used_rights = [], set()
        self.refused_rights = set()
        self.unserved = set()  # resources whose kinds this cluster does not know
        self.players, self.closing = [], False
        self.now_s = 1_790_000_000.0
        self.bytes_sent = 0
        self.headers_seen = []

    # --- objects ---

    def put(self, thing, status=None):
        """Create or change an object as a controller would, and tell all watches; return it."""
        with self.lock:
            metadata = thing.setdefault("metadata", {})
            resource = next(name for name, kind in KINDS.items() if kind == thing["kind"])
            key = resource, metadata["name"]
            event = "MODIFIED" if key in self.objects else "ADDED"
            self.version += 1
            metadata.setdefault("uid", f"uid-{self.version}")
            metadata.setdefault("namespace", NAMESPACE)
            metadata.setdefault("creationTimestamp", self.time())
            metadata["resourceVersion"] = str(self.version)
            if status is not None:
                thing["status"] = status
            self.objects[key] = json.loads(json.dumps(thing))
            self._tell(event, resource, self.objects[key])
            return self.objects[key]

    def change(self, kind, name, **status):
        """Set parts of an object's status."""
        with self.lock:
            thing = json.loads(json.dumps(self.get(kind, name)))
            thing["status"] = {**thing.get("status", {}), **status}
            return self.put(thing)

    def get(self, kind, name):
        resource = next(one for one, known in KINDS.items() if known == kind)
        with self.lock:
            return self.objects.get((resource, name))

    def all(self, kind):
        resource = next(one for one, known in KINDS.items() if known == kind)
        with self.lock:
            return [thing for (of, _), thing in self.objects.items() if of == resource]

    def remove(self, kind, name):
        resource = next(one for one, known in KINDS.items() if known == kind)
        with self.lock:
            thing = self.objects.pop((resource, name), None)
            if thing is not None:
                self.version += 1
                thing = {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self.version)}}
                self._tell("DELETED", resource, thing)
            return thing

    def forget_history(self):
        """Compact: what happened up to now can be watched no more (410)."""
        with self.lock:
            self.oldest = self.version

    def _tell(self, event, resource, thing):
        self.history.append((self.version, event, resource, thing))
        self.changed.notify_all()
        for player in self.players:
            player(event, thing)

    def time(self):
        self.now_s += 1
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now_s))

    def event(self, reason, message, about, kind="Pod"):
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

    def write_log(self, pod, container, lines, ended=False):
        with self.lock:
            log = self.logs.setdefault((pod, container), LogFile())
            for line in lines:
                self.now_s += 0.001
                log.lines.append((self.now_s, line))
            log.ended = log.ended or ended
            self.changed.notify_all()

    def rotate_log(self, pod, container, keep=0):
        """Rotate: streams that follow end, and only the last ``keep`` lines can still be read."""
        with self.lock:
            log = self.logs[pod, container]
            log.start = max(log.start, len(log.lines) - keep)
            log.generation += 1
            self.changed.notify_all()

    # --- faults ---

    def fault_for(self, request, *acts):
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.act in acts and set(fault.on) <= request.words:
                    fault.times -= 1
                    return fault
        return None

    def allowed(self, request):
        """Return whether the Role grants a request; without one all is granted."""
        if self.rules is None or request.resource == "selfsubjectaccessreviews":
            return True
        return grants(self.rules, *request.right)


def grants(rules, group, resource, verb):
    return any(group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] for rule in rules)


class Server:
    """Runs a ``Cluster`` on a port of loopback; a context manager. ``kubeconfig(path)`` writes what leads to it."""

    def __init__(self, cluster, tls=None):
        """With ``tls``, an ``ssl.SSLContext``, the server speaks HTTPS."""
        self.cluster = cluster
        self._http = _Threads(("127.0.0.1", 0), _Handler)
        self._http.cluster = cluster
        self.port = self._http.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self.cluster.lock:
            self.cluster.closing = True
            self.cluster.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def kubeconfig(self, path, token=TOKEN, namespace=NAMESPACE, server=None):
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "scripted", "cluster": {"server": server or self.url}}],
            "users": [{"name": "someone", "user": {"token": token}}],
            "contexts": [
                {"name": "scripted", "context": {"cluster": "scripted", "user": "someone", "namespace": namespace}}
            ],
            "current-context": "scripted",
        }
        path.write_text(json.dumps(config))
        return str(path)


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    cluster: "Cluster"

    def handle_error(self, request, client_address):
        """A client that went away is what half of the tests are about."""


class _Gone(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Threads
    timeout = 60
    disable_nagle_algorithm = True  # else each answer waits for the client's delayed ACK

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.server.cluster.now_s)

    def do_GET(self):
        self._serve({})

    def do_POST(self):
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_DELETE(self):
        length = int(self.headers.get("Content-Length") or 0)
        self._serve(json.loads(self.rfile.read(length)) if length else {})

    @property
    def _cluster(self):
        return self.server.cluster

    def _serve(self, body):
        url = urlsplit(self.path)
        place, query = _PATH.fullmatch(url.path), {key: one[0] for key, one in parse_qs(url.query).items()}
        if place is None:
            return self._status(404, "the server could not find the requested resource")
        request = self._request(place, query)
        with self._cluster.lock:
            self._cluster.requests[request.verb, request.resource] += 1
            self._cluster.headers_seen.append(self.headers.get("Authorization"))
        try:
            self._answer(request, body)
        except (_Gone, BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        return None

    def _request(self, place, query):
        verb = {"GET": "get" if place["name"] else "list", "POST": "create", "DELETE": "delete"}[self.command]
        if verb == "list" and query.get("watch") in ("true", "True"):
            verb = "watch"
        return Request(
            verb, place["group"] or "", place["resource"], place["sub"] or "", place["namespace"], place["name"], query
        )

    def _answer(self, request, body):
        cluster = self._cluster
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._status(401, "Unauthorized")
        fault = cluster.fault_for(request, "status", "hang", "drop", "body")
        if fault and fault.act == "body":
            return self._body(200, fault.message.encode())
        if fault and fault.act == "status":
            return self._status(fault.status, fault.message, fault.retry_after)
        if fault and fault.act == "hang":
            return self._hang()
        if fault:
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _Gone
        if not cluster.allowed(request):
            cluster.refused_rights.add(request.right)
            return self._status(403, f'{request.resource} is forbidden: User "someone" cannot {request.verb} resource')
        cluster.used_rights.add(request.right)
        if request.resource == "selfsubjectaccessreviews":
            return self._review(body)
        if request.namespace and request.namespace not in cluster.namespaces:
            return self._status(404, f'namespaces "{request.namespace}" not found')
        if request.resource not in KINDS or request.resource in cluster.unserved:
            return self._status(404, "404 page not found")
        if request.sub == "log":
            return self._log(request)
        return getattr(self, f"_{request.verb}")(request, body)

    # --- plain requests ---

    def _review(self, body):
        asked = body["spec"]["resourceAttributes"]
        resource = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
        rules = self._cluster.rules
        allowed = rules is None or grants(rules, asked.get("group", ""), resource, asked["verb"])
        self._json(201, {**body, "status": {"allowed": allowed}})

    def _get(self, request, _):
        thing = self._cluster.objects.get((request.resource, request.name))
        if thing is None:
            return self._status(404, f'{request.resource} "{request.name}" not found')
        return self._json(200, thing)

    def _list(self, request, _):
        cluster = self._cluster
        with cluster.lock:
            things, version = self._selected(request), cluster.version
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 0)) or len(things) + 1
        page = things[start : start + limit]
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(things):
            metadata["continue"] = str(start + limit)
        self._json(200, {"kind": f"{KINDS[request.resource]}List", "metadata": metadata, "items": page})

    def _selected(self, request):
        return [
            thing
            for (resource, _), thing in self._cluster.objects.items()
            if resource == request.resource and _fits(request, thing)
        ]

    def _create(self, request, body):
        cluster = self._cluster
        with cluster.lock:
            name = body["metadata"]["name"]
            if (request.resource, name) in cluster.objects:
                return self._status(409, f'{request.resource} "{name}" already exists')
            if request.query.get("dryRun") == "All":
                return self._json(201, body)
            body["metadata"]["namespace"] = request.namespace
            made = cluster.put(body, {})
        fault = cluster.fault_for(request, "cut")
        if fault:  # created, and the answer is lost
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _Gone
        return self._json(201, made)

    def _delete(self, request, body):
        thing = self._cluster.remove(KINDS[request.resource], request.name)
        if thing is None:
            return self._status(404, f'{request.resource} "{request.name}" not found')
        if request.query.get("propagationPolicy") in ("Foreground", "Background") or body.get("propagationPolicy"):
            for pod in self._cluster.all("Pod"):
                if request.name in [pod["metadata"].get("labels", {}).get(owner) for owner in OWNERS]:
                    self._cluster.remove("Pod", pod["metadata"]["name"])
        return self._json(200, {"kind": "Status", "status": "Success"})

    # --- streams ---

    def _watch(self, request, _):
        cluster = self._cluster
        until_s = time.monotonic() + float(request.query.get("timeoutSeconds", 60))
        at = int(request.query.get("resourceVersion") or 0)
        fault = cluster.fault_for(request, "cut", "error", "repeat", "bytes")
        with cluster.lock:
            if at < cluster.oldest:
                return self._status(410, f"too old resource version: {at} ({cluster.oldest})")
        self._begin_stream("application/json")
        if fault and fault.act == "error":
            self._chunk(_event("ERROR", {"kind": "Status", "code": fault.status, "message": fault.message}))
            return self._end_stream()
        told = 0
        while time.monotonic() < until_s and not cluster.closing:
            with cluster.lock:
                news = [one for one in cluster.history if one[0] > at and one[2] == request.resource]
                if not news:
                    at = max(at, cluster.version)  # a bookmark may say no more than what was looked at
                    cluster.changed.wait(min(0.05, max(0.0, until_s - time.monotonic())))
                    continue
            for version, event, _, thing in news:
                at = version
                if not _fits(request, thing):
                    continue
                line = _event(event, thing)
                if fault and fault.act == "cut" and told >= fault.after:
                    return self._cut(line, fault.inside)
                self._chunks(line, fault)
                if fault and fault.act == "repeat":
                    self._chunk(_event("ADDED", thing))
                told += 1
        self._chunk(_event("BOOKMARK", {"metadata": {"resourceVersion": str(at)}}))
        return self._end_stream()

    def _log(self, request):
        cluster = self._cluster
        pod = cluster.get("Pod", request.name)
        log = cluster.logs.get((request.name, request.query.get("container")))
        if pod is None:
            return self._status(404, f'pods "{request.name}" not found')
        if log is None:
            return self._status(400, f"container {request.query.get('container')} is waiting to start")
        fault = cluster.fault_for(request, "cut", "bytes")
        with cluster.lock:
            since_s = cluster.now_s - float(request.query["sinceSeconds"]) if "sinceSeconds" in request.query else 0.0
            at, generation = log.start, log.generation
        self._begin_stream("text/plain")
        follow, told = request.query.get("follow") in ("true", "True"), 0
        while not cluster.closing:
            with cluster.lock:
                lines = log.lines[at:] if log.generation == generation else []
                at += len(lines)
                over = log.ended or not follow or log.generation != generation
                if not lines and not over:
                    cluster.changed.wait(0.05)
                    self._still_there()
                    continue
            for when_s, text in lines:
                if when_s < since_s:
                    continue
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when_s)) + f".{int(when_s % 1 * 1e9):09d}Z"
                line = f"{stamp} {text}\n".encode()
                if fault and fault.act == "cut" and told >= fault.after:
                    return self._cut(line, fault.inside)
                self._chunks(line, fault)
                told += 1
            if over:
                break
        return self._end_stream()

    def _hang(self):
        while not self._cluster.closing:
            self._still_there()
            time.sleep(0.02)
        raise _Gone

    def _still_there(self):
        """Raise ``_Gone`` once the client has closed its side."""
        self.connection.setblocking(False)
        try:
            if self.connection.recv(1, socket.MSG_PEEK) == b"":
                raise _Gone
        except BlockingIOError:
            pass
        finally:
            self.connection.settimeout(self.timeout)

    def _cut(self, line, inside):
        """End a stream: in the middle of a line and without a proper end, or between two."""
        if not inside:
            return self._end_stream()
        self._chunk(line[: len(line) // 2])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        raise _Gone

    def _begin_stream(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunks(self, raw, fault):
        """Send a line, in pieces of one byte where that is the fault: inside of characters, too."""
        if fault and fault.act == "bytes":
            for index in range(len(raw)):
                self._chunk(raw[index : index + 1])
        else:
            self._chunk(raw)

    def _chunk(self, raw):
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
        self._cluster.bytes_sent += len(raw)

    def _end_stream(self):
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _json(self, status, value):
        self._body(status, json.dumps(value).encode())

    def _body(self, status, raw):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        self._cluster.bytes_sent += len(raw)

    def _status(self, status, message, retry_after=None):
        raw = json.dumps({"kind": "Status", "status": "Failure", "code": status, "message": message}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(raw)


def _event(kind, thing):
    return json.dumps({"type": kind, "object": thing}, ensure_ascii=False).encode() + b"\n"


def _fits(request, thing):
    selector = request.query.get("labelSelector", "")
    labels = thing.get("metadata", {}).get("labels") or {}
    return all(labels.get(part.split("=")[0]) == part.split("=")[1] for part in selector.split(",") if part)
