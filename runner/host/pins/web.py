"""Get one address of a package index or hub, with bounds on time, bytes and redirections, and a sentence for each way to fail.

``urllib`` alone hands a user's password to whatever host a redirection names, refuses addresses that hold a password, and reads
without end. ``urllib`` does find the user's proxies (``HTTPS_PROXY``, ``NO_PROXY``) and certificates.
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
    """The answer of an address. ``kind`` is its media type in lower case; ``following`` is the next page's address, or None."""

    body: bytes
    kind: str
    following: str | None

    @property
    def is_page(self) -> bool:
        """Whether the answer is HTML, made for people: a login page, say, where a program asked for data."""
        return self.kind in ("text/html", "application/xhtml+xml")


class LoginAsked(Unreachable):
    """The origin answers 401, 403 or 407; ``words`` are its status line, ``error_code`` the hub's code, empty where it gives none."""

    def __init__(self, what: str, code: int, words: str, error_code: str) -> None:
        super().__init__(f"{what}: it asks for a login, which is missing or wrong ({words})")
        self.code, self.words, self.error_code = code, words, error_code


class _Deadline:
    """Cuts connections when the time is over. A socket's own timeout begins anew with each byte that a slow server sends."""

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
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                # not the method of TLS sockets, which takes the reading thread's state away
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def lengthen(self, seconds: float) -> None:
        """Let the open connections be silent for so long from now on: the origin has answered."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.settimeout(seconds)

    def handlers(self) -> list[urllib.request.BaseHandler]:
        """Return urllib's handlers whose connections this deadline cuts."""
        return [_Http(self), _Https(self)]

    def watched(self, kind: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
        """Return a class of connections that this deadline cuts."""
        sockets = self._sockets

        class Watched(kind):  # type: ignore[misc, valid-type]  # mypy takes no base class that is a variable
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
    """Leaves redirections to ``_next_address``, which knows where a password may go."""

    def redirect_request(self, *_: object, **__: object) -> None:
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

    User and password in the address, and ``headers``, go to the host of the address alone. ``moves`` allows a redirection for good
    to another host; set it only where a hash says what must arrive. ``limit_s`` bounds the whole, redirections included.
    Raises ``InputError`` where there is nothing, or where it has moved; ``NoAnswer`` where nobody answers in ``limit_s``;
    ``Unreachable`` where a login is asked for, or the answer is broken.
    """
    limit = TIMEOUT_S if limit_s is None else limit_s
    plain, authorization = _without_user(address, what)
    private = {**authorization, **(headers or {})}
    first_origin = origin_of(plain)
    with silence.asking(first_origin) as first_s:
        most_bytes = MAX_PAGE_BYTES if max_bytes is None else max_bytes
        bounds = _Bounds(most_bytes, limit, time.monotonic() + limit, min(limit, first_s or limit))
        for _ in range(MAX_REDIRECTIONS + 1):
            sent = private if origin_of(plain) == first_origin else {}
            try:
                return _once(plain, what, {"Accept": accept, "User-Agent": "bloomz-bench", **sent}, bounds)
            except _Redirection as redirection:
                plain = _next_address(plain, redirection, what, moves)
    raise Unreachable(f"{what}: it redirected more than {MAX_REDIRECTIONS} times, at last to {secrets.mask(plain)}")


@dataclass(frozen=True)
class _Bounds:
    """The most bytes of an answer, the time limit in seconds, and the moment of the monotonic clock at which it ends.

    ``first_s`` is how long the origin may be silent before its answer begins.
    """

    max_bytes: int
    limit_s: float
    until: float
    first_s: float

    @property
    def left_s(self) -> float:
        """The seconds that are left, never 0: a timeout of 0 would make a socket not wait at all."""
        return max(0.001, self.until - time.monotonic())

    def no_whole_answer(self, what: str) -> NoAnswer:
        """Return the error of an answer that began and did not end in time."""
        return NoAnswer(f"{what}: no whole answer in {self.limit_s:g} s")


class _Redirection(Exception):
    """The origin redirects to ``place``, as the header Location has it: an address, or a part of one."""

    def __init__(self, code: int, place: str) -> None:
        super().__init__(place)
        self.code, self.place = code, place


def _once(address: str, what: str, headers: Mapping[str, str], bounds: _Bounds) -> Answer:
    """Return the answer of one address. Raises ``_Redirection``, and the errors of ``get``."""
    with _Deadline(bounds.left_s) as deadline:
        try:
            answer = _ask(address, what, headers, bounds, deadline)
        except Unreachable:
            if deadline.passed:
                raise bounds.no_whole_answer(what) from None
            raise
    # an answer that was cut may look whole
    if deadline.passed:
        raise bounds.no_whole_answer(what)
    return answer


def _ask(address: str, what: str, headers: Mapping[str, str], bounds: _Bounds, deadline: _Deadline) -> Answer:
    """Send one request, and return its answer. Raises as ``_once`` does, with any error of a connection that was cut."""
    request = urllib.request.Request(address, headers=dict(headers))  # noqa: S310 (http and https alone come here)
    opener = urllib.request.build_opener(_StopAtRedirections, *deadline.handlers())
    try:
        with opener.open(request, timeout=min(bounds.first_s, bounds.left_s)) as answer:
            deadline.lengthen(bounds.left_s)
            body = _body(answer, what, bounds)
            kind = answer.headers.get_content_type().lower()
            link = re.search(r'<([^>]*)>\s*;\s*rel="?next"?', answer.headers.get("Link", ""))
            return Answer(body, kind, urllib.parse.urljoin(address, link[1]) if link else None)
    except urllib.error.HTTPError as refusal:
        with refusal:
            if refusal.code in _REDIRECTIONS and refusal.headers.get("Location"):
                raise _Redirection(refusal.code, refusal.headers["Location"]) from None
            raise _refused(refusal, what) from None
    except TimeoutError:
        raise NoAnswer(f"{what}: no answer in {bounds.first_s:g} s") from None
    except urllib.error.URLError as problem:
        is_late = isinstance(problem.reason, TimeoutError)
        words = f"no answer in {bounds.first_s:g} s" if is_late else _plain(problem.reason)
        raise NoAnswer(f"{what}: {words}") from None
    except (ConnectionError, http.client.RemoteDisconnected) as problem:
        raise NoAnswer(f"{what}: {_plain(problem)}") from None
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unreachable(f"{what}: its answer is broken: {_plain(problem)}") from None


def _body(answer: http.client.HTTPResponse, what: str, bounds: _Bounds) -> bytes:
    """Return the bytes of an answer. Raises ``Unreachable`` for too many or too few bytes, ``NoAnswer`` when the time is over."""
    parts, size_bytes = [], 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > bounds.max_bytes:
            raise Unreachable(f"{what}: its answer has more than {bounds.max_bytes} bytes, the most that are read")
        if time.monotonic() > bounds.until:
            raise bounds.no_whole_answer(what)
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and len(announced) < 20 and size_bytes != int(announced):
        raise Unreachable(f"{what}: its answer was cut off after {size_bytes} of {announced} bytes")
    return b"".join(parts)


def _refused(refusal: urllib.error.HTTPError, what: str) -> InputError | Unreachable:
    """Return the error that an answer of 400 and above means."""
    words = (
        f"HTTP {refusal.code} {printable(refusal.headers.get('X-Error-Message') or refusal.reason or '', 100)}".rstrip()
    )
    if refusal.code in (404, 410):
        return InputError(f"{what}: there is none ({words})")
    if refusal.code in (401, 403, 407):
        return LoginAsked(what, refusal.code, words, refusal.headers.get("X-Error-Code") or "")
    later = refusal.headers.get("Retry-After") or ""
    again = (
        f"; it asks to come back in {int(later)} s" if later.isascii() and later.isdigit() and len(later) < 7 else ""
    )
    return Unreachable(f"{what}: it cannot answer now ({words}{again})")


def _next_address(address: str, redirection: _Redirection, what: str, moves: bool) -> str:
    try:
        place, _ = _without_user(urllib.parse.urljoin(address, redirection.place), what)
    except ValueError:
        raise Unreachable(f"{what}: it redirects to no address: {printable(redirection.place, 200)}") from None
    if origin_of(address).startswith("https:") and not place.startswith("https:"):
        raise Unreachable(f"{what}: it redirects from https to {printable(place, 200)}, which nothing protects")
    if redirection.code in _MOVED_FOR_GOOD and origin_of(place) != origin_of(address) and not moves:
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
    """Return the first line of a problem's words, without secrets and control characters."""
    first = (str(problem).strip().splitlines() or [""])[0] or type(problem).__name__
    return printable(secrets.mask(first), 300)
