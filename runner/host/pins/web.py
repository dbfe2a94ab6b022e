"""Get one address of a package index or hub, with bounds on time, bytes and redirections, and a sentence for each way to fail.

``urllib`` alone hands a user's password to whatever host a redirection names, refuses addresses that hold one, and reads
without end.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from runner.contract import secrets
from runner.contract.errors import InputError, Unreachable
from runner.contract.text import printable
from runner.host.pins import silence
from runner.host.pins.silence import NoAnswer

TIMEOUT_S = 60.0
MAX_PAGE_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 2 * 1024**3
MAX_REDIRECTIONS = 5

_MOVED_FOR_GOOD = (301, 308)
_REDIRECTIONS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answer:
    """What was at an address. ``kind`` is its media type in lower case; ``following`` is the next page's address, or None."""

    body: bytes
    kind: str
    following: str | None

    @property
    def is_page(self) -> bool:
        """Whether people should look at it: a login page, say, where a program asked for data."""
        return self.kind in ("text/html", "application/xhtml+xml")


class LoginAsked(Unreachable):
    """The origin answers 401, 403 or 407; ``told`` and ``error_code`` are its words, empty where it says none."""

    def __init__(self, what: str, code: int, told: str, error_code: str) -> None:
        super().__init__(f"{what}: it asks for a login, which is missing or wrong ({told})")
        self.code, self.told, self.error_code = code, told, error_code


class _Deadline:
    """Cuts the connection when the time is over: the timeout of a socket begins anew with each byte that a slow server sends."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._timer.cancel()

    def _pass(self) -> None:
        self.passed = True
        for one in self._sockets:
            with contextlib.suppress(OSError):
                # not TLS's own, which takes the reading thread's state away
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def handlers(self) -> list[urllib.request.BaseHandler]:
        """Return what opens connections that this deadline cuts."""
        return [_Http(self), _Https(self)]

    def watched(self, kind: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
        sockets = self._sockets

        class Watched(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        return Watched


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._deadline.watched(http.client.HTTPConnection), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._deadline.watched(http.client.HTTPSConnection), req)


class _StopAtRedirections(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


def origin_of(address: str) -> str:
    """Return scheme, host and port of an address, without user and password."""
    parts = urllib.parse.urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def get(
    address: str,
    what: str,
    accept: str = "*/*",
    headers: Mapping[str, str] | None = None,
    max_bytes: int | None = None,
    limit_s: float | None = None,
    moves: bool = False,
) -> Answer:
    """Get an address of http or https; ``what`` begins every message, such as "the index, for six".

    User and password in the address, and ``headers``, go to the host of the address alone. ``moves`` follows a redirection
    for good to another host too, for what is known by its hash. Raises ``InputError`` where there is nothing, or no longer
    here; ``NoAnswer`` where nobody answers in ``limit_s``; ``Unreachable`` where a login is asked for, or the answer is broken.
    """
    limit = TIMEOUT_S if limit_s is None else limit_s
    most = MAX_PAGE_BYTES if max_bytes is None else max_bytes
    until = time.monotonic() + limit
    plain, own = _without_user(address, what)
    own = {**own, **(headers or {})}
    with silence.asking(origin_of(plain)):
        for _ in range(MAX_REDIRECTIONS + 1):
            sent = own if origin_of(plain) == origin_of(_without_user(address, what)[0]) else {}
            try:
                return _once(plain, what, {"Accept": accept, "User-Agent": "bloomz-bench", **sent}, most, until, limit)
            except _Elsewhere as there:
                plain = _next_address(plain, there, what, moves)
    raise Unreachable(f"{what}: it redirected more than {MAX_REDIRECTIONS} times, at last to {secrets.mask(plain)}")


class _Elsewhere(Exception):
    def __init__(self, code: int, place: str) -> None:
        super().__init__(place)
        self.code, self.place = code, place


def _once(address: str, what: str, headers: Mapping[str, str], max_bytes: int, until: float, limit: float) -> Answer:
    with _Deadline(max(0.001, until - time.monotonic())) as deadline:
        try:
            answer = _asked(address, what, headers, max_bytes, until, limit, deadline)
        except Unreachable:
            if deadline.passed:
                raise NoAnswer(f"{what}: no whole answer in {limit:g} s") from None
            raise
    if deadline.passed:  # an answer that was cut may look whole
        raise NoAnswer(f"{what}: no whole answer in {limit:g} s")
    return answer


def _asked(
    address: str, what: str, headers: Mapping[str, str], max_bytes: int, until: float, limit: float, deadline: _Deadline
) -> Answer:
    request = urllib.request.Request(address, headers=dict(headers))  # noqa: S310 (http and https alone come here)
    opener = urllib.request.build_opener(_StopAtRedirections, *deadline.handlers())
    try:
        with opener.open(request, timeout=max(0.001, until - time.monotonic())) as answer:
            body = _body(answer, what, max_bytes, until, limit)
            kind = answer.headers.get_content_type().lower()
            link = re.search(r'<([^>]*)>\s*;\s*rel="?next"?', answer.headers.get("Link", ""))
            return Answer(body, kind, urllib.parse.urljoin(address, link[1]) if link else None)
    except urllib.error.HTTPError as refusal:
        with refusal:
            if refusal.code in _REDIRECTIONS and refusal.headers.get("Location"):
                raise _Elsewhere(refusal.code, refusal.headers["Location"]) from None
            raise _refused(refusal, what) from None
    except TimeoutError:
        raise NoAnswer(f"{what}: no answer in {limit:g} s") from None
    except urllib.error.URLError as problem:
        late = isinstance(problem.reason, TimeoutError)
        told = f"no answer in {limit:g} s" if late else _plain(problem.reason)
        raise NoAnswer(f"{what}: {told}") from None
    except (ConnectionError, http.client.RemoteDisconnected) as problem:
        raise NoAnswer(f"{what}: {_plain(problem)}") from None
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unreachable(f"{what}: its answer is broken: {_plain(problem)}") from None


def _body(answer: http.client.HTTPResponse, what: str, max_bytes: int, until: float, limit: float) -> bytes:
    parts, size = [], 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise Unreachable(f"{what}: its answer has more than {max_bytes} bytes, the most that are read")
        if time.monotonic() > until:
            raise NoAnswer(f"{what}: no whole answer in {limit:g} s")
    wanted = answer.headers.get("Content-Length", "")
    if wanted.isdigit() and len(wanted) < 20 and size != int(wanted):
        raise Unreachable(f"{what}: its answer was cut off after {size} of {wanted} bytes")
    return b"".join(parts)


def _refused(refusal: urllib.error.HTTPError, what: str) -> InputError | Unreachable:
    told = (
        f"HTTP {refusal.code} {printable(refusal.headers.get('X-Error-Message') or refusal.reason or '', 100)}".rstrip()
    )
    if refusal.code in (404, 410):
        return InputError(f"{what}: there is none ({told})")
    if refusal.code in (401, 403, 407):
        return LoginAsked(what, refusal.code, told, refusal.headers.get("X-Error-Code") or "")
    later = refusal.headers.get("Retry-After") or ""
    again = (
        f"; it asks to come back in {int(later)} s" if later.isascii() and later.isdigit() and len(later) < 7 else ""
    )
    return Unreachable(f"{what}: it cannot answer now ({told}{again})")


def _next_address(address: str, there: _Elsewhere, what: str, moves: bool) -> str:
    try:
        place, _ = _without_user(urllib.parse.urljoin(address, there.place), what)
    except ValueError:
        raise Unreachable(f"{what}: it redirects to no address: {printable(there.place, 200)}") from None
    if origin_of(address).startswith("https:") and not place.startswith("https:"):
        raise Unreachable(f"{what}: it redirects from https to {printable(place, 200)}, which nothing protects")
    if there.code in _MOVED_FOR_GOOD and origin_of(place) != origin_of(address) and not moves:
        raise InputError(f"{what}: it has moved to {printable(place, 200)}. Name that address instead")
    return place


def _without_user(address: str, what: str) -> tuple[str, dict[str, str]]:
    """Return an address without its user part, and the header that says the same. Raises ``InputError`` for no web address."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(blank in address for blank in " \r\n\t"):
        raise InputError(f"{what}: {secrets.mask(printable(address, 200))} is no address of http or https. Mend it")
    user_part, _, host = parts.netloc.rpartition("@")
    if not user_part:
        return address, {}
    user, _, password = (urllib.parse.unquote(part) for part in user_part.partition(":"))
    for secret in (password or user, user_part.partition(":")[2]):
        secrets.remember(secret)
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    secrets.remember(token)
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {token}"}


def _plain(problem: object) -> str:
    first = (str(problem).strip().splitlines() or [""])[0] or type(problem).__name__
    return printable(secrets.mask(first), 300)
