"""The last words of a pod: at most 4,096 bytes that the kubelet keeps with its status, when log and volume are out of reach.

They tell what was published and how it ended; a summary is never taken for the result itself.
"""

from __future__ import annotations

import os
import stat

from runner.contract import strictjson
from runner.contract.errors import DamagedResult, PublishFailed
from runner.contract.files import NotRegular, reason
from runner.contract.result import ATTEMPT
from runner.contract.secrets import mask

MAX_BYTES = 4096  # Kubernetes' limit for one container's message (pkg/kubelet/container)
SCHEMA = 1


def summary(result):
    """Return what is told of one sealed result: which it is, how it ended, and the estimate of every launch in seconds."""
    launches = result["launches"]
    return {
        "attempt": result["attempt"]["id"],
        "request": result["request"]["id"],
        "status": result["attempt"]["status"],
        "latency_s": [launch["estimate"]["latency_s"] for launch in launches if "estimate" in launch],
        "launches": len(launches),
        "sha256": result["sha256"],
    }


def write(summaries, error=None):
    """Return the text to leave: ``summaries`` in order, and the ``KitError`` that ended it all, if one did.

    What is too long is cut where it hurts least: estimates first, then the error's sentence, then the oldest summaries.
    """
    told = None if error is None else {"exit_code": error.exit_code, "message": mask(str(error))}
    kept, dropped = list(summaries), 0
    while True:
        for estimates in (True, False):
            for length in (None, 1000, 300):
                text = _text(
                    [_without_estimates(one) if not estimates else one for one in kept], _cut(told, length), dropped
                )
                if len(text.encode()) <= MAX_BYTES:
                    return text
        kept, dropped = kept[1:], dropped + 1


def leave(path: str, text: str) -> None:
    """Write a text to the file of a termination message. Raises ``PublishFailed``, for anything but a regular file at once."""
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


def read(text, where):
    """Return the mapping that ``write`` made. Raises ``DamagedResult`` for anything else, such as the end of a log."""
    value = strictjson.loads(text.encode(), where, DamagedResult)
    if not isinstance(value, dict) or value.get("kind") != "termination" or value.get("schema") != SCHEMA:
        raise DamagedResult(f"{where} is not the last word of a bench of this version. See the pod's log.")
    attempts, error = value.get("attempts"), value.get("error")
    if not isinstance(attempts, list) or not all(map(_is_summary, attempts)) or not (error is None or _is_error(error)):
        raise DamagedResult(f"{where} holds what no bench leaves there. See the pod's log.")
    return value


def _is_summary(one):
    """Return whether this names an attempt: what it says is printed, and a pod may say anything."""
    named = one.get("attempt") if isinstance(one, dict) else None
    return isinstance(named, str) and ATTEMPT.fullmatch(named) is not None


def _is_error(one):
    return isinstance(one, dict) and isinstance(one.get("message"), str)


def _text(summaries, error, dropped):
    body = {"kind": "termination", "schema": SCHEMA, "attempts": summaries, "dropped": dropped, "error": error}
    return strictjson.canonical(body).decode()


def _without_estimates(one):
    return {**one, "latency_s": None}


def _cut(error, length):
    if error is None or length is None or len(error["message"]) <= length:
        return error
    return {**error, "message": error["message"][:length] + "…"}
