"""Ask an API of JSON over HTTP: bounded in time and size, patient where the server asks for patience, silent about the token.

Sources of the answers: docs.github.com, "Best practices for using the REST API" and "Rate limits for the REST API" (403 or 429 with
retry-after, or with x-ratelimit-remaining 0 and x-ratelimit-reset in Unix seconds), "Using pagination in the REST API" (header link);
docs.gitlab.com, "REST API", "Pagination" (header link) and "Rate limits" (429 with Retry-After).
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message

from runner.contract import secrets, strictjson
from runner.contract.errors import DamagedResult, PublishFailed, Unreachable, UsageError
from runner.contract.records import Json, JsonObject
from runner.contract.text import first_line, printable

# Of one answer. A page of 100 comments of GitHub's largest size, 65,536 characters, has at most 26 MB.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
ANSWER_S = 30.0
# How often one call is tried, and how long a server may ask to be left alone, all tries of one call together.
TRIES = 5
MAX_WAIT_S = 300.0
# Pages of 100: more comments than a pull request can have.
MAX_PAGES = 100

_LOOPBACK = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?(?:/.*)?", re.ASCII)


class Uncertain(Exception):
    """A call that makes something was cut off: the server may have made the thing or not. The caller has to look before a new try.

    ``delay_s`` is how long the server asks to be left alone; None where it does not ask.
    """

    def __init__(self, message: str, delay_s: float | None) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class Refused(PublishFailed):
    """A forge refused a call. ``status`` is HTTP's; ``told`` is what the forge says, printable."""

    def __init__(self, message: str, status: int, told: str) -> None:
        super().__init__(message)
        self.status, self.told = status, told


@dataclass(frozen=True)
class Answer:
    """An answer: HTTP's status, the headers by lower-case name, and the JSON of the body; None for an empty body and for a file.

    ``content`` are the bytes of a file.
    """

    status: int
    headers: dict[str, str]
    body: Json
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Api:
    """An API below ``address``; ``headers`` go with every call, the token among them.

    ``sleep`` and ``now_s`` (Unix seconds) are the clock. ``show`` prints one line for each call that changes something.
    """

    address: str
    headers: Mapping[str, str] = field(repr=False)
    sleep: Callable[[float], None] = time.sleep
    now_s: Callable[[], float] = time.time
    show: Callable[[str], None] = print
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not self.address.startswith("https://") and not _LOOPBACK.fullmatch(self.address):
            raise UsageError(
                f"the address of the forge's API is {printable(secrets.mask(self.address), 200)!r}, and must begin with https://:"
                " a token travels with every call. Mend the variable that names the address."
            )

    def get(self, path: str, **query: str) -> Answer:
        """Return the answer to a GET. Raises ``Refused`` and ``Unreachable``."""
        return self._patiently("GET", self._url(path, query), None)

    def file(self, path: str, max_bytes: int) -> bytes | None:
        """Return the bytes of a file, None where there is none.

        Raises ``DamagedResult`` for a longer file, ``Refused``, ``Unreachable``.
        """
        try:
            return self._patiently("GET", self._url(path, {}), None, max_bytes).content
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    def pages(self, path: str, within: str | None = None, **query: str) -> Iterator[JsonObject]:
        """Yield the objects of a list, over all its pages; ``within`` is the key of the list where the answer is an object."""
        url: str | None = self._url(path, {**query, "per_page": "100"})
        for _ in range(MAX_PAGES):
            if url is None:
                return
            answer = self._patiently("GET", url, None)
            entries = answer.body.get(within) if within and isinstance(answer.body, dict) else answer.body
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise Unreachable(f"{self._shown(url)}: the answer is no list. Ask the forge's administrators.")
            yield from entries
            url = self._next(answer.headers.get("link", ""))
        raise PublishFailed(
            f"{self._shown(path)} has more than {MAX_PAGES} pages of 100. Close what is no longer needed."
        )

    def change(self, method: str, path: str, payload: JsonObject) -> JsonObject:
        """Make a call that changes something, POST, PATCH or PUT, and return the object of its answer.

        With ``dry_run`` nothing is asked, and the answer is empty. Raises ``Refused``, ``Unreachable`` and, for a POST that was cut off,
        ``Uncertain``.
        """
        url = self._url(path, {})
        if self.dry_run:
            self.show(f"dry run: {method} {self._shown(url)} {secrets.mask(printable(json.dumps(payload), 300))}")
            return {}
        answer = self._patiently(method, url, json.dumps(payload).encode())
        if not isinstance(answer.body, dict):
            raise Unreachable(f"{method} {self._shown(url)}: the answer is no object. Ask the forge's administrators.")
        return answer.body

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self.address}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")

    def _next(self, link: str) -> str | None:
        """Return the address of the next page, None for the last page. The token goes to no other host: an address elsewhere is refused."""
        for part in link.split(","):
            match = re.fullmatch(r'\s*<([^<>\s]{1,2000})>\s*;.*\brel="?next"?.*', part)
            if match is None:
                continue
            if not match[1].startswith(f"{self.address}/"):
                raise Unreachable(f"{self._shown(match[1])}: the next page is not below {self._shown(self.address)}.")
            return match[1]
        return None

    def _patiently(self, method: str, url: str, body: bytes | None, max_file_bytes: int | None = None) -> Answer:
        waited_s = 0.0
        for attempt in range(TRIES):
            try:
                answer = self._once(method, url, body, max_file_bytes)
            except OSError as problem:
                asked_s = None
                cut_off, why = True, first_line(secrets.mask(str(problem) or type(problem).__name__), 200)
                delay_s = 2.0**attempt
            else:
                asked_s = _asked_delay_s(answer, self.now_s())
                if answer.status < 500 and asked_s is None:
                    return self._taken(answer, method, url)
                cut_off, why = answer.status >= 500, f"HTTP {answer.status}"
                delay_s = 2.0**attempt if asked_s is None else asked_s
            # the server may have done what it did not answer
            if cut_off and method == "POST":
                raise Uncertain(f"{method} {self._shown(url)}: {why}", asked_s)
            waited_s += delay_s
            if waited_s > MAX_WAIT_S:
                why += f", and asks to wait {delay_s:.0f} s"
                break
            if attempt + 1 < TRIES:
                self.sleep(delay_s)
        raise Unreachable(f"{method} {self._shown(url)}: {why}. Try again later.")

    def _once(self, method: str, url: str, body: bytes | None, max_file_bytes: int | None) -> Answer:
        request = urllib.request.Request(url, body, dict(self.headers), method=method)  # noqa: S310 - https, or loopback
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with _OPENER.open(request, timeout=ANSWER_S) as response:
                if max_file_bytes is not None:
                    content = response.read(max_file_bytes + 1)
                    if len(content) > max_file_bytes:
                        raise DamagedResult(
                            f"{self._shown(url)} has more than {max_file_bytes} bytes. Look at the job that made it."
                        )
                    return Answer(response.status, {}, None, content)
                return _answer(response.status, response.headers, response.read(MAX_ANSWER_BYTES + 1))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return _answer(refusal.code, refusal.headers, refusal.read(MAX_ANSWER_BYTES + 1))
        except urllib.error.URLError as problem:
            raise OSError(f"no answer ({first_line(problem.reason)})") from None
        # a torn answer is no OSError
        except http.client.HTTPException as problem:
            raise OSError(f"no answer of HTTP ({type(problem).__name__})") from None

    def _taken(self, answer: Answer, method: str, url: str) -> Answer:
        """Return an answer that says yes. Raises ``Refused`` for any other, redirections among them: a token follows none."""
        if 200 <= answer.status < 300:
            return answer
        told = _told(answer.body)
        advice = {
            401: "The token is not accepted: check the variable that holds it.",
            403: "The token lacks the right: check the rights of the job or of the token.",
            404: "It is not there, or the token may not see it: check the project's name and the rights of the token.",
        }.get(answer.status, "Mend what it names.")
        raise Refused(
            f"{method} {self._shown(url)}: HTTP {answer.status}{f' ({told})' if told else ''}. {advice}",
            answer.status,
            told,
        )

    def _shown(self, address: str) -> str:
        return printable(secrets.mask(address), 300)


def again(operation: Callable[[], int], api: Api) -> int:
    """Return what ``operation`` returns; the operation looks before it makes something, and is tried again where a call was cut off.

    Raises ``Unreachable`` where the last try was cut off too.
    """
    waited_s = 0.0
    for attempt in range(TRIES):
        try:
            return operation()
        except Uncertain as problem:
            delay_s = 2.0**attempt if problem.delay_s is None else problem.delay_s
            waited_s += delay_s
            if attempt + 1 == TRIES or waited_s > MAX_WAIT_S:
                raise Unreachable(f"{problem}. Try again later.") from None
            api.sleep(delay_s)
    raise AssertionError("the last try returns or raises")


def number_of(answer: Mapping[str, Json], key: str) -> int:
    """Return the whole number below ``key`` of an answer. Raises ``Unreachable`` for an answer without one."""
    value = answer.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Unreachable(f"the forge's answer has no number {key!r}. Ask its administrators.")
    return value


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow nothing: the token would travel to where the answer points."""


_OPENER = urllib.request.build_opener(_NoRedirection)


def _answer(status: int, headers: Message, raw: bytes) -> Answer:
    if len(raw) > MAX_ANSWER_BYTES:
        raise OSError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    names = {name.lower(): value for name, value in headers.items()}
    try:
        body = strictjson.loads(raw, "the answer", _NoJson) if raw else None
    except _NoJson:
        # a proxy answers in HTML; what it says matters only where it says yes
        if 200 <= status < 300:
            raise OSError("an answer that is no JSON") from None
        body = None
    return Answer(status, names, body)


class _NoJson(Exception):
    pass


def _asked_delay_s(answer: Answer, now_s: float) -> float | None:
    """Return how long the server asks to be left alone, in s; None where it does not ask. 1 s more than it says: its clock is not ours."""
    if answer.status not in (403, 429, 503):
        return None
    after = answer.headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,6}", after):
        return float(after) + 1
    if answer.status != 503 and answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        if re.fullmatch(r"[0-9]{1,11}", reset):
            return max(float(reset) - now_s, 0.0) + 1
    # 429 without a time: GitHub's advice is to wait for at least a minute
    return 60.0 if answer.status == 429 else None


def _told(body: Json) -> str:
    """Return what a refusal says: GitHub's ``message`` and ``errors``, GitLab's ``message`` or ``error``; printable, shortened."""
    if not isinstance(body, dict):
        return ""
    parts = [body.get("message") or body.get("error"), body.get("errors")]
    words = [part if isinstance(part, str) else json.dumps(part) for part in parts if part]
    return printable(secrets.mask(" ".join(words)), 400)
