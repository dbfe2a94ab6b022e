"""Check what an origin answers: an answer is written into the lock, so no answer is trusted."""

from __future__ import annotations

import datetime
import re

from runner.contract import patterns, strictjson
from runner.contract.errors import Unreachable
from runner.contract.records import Json

FOR_PEOPLE = "a page for people answers, such as a login's, where a program asked for data"


def json_of(raw: bytes, what: str) -> Json:
    """Return the JSON of an answer; ``what`` begins the message. Raises ``Unreachable`` for all else, such as a page of HTML."""
    if raw.lstrip()[:1] == b"<":
        raise Unreachable(f"{what}: {FOR_PEOPLE}")
    value: Json = strictjson.loads(raw, what, Unreachable)
    return value


def of_form(form: patterns.Form, value: object, what: str) -> str:
    """Return a text of an answer. Raises ``Unreachable`` for a value that is no text, or is not of the form."""
    if not isinstance(value, str):
        raise Unreachable(f"{what}: its answer must be {form.words}, none was found")
    problem = patterns.problem(form, value)
    if problem is not None:
        raise Unreachable(f"{what}: its answer {problem}")
    return value


# A moment as RFC 3339 writes it, with a fraction of any length.
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.\d{1,20})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def day_of(value: object) -> str | None:
    """Return the day in UTC of a moment that an answer holds, such as 2026-11-20; None for a value that is no moment."""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(match[1].upper() + match[2].upper().replace("Z", "+00:00"))
        return moment.astimezone(datetime.timezone.utc).date().isoformat()
    # no such day, or a zone that moves the day out of the calendar
    except (ValueError, OverflowError):
        return None
