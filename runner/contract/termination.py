"""The termination message of a pod: at most 4,096 bytes that the kubelet keeps with its status, when log and volume are out of reach.

The message says what was published and how the bench ended; a summary is never taken for the result itself.
"""

from __future__ import annotations

import os
import stat
from typing import Literal, Sequence, TypedDict

from runner.contract import strictjson
from runner.contract.errors import DamagedResult, KitError, PublishFailed
from runner.contract.files import NotRegular, reason
from runner.contract.records import Result
from runner.contract.result import ATTEMPT
from runner.contract.secrets import mask
from runner.contract.words import AttemptStatus

# Kubernetes' limit for one container's message (pkg/kubelet/container).
MAX_BYTES = 4096
SCHEMA = 1


class Summary(TypedDict):
    """One sealed result in short; ``latency_s`` holds the estimate of every launch, null where the message had no room."""

    attempt: str
    request: str
    status: AttemptStatus
    latency_s: list[float] | None
    launches: int
    sha256: str


class LastError(TypedDict):
    """The error that ended a bench."""

    exit_code: int
    message: str


class Message(TypedDict):
    """A termination message. ``dropped`` counts the oldest summaries, for which there was no room."""

    kind: Literal["termination"]
    schema: int
    attempts: list[Summary]
    dropped: int
    error: LastError | None


def summary(result: Result) -> Summary:
    """Return the summary of one sealed result."""
    launches = result["launches"]
    return {
        "attempt": result["attempt"]["id"],
        "request": result["request"]["id"],
        "status": result["attempt"]["status"],
        "latency_s": [launch["estimate"]["latency_s"] for launch in launches if "estimate" in launch],
        "launches": len(launches),
        "sha256": result["sha256"],
    }


def write(summaries: Sequence[Summary], error: KitError | None = None) -> str:
    """Return the text to leave: ``summaries`` in order, and the error that ended the bench, if one did.

    A text that is too long loses first the estimates, then the end of the error's sentence, then the oldest summaries.
    """
    last_error: LastError | None = None
    if error is not None:
        last_error = {"exit_code": error.exit_code, "message": mask(str(error))}
    kept, dropped = list(summaries), 0
    while True:
        for shown in (kept, [_without_estimates(summary) for summary in kept]):
            for length in (None, 1000, 300):
                text = _text(shown, _cut(last_error, length), dropped)
                if len(text.encode()) <= MAX_BYTES:
                    return text
        kept, dropped = kept[1:], dropped + 1


def leave(path: str, text: str) -> None:
    """Write a text to the file of a termination message.

    Raises ``PublishFailed`` where it cannot be written, and at once where ``path`` names anything but a regular file.
    """
    try:
        if os.path.lexists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise NotRegular(path, os.stat(path).st_mode)
        # without O_NONBLOCK the open of a FIFO waits for a reader; the file is emptied only when it is known to be one
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise NotRegular(path, os.fstat(handle).st_mode)
            os.ftruncate(handle, 0)
            file.write(text)
    except OSError as problem:
        raise PublishFailed(
            f"{path} cannot be written: {reason(problem)}. Check --termination-message, or leave it out."
        ) from None


def read(text: str, where: str) -> Message:
    """Return the message that ``write`` made. Raises ``DamagedResult`` for anything else, such as the end of a log.

    A pod may say anything: the attempts' ids and the error's sentence are checked, since both are printed; no other field is.
    """
    value = strictjson.loads(text.encode(), where, DamagedResult)
    if not _is_message(value):
        raise DamagedResult(f"{where} is not the last word of a bench of this version. See the pod's log.")
    if not _is_safe_to_print(value.get("attempts"), value.get("error")):
        raise DamagedResult(f"{where} holds what no bench leaves there. See the pod's log.")
    message: Message = value
    return message


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and value.get("kind") == "termination" and value.get("schema") == SCHEMA


def _is_safe_to_print(attempts: object, error: object) -> bool:
    return isinstance(attempts, list) and all(map(_is_summary, attempts)) and (error is None or _is_error(error))


def _is_summary(value: object) -> bool:
    attempt = value.get("attempt") if isinstance(value, dict) else None
    return isinstance(attempt, str) and ATTEMPT.fullmatch(attempt) is not None


def _is_error(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("message"), str)


def _text(summaries: list[Summary], error: LastError | None, dropped: int) -> str:
    message: Message = {
        "kind": "termination",
        "schema": SCHEMA,
        "attempts": summaries,
        "dropped": dropped,
        "error": error,
    }
    return strictjson.canonical(message).decode()


def _without_estimates(summary: Summary) -> Summary:
    return {**summary, "latency_s": None}


def _cut(error: LastError | None, length: int | None) -> LastError | None:
    if error is None or length is None or len(error["message"]) <= length:
        return error
    return {**error, "message": error["message"][:length] + "…"}
