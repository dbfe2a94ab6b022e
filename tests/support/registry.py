"""A registry on loopback that speaks the API of distribution: /v2/, tags, manifests, the begin of a push, and a token service.

The forms of its answers are those of distribution.github.io/distribution/spec/api and /spec/auth/jwt.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "bench", "a password"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "a.token"

_OCI = {kind: f"application/vnd.oci.image.{kind}.v1+json" for kind in ("config", "manifest", "index")}

# How the registry asks for a login: not at all, by name and password, or by a token of one of two forms.
Asks = Literal["nothing", "basic", "jwt", "opaque"]


class Registry:
    """Serves on loopback; a context manager.

    ``requests`` are the methods and paths of all requests, ``logins`` the headers that came with a login; ``token_service`` is the
    address that the registry names for tokens.
    """

    def __init__(
        self,
        asks: Asks = "nothing",
        grants: tuple[str, ...] = ("pull", "push"),
        status: int = 404,
        code: str = "BLOB_UPLOAD_UNKNOWN",
    ) -> None:
        """``grants`` are the actions that a token grants; ``status`` and ``code`` are the answer to an upload that nobody began."""
        self.asks, self.grants, self.status, self.code = asks, grants, status, code
        self.silent = False
        # of a repository: its tags with the digests of their manifests, or the bytes of any answer; and contents by digest
        self.tags: dict[str, dict[str, str] | bytes] = {}
        self._contents: dict[str, tuple[str, bytes]] = {}
        self.requests: list[str] = []
        self.logins: list[str] = []
        self._http = _Threads(("127.0.0.1", 0), _Handler)
        self._http.registry = self  # type: ignore[attr-defined]
        self.address = f"127.0.0.1:{self._http.server_address[1]}"
        self.token_service = f"http://{self.address}/token"

    def __enter__(self) -> Registry:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.silent = False
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def put(self, repository: str, tag: str, created: object) -> str:
        """Put an image without layers for linux/amd64 into a repository; return the digest of its list of platforms.

        ``created`` is what the image's configuration says of its moment, None for nothing.
        """
        said = {} if created is None else {"created": created}
        parts = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
        config = self._keep("config", {**parts, **said})
        manifest = self._keep(
            "manifest", {"schemaVersion": 2, "mediaType": _OCI["manifest"], "config": config, "layers": []}
        )
        amd64 = {**manifest, "platform": {"os": "linux", "architecture": "amd64"}}
        listed = self._keep("index", {"schemaVersion": 2, "mediaType": _OCI["index"], "manifests": [amd64]})
        tags = self.tags.setdefault(repository, {})
        assert isinstance(tags, dict)
        tags[tag] = str(listed["digest"])
        return tags[tag]

    def _keep(self, kind: str, value: object) -> dict[str, object]:
        """Keep a JSON value under its digest, and return its descriptor."""
        body = json.dumps(value).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self._contents[digest] = (_OCI[kind], body)
        return {"mediaType": _OCI[kind], "digest": digest, "size": len(body)}

    def content(self, repository: str, reference: str) -> tuple[str, bytes] | None:
        """Return the media type and the bytes of a manifest or blob, by tag or digest; None where there is none."""
        tags = self.tags.get(repository)
        digest = tags.get(reference, reference) if isinstance(tags, dict) else reference
        return self._contents.get(digest)

    def settings(self, home: Path) -> None:
        """Write the setting by which skopeo speaks plain HTTP to this registry into a home folder."""
        place = home / ".config" / "containers" / "registries.conf"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f'[[registry]]\nlocation = "{self.address}"\ninsecure = true\n')

    def login(self, password: str = PASSWORD) -> str:
        """Return the text of a file of logins for this registry."""
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        return json.dumps({"auths": {self.address: {"auth": auth}}})


class _Threads(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a client that waits no longer closes its side."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _registry(self) -> Registry:
        registry: Registry = self.server.registry  # type: ignore[attr-defined]
        return registry

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def _serve(self) -> None:
        registry, url = self._registry, urlsplit(self.path)
        registry.requests.append(f"{self.command} {url.path}")
        if "Authorization" in self.headers:
            registry.logins.append(self.headers["Authorization"])
        while registry.silent:
            time.sleep(0.02)
        if url.path == "/token":
            return self._token(parse_qs(url.query))
        if not self._is_allowed():
            return self._answer(401, {"WWW-Authenticate": self._challenge()})
        if url.path == "/v2/":
            return self._answer(200)
        match url.path.strip("/").split("/")[1:]:
            case [*repository, "tags", "list"]:
                return self._list("/".join(repository))
            case [*repository, "manifests" | "blobs", reference]:
                return self._send(registry.content("/".join(repository), reference))
        if self.command == "PATCH" and "/blobs/uploads/" in url.path:
            body = json.dumps({"errors": [{"code": registry.code, "message": "of an upload", "detail": {}}]}).encode()
            return self._answer(registry.status, body=body)
        return self._answer(404)

    def _list(self, repository: str) -> None:
        tags = self._registry.tags.get(repository)
        if tags is None:
            return self._refuse("NAME_UNKNOWN", "repository name not known to registry")
        body = tags if isinstance(tags, bytes) else json.dumps({"name": repository, "tags": list(tags)}).encode()
        return self._answer(200, {"Content-Type": "application/json"}, body)

    def _send(self, content: tuple[str, bytes] | None) -> None:
        if content is None:
            return self._refuse("MANIFEST_UNKNOWN", "manifest unknown")
        return self._answer(200, {"Content-Type": content[0]}, content[1])

    def _refuse(self, code: str, message: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        return self._answer(404, {"Content-Type": "application/json"}, body)

    def _challenge(self) -> str:
        if self._registry.asks == "basic":
            return 'Basic realm="here"'
        return f'Bearer realm="{self._registry.token_service}",service="here"'

    def _is_allowed(self) -> bool:
        given = self.headers.get("Authorization")
        if self._registry.asks in ("jwt", "opaque"):
            return given == f"Bearer {TOKEN}"
        return self._registry.asks == "nothing" or given == BASIC

    def _token(self, query: dict[str, list[str]]) -> None:
        given = self.headers.get("Authorization")
        if given not in (None, BASIC):
            return self._answer(401)
        _, name, _ = query["scope"][0].split(":")
        # whoever has no login may pull at most
        actions = [action for action in self._registry.grants if given or action == "pull"]
        claims = {"access": [{"type": "repository", "name": name, "actions": actions}]}
        encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        token = f"e30.{encoded}.c2ln" if self._registry.asks == "jwt" else TOKEN
        return self._answer(200, body=json.dumps({"token": token}).encode())

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
