"""Ask a container registry whether a push would be taken, without pushing: does it answer, is there a login, may the login write.

The HTTP API is that of the OCI distribution specification, with the token service of distribution.github.io/distribution/spec/auth.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Literal

from runner.contract import secrets
from runner.contract.errors import Unreachable
from runner.contract.text import printable
from runner.host.images.logins import DOCKER_HUB, MAX_BYTES, Login, json_object

# How long each request may take.
TIMEOUT_S = 3.0
# The registry of names without a registry has another address.
_DOCKER_HUB_HOST = "registry-1.docker.io"

# What a registry says of an upload that it does not know (OCI distribution specification, error codes).
_UNKNOWN_UPLOAD = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}

# Why a push would or would not be taken; "unknown": the registry does not tell without a push; "in clear text": nothing was asked, since
# the login would have crossed a network unencrypted.
Verdict = Literal["granted", "refused", "no login", "unknown", "in clear text"]


@dataclass(frozen=True)
class Service:
    """A registry that answered. ``challenge`` is how it asks for a login, empty where it asks for none."""

    address: str
    challenge: str

    @property
    def is_encrypted(self) -> bool:
        """Whether the registry speaks TLS."""
        return self.address.startswith("https:")


@dataclass(frozen=True)
class PushAnswer:
    """Whether a push would be taken, and in words how that is known."""

    verdict: Verdict
    words: str


@dataclass(frozen=True)
class _Response:
    status: int
    headers: Message
    body: bytes


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a password goes to the address that was asked, and to no other."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def reach(registry: str) -> Service:
    """Return a registry (``registry.example:5000``) that answers, over TLS or without. Raises ``Unreachable`` with the reason."""
    host = _DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
    try:
        return _service(f"https://{host}")
    except ssl.SSLCertVerificationError as problem:
        raise Unreachable(f"The certificate of {registry} is not trusted: {problem.verify_message}.") from None
    except ssl.SSLError:
        # a server without TLS answers a handshake with plain text
        pass
    except OSError as problem:
        raise Unreachable(f"{registry} did not answer: {_words(problem)}.") from None
    try:
        return _service(f"http://{host}")
    except OSError as problem:
        raise Unreachable(f"{registry} did not answer: {_words(problem)}.") from None


def may_push(service: Service, repository: str, login: Login | None) -> PushAnswer:
    """Return whether the registry would take a push to a repository (``registry/team/name``). Nothing is pushed.

    A token service says what it grants, and nothing else is asked. Any other registry is asked to go on with an upload that does not
    exist. A login goes over TLS or to this host, and nowhere else. Raises ``Unreachable`` where the registry or its token service does
    not answer.
    """
    if login is not None and not _keeps_secrets(service.address):
        return PushAnswer("in clear text", "it speaks without TLS, and no login is sent to it in clear text")
    name = repository.partition("/")[2]
    authorization = {} if login is None else {"Authorization": login.authorization}
    if service.challenge.lower().startswith("bearer"):
        token, refusal = _token(service, name, authorization)
        if token is None:
            return PushAnswer("no login" if login is None else "refused", refusal)
        granted = _granted(token, name)
        if granted is not None:
            words = f"its token service grants {', '.join(granted) or 'nothing'} on {name}"
            verdict: Verdict = "granted" if {"push", "*"} & set(granted) else "no login" if login is None else "refused"
            return PushAnswer(verdict, words)
        authorization = {"Authorization": f"Bearer {token}"}
    elif service.challenge and login is None:
        return PushAnswer("no login", "it asks for a login, and there is none")
    return _asked_by_an_unknown_upload(service, name, authorization, login)


def _service(address: str) -> Service:
    """Return the registry at an address. Raises ``OSError``, and ``Unreachable`` for a server that is no registry."""
    answer = _ask("GET", f"{address}/v2/")
    if answer.status not in (200, 401):
        raise Unreachable(f"{address}/v2/ answers HTTP {answer.status}: there is no registry. Check its name and port.")
    return Service(address, answer.headers.get("WWW-Authenticate", "") if answer.status == 401 else "")


def _token(service: Service, name: str, authorization: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the token for pulls and pushes that the registry's token service gives, or None and the words of its refusal."""
    told = dict(re.findall(r'(\w+)="([^"]*)"', service.challenge))
    realm = told.get("realm", "")
    if not realm.startswith("https://" if service.is_encrypted else ("https://", "http://")) or (
        authorization and not _keeps_secrets(realm)
    ):
        return None, "it names a token service whose address cannot be used"
    query = urllib.parse.urlencode({"service": told.get("service", ""), "scope": f"repository:{name}:pull,push"})
    try:
        answer = _ask("GET", f"{realm}?{query}", authorization)
    except OSError as problem:
        raise Unreachable(f"The token service {realm} did not answer: {_words(problem)}.") from None
    if answer.status != 200:
        return None, f"its token service answers HTTP {answer.status}"
    content = json_object(answer.body)
    token = content.get("token") or content.get("access_token")
    if not isinstance(token, str):
        return None, "its token service gives no token"
    secrets.remember(token)
    return token, ""


def _granted(token: str, name: str) -> list[str] | None:
    """Return the actions that a token grants on a repository, None for a token that only the registry can read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        access = claims["access"]
        rows = [row for row in access if row["type"] == "repository" and row["name"] == name]
        return sorted({str(action) for row in rows for action in row["actions"]})
    except (ValueError, KeyError, TypeError):
        return None


def _asked_by_an_unknown_upload(
    service: Service, name: str, authorization: Mapping[str, str], login: Login | None
) -> PushAnswer:
    """Ask to go on with an upload that nobody began: a registry looks at rights first, and then for the upload. Raises ``Unreachable``.

    An upload that is begun and cancelled would leave a folder in the storage of docker-registry 2.8: there the cancelled upload still
    writes the state of its hash.
    """
    try:
        answer = _ask("PATCH", f"{service.address}/v2/{name}/blobs/uploads/{uuid.uuid4()}", authorization)
    except OSError as problem:
        raise Unreachable(f"{service.address} did not answer: {_words(problem)}.") from None
    errors = json_object(answer.body).get("errors")
    codes = {error.get("code") for error in errors if isinstance(error, dict)} if isinstance(errors, list) else set()
    if answer.status in (401, 403):
        return PushAnswer("no login" if login is None else "refused", f"it answers HTTP {answer.status} to an upload")
    if codes & _UNKNOWN_UPLOAD:
        return PushAnswer(
            "granted", f"it lets this login write to {name}" if login else f"it lets anybody write to {name}"
        )
    if "NAME_UNKNOWN" in codes:
        return PushAnswer("refused", f"it has no repository or project for {name} and makes none by itself")
    return PushAnswer("unknown", f"it answers HTTP {answer.status} to an upload")


def _keeps_secrets(address: str) -> bool:
    """Return whether nobody on the way reads what is sent to an address."""
    return address.startswith("https://") or _is_this_host(address)


def _is_this_host(address: str) -> bool:
    host = urllib.parse.urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ask(method: str, address: str, headers: Mapping[str, str] | None = None) -> _Response:
    """Make one request, and return its answer of any status. Raises ``OSError``; one about TLS is an ``ssl.SSLError``."""
    request = urllib.request.Request(  # noqa: S310 (http and https alone come here)
        address,
        data=b"" if method == "PATCH" else None,
        headers={"User-Agent": "bloomz-bench", "Accept": "application/json", **(headers or {})},
        method=method,
    )
    # urllib hands even what is for this host to a proxy, unless NO_PROXY says otherwise
    direct = [urllib.request.ProxyHandler({})] if _is_this_host(address) else []
    opener = urllib.request.build_opener(_NoRedirection, *direct)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return _Response(answer.status, answer.headers, answer.read(MAX_BYTES))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _Response(refusal.code, refusal.headers, refusal.read(MAX_BYTES))
    except urllib.error.URLError as problem:
        raise problem.reason if isinstance(problem.reason, OSError) else OSError(str(problem.reason)) from None
    except http.client.HTTPException as problem:
        raise OSError(f"no answer of HTTP ({type(problem).__name__})") from None


def _words(problem: OSError) -> str:
    if isinstance(problem, TimeoutError):
        return f"nothing came within {TIMEOUT_S:g} s"
    return printable(secrets.mask(problem.strerror or str(problem)), 200)
