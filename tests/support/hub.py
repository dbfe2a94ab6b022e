"""A model hub on loopback with just enough of the real one's interface for its own client. For tests."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from runner.contract.records import Json, JsonObject

# Python 3.8 has no tuple[str, str] at run time
if TYPE_CHECKING:
    # (kind, name) of each repository to its revision and the bytes of its files by path.
    Repositories = Mapping[tuple[str, str], tuple[str, Mapping[str, bytes]]]
    # Status, headers and body of an answer.
    Answer = tuple[int, dict[str, str], bytes]
    # The fields of a posted form.
    Form = Mapping[str, list[str]]


# The day of every commit that the hub lists.
DAY = "2023-01-01"


@contextmanager
def serve(
    repositories: Repositories, sabotage: Callable[[str, bytes], bytes] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve repositories. Yields the endpoint's address and the log of paths that were asked for.

    ``sabotage(path, content)`` may return other bytes to send instead of a file's. Fewer bytes than the file has arrive as an
    answer that was cut off.
    """
    log: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._answer(body=True, posted=urllib.parse.parse_qs(self.rfile.read(length).decode()))

        def _answer(self, body: bool, posted: Form | None = None) -> None:
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

        def log_message(self, *arguments: object) -> None:
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


def _route(repositories: Repositories, path: str, posted: Form | None) -> Answer:
    """Return the answer to a path of the hub's interface."""
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
        if path.startswith(f"{api}/"):
            return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such revision"}, b"{}"
    return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such repository"}, b"{}"


def _etag(path: str, content: bytes) -> str:
    """Return the name of a file's content as the hub gives it: the sha256 of a large file, else the id of its blob."""
    return hashlib.sha256(content).hexdigest() if _is_large(path) else _blob(content)


def _is_large(path: str) -> bool:
    return path.endswith((".bin", ".safetensors"))


def _stored(path: str, content: bytes) -> JsonObject:
    """Return how the hub describes a file: a large file by its sha256."""
    if not _is_large(path):
        return {"size": len(content), "blobId": _blob(content)}
    return {
        "size": len(content),
        "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134},
    }


def _json(value: Json) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _blob(content: bytes) -> str:
    """Return the id that git gives to a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _file(path: str, content: bytes) -> JsonObject:
    return {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}


def _commit(revision: str) -> JsonObject:
    return {"id": revision, "title": "", "message": "", "authors": [], "date": f"{DAY}T00:00:00.000Z"}
