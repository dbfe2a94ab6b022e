"""Check what an origin answers: an answer is written into the lock, so no answer is trusted."""

from __future__ import annotations

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
