"""An origin on loopback that misbehaves, one way for each path, and remembers what it was asked."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SHA256 = "1a" * 32
LISTED = json.dumps(
    {
        "meta": {"api-version": "1.1"},
        "name": "x",
        "files": [{"filename": "x-1.0.whl", "url": "x-1.0.whl", "hashes": {"sha256": SHA256}, "yanked": False}],
    }
).encode()
LOGIN = b"<!doctype html><html><form action=/login><input type=password></form></html>"


@contextmanager
def serve(elsewhere: str = "") -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Yield the address and the list of (path, Authorization) that were asked; ``elsewhere`` is where redirections lead."""
    asked: list[tuple[str, str | None]] = []
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            way = self.path.strip("/").rpartition("/")[2]
            if way == "silent":
                ended.wait(30)
            elif way == "drip":
                self._start(200, "application/json")
                while not ended.wait(0.02):
                    self.wfile.write(b" ")
            elif way == "drip-headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not ended.wait(0.02):
                    self.wfile.write(b"y")
            elif way.isdigit():
                self._say(int(way), b"", **({"Location": f"{elsewhere}/x/"} if way.startswith("3") else {}))
            else:
                kind, body = ANSWERS.get(way, ("application/json", LISTED))
                self._say(200, body, kind)

        def _say(self, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
            if self.path.strip("/").endswith("cut"):
                headers["Content-Length"] = str(len(body) + 100)
            self._start(status, kind, **headers)
            self.wfile.write(body)

        def _start(self, status: int, kind: str, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            ended.set()
            server.shutdown()
            thread.join()


ANSWERS = {
    "html": ("text/html", LOGIN),
    "lying-html": ("application/json", LOGIN),
    "text": ("text/plain", b"the service is being mended"),
    "half": ("application/json", LISTED[:20]),
    "cut": ("application/json", LISTED[:20]),
    "list": ("application/json", b"[]"),
    "no-files": ("application/json", b'{"meta": {}}'),
    "odd-files": ("application/json", b'{"files": [null, 3]}'),
    "deep": ("application/json", b'{"files": ' + b"[" * 40_000),
    "binary": ("application/octet-stream", bytes(range(256))),
    "large": ("application/json", b" " * 70_000),
    "number": ("application/json", b'{"files": ' + b"9" * 5000 + b"}"),
}
