"""A scripted API server: plain HTTP on loopback that serves lists, watches and logs, and misbehaves in the way of its faults.

The client meets this server in tests through the real ``kubernetes`` package. The server enforces a Role and counts every request.
A fault (``tests.support.scriptedcluster.Fault``) takes effect on the requests that it matches, as often as it says.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

from runner.contract.records import JsonObject
from runner.host.objects.rights import Right
from tests.support.scriptedcluster import KINDS, NAMESPACE, OWNER_LABELS, Cluster, Fault, Request, grants

TOKEN = "scripted-token"
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)


class Server:
    """Serves a cluster on a port of loopback, with ``tls`` over HTTPS; a context manager."""

    def __init__(self, cluster: Cluster, tls: ssl.SSLContext | None = None) -> None:
        self.cluster = cluster
        self._http = _Threads(("127.0.0.1", 0), _Handler)
        self._http.cluster = cluster
        self.port: int = self._http.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.cluster.lock:
            self.cluster.closing = True
            self.cluster.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def kubeconfig(self, path: Path, token: str = TOKEN, namespace: str = NAMESPACE, server: str | None = None) -> str:
        """Write a kubeconfig that leads to this server, or to another address ``server``; return its path."""
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
    cluster: Cluster

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: in half of the tests a client goes away in the middle of an answer."""


class _Gone(Exception):
    """The client has closed the connection, or the server is to close it without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Threads
    timeout = 60
    # else each answer waits for the client's delayed ACK
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time of the cluster's clock as the header Date has it."""
        return super().date_time_string(self.server.cluster.now_s)

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_DELETE(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._serve(json.loads(self.rfile.read(length)) if length else {})

    @property
    def _cluster(self) -> Cluster:
        return self.server.cluster

    def _serve(self, body: JsonObject) -> None:
        url = urlsplit(self.path)
        parts, query = _PATH.fullmatch(url.path), {key: values[0] for key, values in parse_qs(url.query).items()}
        if parts is None and url.path != "/version/":
            self._status(404, "the server could not find the requested resource")
            return
        request = self._request(parts, query) if parts else Request("get", "", "version", "", None, None, query)
        with self._cluster.lock:
            self._cluster.requests[request.verb, request.resource] += 1
            self._cluster.headers_seen.append(self.headers.get("Authorization"))
        try:
            self._answer(request, body)
        except (_Gone, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _request(self, parts: re.Match[str], query: dict[str, str]) -> Request:
        verb = {"GET": "get" if parts["name"] else "list", "POST": "create", "DELETE": "delete"}[self.command]
        if verb == "list" and query.get("watch") in ("true", "True"):
            verb = "watch"
        return Request(
            verb, parts["group"] or "", parts["resource"], parts["sub"] or "", parts["namespace"], parts["name"], query
        )

    def _answer(self, request: Request, body: JsonObject) -> None:
        """Answer a request, in the way of the first fault that meets it. Raises ``_Gone``."""
        cluster = self._cluster
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._status(401, "Unauthorized")
        fault = cluster.fault_for(request, "status", "hang", "drop", "body")
        if fault and fault.act == "body":
            return self._body(200, fault.message.encode())
        if fault and fault.act == "status":
            return self._status(fault.status, fault.message, fault.retry_after)
        if fault and fault.act == "hang":
            self._hang()
        if fault:
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _Gone
        # every user may read it
        if request.resource == "version":
            return self._json(200, {"gitVersion": cluster.release})
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
        answers = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "delete": self._delete,
            "watch": self._watch,
        }
        return answers[request.verb](request, body)

    # --- plain requests ---

    def _review(self, body: JsonObject) -> None:
        asked = body["spec"]["resourceAttributes"]
        resource = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
        rules = self._cluster.rules
        allowed = rules is None or grants(rules, Right(asked.get("group", ""), resource, asked["verb"]))
        self._json(201, {**body, "status": {"allowed": allowed}})

    def _get(self, request: Request, _: JsonObject) -> None:
        manifest = self._cluster.get(KINDS[request.resource], request.name or "")
        if manifest is None:
            return self._status(404, f'{request.resource} "{request.name}" not found')
        return self._json(200, manifest)

    def _list(self, request: Request, _: JsonObject) -> None:
        cluster = self._cluster
        with cluster.lock:
            selected, version = self._selected(request), cluster.version
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 0)) or len(selected) + 1
        page = selected[start : start + limit]
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(selected):
            metadata["continue"] = str(start + limit)
        self._json(200, {"kind": f"{KINDS[request.resource]}List", "metadata": metadata, "items": page})

    def _selected(self, request: Request) -> list[JsonObject]:
        return [manifest for manifest in self._cluster.all(KINDS[request.resource]) if _is_selected(request, manifest)]

    def _create(self, request: Request, body: JsonObject) -> None:
        cluster = self._cluster
        with cluster.lock:
            name = body["metadata"]["name"]
            if (request.resource, name) in cluster.objects:
                return self._status(409, f'{request.resource} "{name}" already exists')
            if request.query.get("dryRun") == "All":
                return self._json(201, body)
            body["metadata"]["namespace"] = request.namespace
            created = cluster.put(body, {})
        # the object is created, and the answer is lost
        if cluster.fault_for(request, "cut"):
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _Gone
        return self._json(201, created)

    def _delete(self, request: Request, body: JsonObject) -> None:
        removed = self._cluster.remove(KINDS[request.resource], request.name or "")
        if removed is None:
            return self._status(404, f'{request.resource} "{request.name}" not found')
        if request.query.get("propagationPolicy") in ("Foreground", "Background") or body.get("propagationPolicy"):
            for pod in self._cluster.all("Pod"):
                labels = pod["metadata"].get("labels", {})
                if request.name in [labels.get(label) for label in OWNER_LABELS]:
                    self._cluster.remove("Pod", pod["metadata"]["name"])
        return self._json(200, {"kind": "Status", "status": "Success"})

    # --- streams ---

    def _watch(self, request: Request, _: JsonObject) -> None:
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
        sent = 0
        while time.monotonic() < until_s and not cluster.closing:
            with cluster.lock:
                changes = [
                    change for change in cluster.history if change.version > at and change.resource == request.resource
                ]
                if not changes:
                    # a bookmark may name no version beyond those that were looked at
                    at = max(at, cluster.version)
                    cluster.changed.wait(min(0.05, max(0.0, until_s - time.monotonic())))
                    continue
            for change in changes:
                at = change.version
                if not _is_selected(request, change.object):
                    continue
                line = _event(change.event, change.object)
                if fault and fault.act == "cut" and sent >= fault.after:
                    return self._cut(line, fault.inside)
                self._chunks(line, fault)
                if fault and fault.act == "repeat":
                    self._chunk(_event("ADDED", change.object))
                sent += 1
        self._chunk(_event("BOOKMARK", {"metadata": {"resourceVersion": str(at)}}))
        return self._end_stream()

    def _log(self, request: Request) -> None:
        cluster = self._cluster
        pod, container = request.name or "", request.query.get("container", "")
        log = cluster.logs.get((pod, container))
        if cluster.get("Pod", pod) is None:
            return self._status(404, f'pods "{pod}" not found')
        if log is None:
            return self._status(400, f"container {container} is waiting to start")
        fault = cluster.fault_for(request, "cut", "bytes")
        with cluster.lock:
            since_s = cluster.now_s - float(request.query["sinceSeconds"]) if "sinceSeconds" in request.query else 0.0
            at, generation = log.start, log.generation
        self._begin_stream("text/plain")
        follow, sent = request.query.get("follow") in ("true", "True"), 0
        while not cluster.closing:
            with cluster.lock:
                lines = log.lines[at:] if log.generation == generation else []
                at += len(lines)
                over = log.ended or not follow or log.generation != generation
                if not lines and not over:
                    cluster.changed.wait(0.05)
                    self._check_client()
                    continue
            for when_s, text in lines:
                if when_s < since_s:
                    continue
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when_s)) + f".{int(when_s % 1 * 1e9):09d}Z"
                line = f"{stamp} {text}\n".encode()
                if fault and fault.act == "cut" and sent >= fault.after:
                    return self._cut(line, fault.inside)
                self._chunks(line, fault)
                sent += 1
            if over:
                break
        return self._end_stream()

    def _hang(self) -> NoReturn:
        while not self._cluster.closing:
            self._check_client()
            time.sleep(0.02)
        raise _Gone

    def _check_client(self) -> None:
        """Raise ``_Gone`` once the client has closed its side."""
        self.connection.setblocking(False)
        try:
            if self.connection.recv(1, socket.MSG_PEEK) == b"":
                raise _Gone
        except BlockingIOError:
            pass
        finally:
            self.connection.settimeout(self.timeout)

    def _cut(self, line: bytes, inside: bool) -> None:
        """End a stream: ``inside`` a line and without a proper end, or between two lines. Raises ``_Gone`` for the first."""
        if not inside:
            return self._end_stream()
        self._chunk(line[: len(line) // 2])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        raise _Gone

    def _begin_stream(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunks(self, raw: bytes, fault: Fault | None) -> None:
        """Send a line; with the fault ``bytes`` in pieces of one byte, so that characters are split too."""
        if fault and fault.act == "bytes":
            for index in range(len(raw)):
                self._chunk(raw[index : index + 1])
        else:
            self._chunk(raw)

    def _chunk(self, raw: bytes) -> None:
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
        self._cluster.bytes_sent += len(raw)

    def _end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _json(self, status: int, value: JsonObject) -> None:
        self._body(status, json.dumps(value).encode())

    def _body(self, status: int, raw: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        self._cluster.bytes_sent += len(raw)

    def _status(self, status: int, message: str, retry_after: str | None = None) -> None:
        raw = json.dumps({"kind": "Status", "status": "Failure", "code": status, "message": message}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(raw)


def _event(event_type: str, value: JsonObject) -> bytes:
    return json.dumps({"type": event_type, "object": value}, ensure_ascii=False).encode() + b"\n"


def _is_selected(request: Request, manifest: JsonObject) -> bool:
    """Return whether an object has the labels that a request selects."""
    selector = request.query.get("labelSelector", "")
    labels = manifest.get("metadata", {}).get("labels") or {}
    return all(labels.get(part.split("=")[0]) == part.split("=")[1] for part in selector.split(",") if part)
