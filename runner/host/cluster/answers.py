"""Read the bodies of an API server's answers within bounds: JSON objects, and the lines of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Protocol

from runner.contract.records import Json, JsonObject
from runner.host.cluster import transport
from runner.host.objects import kinds

# A page of 500 pods has 10 MB.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# A container runtime splits a line at 16 KiB, and most kubelets join the pieces again.
MAX_LOG_LINE_BYTES = 64 * 1024
CUT = f" [cut here: this line has more than {MAX_LOG_LINE_BYTES:,} bytes]"
_CHUNK_BYTES = 64 * 1024
# AttributeError: another thread has closed the stream.
_STREAM_FAILURES: tuple[type[Exception], ...] = (*transport.FAILURES, AttributeError)


class Refused(Exception):
    """The API server answered with an error.

    ``status`` is the HTTP status, ``message`` the server's own words, ``action`` what was asked ("create the Job x"), and
    ``retry_after_s`` the wait in seconds that the server asks for, if any.
    """

    def __init__(self, status: int, message: str, action: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.action, self.retry_after_s = status, message, action, retry_after_s


class Unanswered(Exception):
    """No answer came, or an answer that cannot be used.

    ``reason`` says what is wrong, ``action`` what was asked, and ``may_pass`` whether the same request may succeed later.
    """

    def __init__(self, reason: str, action: str, may_pass: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.action, self.may_pass = reason, action, may_pass


class Stream(Protocol):
    """An open answer, as another thread may end it."""

    def close(self) -> None:
        """Close the connection."""
        ...

    def shutdown(self) -> None:
        """End the connection, so that a read in another thread ends too."""
        ...


class Chunks(Protocol):
    """An open answer, as its bytes come."""

    def stream(self, amt: int) -> Iterator[bytes]:
        """Yield the bytes of the body in chunks of at most ``amt`` bytes."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Response(Stream, Chunks, Protocol):
    """An open answer, as urllib3 gives it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer."""
        ...

    def read(self, amt: int) -> bytes:
        """Return at most ``amt`` bytes of the body."""
        ...

    def release_conn(self) -> None:
        """Give the connection back to the pool."""
        ...


def shut(stream: Stream) -> None:
    """End a stream, so that a thread that waits for the stream's next byte goes on."""
    try:
        stream.shutdown()
    except (AttributeError, OSError, RuntimeError, ValueError):
        stream.close()


def read_object(response: Response, action: str) -> JsonObject:
    """Return the JSON object that is the whole body of an answer. Raises ``Unanswered`` for any other body."""
    try:
        raw = response.read(MAX_ANSWER_BYTES + 1)
    except transport.FAILURES as problem:
        raise Unanswered(words_of(problem), action) from None
    finally:
        response.release_conn()
    if len(raw) > MAX_ANSWER_BYTES:
        raise Unanswered(f"the answer has more than {MAX_ANSWER_BYTES:,} bytes", action, may_pass=False)
    return parse_object(raw, action)


def parse_object(raw: bytes, action: str) -> JsonObject:
    """Return the JSON object in some bytes, without its nulls: to Kubernetes a null and an absent key are the same.

    Raises ``Unanswered`` for bytes that hold no JSON object.
    """
    try:
        value = json.loads(raw, object_pairs_hook=_without_nulls) if raw else {}
    except RecursionError:
        raise Unanswered("the answer is nested too deeply", action) from None
    except ValueError:
        page = b"<html" in raw[:1000].lower()
        reason = (
            "the answer is an HTML page, of a login or a proxy perhaps" if page else "the answer is cut, or no JSON"
        )
        raise Unanswered(reason, action) from None
    if not isinstance(value, dict):
        raise Unanswered("the answer is JSON and no object of Kubernetes", action)
    return value


def _without_nulls(pairs: list[tuple[str, Json]]) -> JsonObject:
    return {key: value for key, value in pairs if value is not None}


def check_object(kind: str, value: Json, action: str) -> JsonObject:
    """Return an object of an answer after a check of its shape. Raises ``Unanswered`` where no API server keeps such an object."""
    try:
        kinds.check_kept(kind, value)
    except kinds.Malformed as problem:
        raise Unanswered(f"the answer is no {kind} of Kubernetes: {problem}", action) from None
    # check_kept has refused everything but a mapping
    assert isinstance(value, dict)
    return value


def read_lines(
    response: Chunks, action: str, max_bytes: int, cut: bytes | None = None, with_rest: bool = False
) -> Iterator[bytes]:
    """Yield the lines of a stream as bytes without their newlines, however the stream is split into chunks.

    A line keeps at most ``max_bytes`` bytes, followed by ``cut``; without a ``cut`` a longer line raises ``Unanswered``, which does
    not pass. Bytes after the last newline are half a line wherever a stream may end early, and are dropped; ``with_rest`` yields
    them. Raises ``Unanswered`` where the stream breaks off.
    """
    line = _Line(action, max_bytes, cut)
    try:
        for chunk in response.stream(_CHUNK_BYTES):
            *ended, rest = chunk.split(b"\n")
            for piece in ended:
                line.add(piece)
                yield line.take()
            line.add(rest)
    except _STREAM_FAILURES as problem:
        raise Unanswered(words_of(problem), action) from None
    finally:
        response.close()
    if line.kept_bytes and with_rest:
        yield line.take()


class _Line:
    """One line of a stream, put together from pieces; of a line that is too long the first bytes."""

    def __init__(self, action: str, max_bytes: int, cut: bytes | None) -> None:
        self._action, self._max_bytes, self._cut = action, max_bytes, cut
        self._pieces: list[bytes] = []
        self.kept_bytes = 0

    def add(self, piece: bytes) -> None:
        if self.kept_bytes + len(piece) > self._max_bytes and self._cut is None:
            reason = f"one line of the answer has more than {self._max_bytes:,} bytes"
            raise Unanswered(reason, self._action, may_pass=False)
        # one byte beyond the limit is kept: it shows that the line is longer
        piece = piece[: max(0, self._max_bytes + 1 - self.kept_bytes)]
        self._pieces.append(piece)
        self.kept_bytes += len(piece)

    def take(self) -> bytes:
        """Return the line, and begin the next."""
        line = b"".join(self._pieces)
        self._pieces.clear()
        self.kept_bytes = 0
        return line if len(line) <= self._max_bytes else line[: self._max_bytes] + (self._cut or b"")


def error_message(body: object, reason: str | None) -> str:
    """Return the server's own words in an answer of an error: those of its Status object, else its body, else HTTP's reason."""
    text = body if isinstance(body, str | bytes) else ""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return str(body or reason or "")


def words_of(problem: object) -> str:
    """Return the words of an exception on one line, or its type where it has none."""
    return " ".join(str(problem).split()) or type(problem).__name__
