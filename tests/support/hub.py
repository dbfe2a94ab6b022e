"""A model hub on loopback with just enough of the real one's interface for its own client. For tests."""

import hashlib
import json
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serve(repositories, sabotage=None):
    """Serve ``repositories``: (kind, name) to (revision, {path: bytes}). Yields the endpoint's address and the log of paths.

    ``sabotage(path, content)`` may return other bytes to send instead of a file's; what is less than its length is cut off.
    """
    log = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer(body=True)

        def do_HEAD(self):
            self._answer(body=False)

        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            self._answer(body=True, posted=urllib.parse.parse_qs(self.rfile.read(length).decode()))

        def _answer(self, body, posted=None):
            log.append(self.path)
            status, headers, content = _route(repositories, self.path, posted)
            start = int((self.headers.get("Range") or "bytes=0-")[len("bytes=") :].partition("-")[0])
            if start and "ETag" in headers:
                status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
                log[-1] += f" from {start}"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if body:
                sent = sabotage(self.path, content) if sabotage and "ETag" in headers else content
                self.wfile.write(sent[start:])
                self.close_connection = len(sent) < len(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", log
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _route(repositories, path, posted):
    path = urllib.parse.unquote(urllib.parse.urlsplit(path).path)
    for (kind, name), (revision, files) in repositories.items():
        api, plain = f"/api/{kind}s/{name}", f"/{'datasets/' if kind == 'dataset' else ''}{name}/resolve/"
        if path in (api, f"{api}/revision/{revision}", f"{api}/revision/main"):
            siblings = [{"rfilename": file, **_stored(file, content)} for file, content in files.items()]
            return _json(
                {
                    "id": name,
                    "sha": revision,
                    "siblings": siblings,
                    "private": False,
                    "gated": False,
                    "tags": [],
                    "downloads": 0,
                }
            )
        if path.startswith(f"{api}/commits/"):
            return _json([_commit(revision), _commit("f" * 40)])
        if path.startswith(f"{api}/tree/{revision}"):
            inside = path[len(f"{api}/tree/{revision}") :].strip("/")
            return _json([_file(file, content) for file, content in files.items() if file.startswith(inside)])
        if path.startswith(f"{api}/paths-info/{revision}"):
            return _json([_file(file, files[file]) for file in (posted or {}).get("paths", []) if file in files])
        if path.startswith(plain):
            _, _, file = path[len(plain) :].partition("/")
            if file in files:
                headers = {"ETag": f'"{_etag(file, files[file])}"', "X-Repo-Commit": revision}
                return 200, headers, files[file]
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        if path.startswith(api):
            return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such revision"}, b"{}"
    return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such repository"}, b"{}"


def _etag(path, content):
    return _stored(path, content).get("lfs", {}).get("sha256") or _blob(content)


def _stored(path, content):
    """Return how the hub describes a file: large ones by their sha256."""
    if not path.endswith((".bin", ".safetensors")):
        return {"size": len(content), "blobId": _blob(content)}
    return {
        "size": len(content),
        "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134},
    }


def _json(value):
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _file(path, content):
    return {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}


def _commit(revision):
    return {"id": revision, "title": "", "message": "", "authors": [], "date": "2023-01-01T00:00:00.000Z"}
