"""The tables of events that verbs print with ``--json``, made from the classes of the events."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

from docs.markdown import table
from runner.__main__ import VERBS
from runner.contract.announce import Complaint, Event

_WORDS: dict[object, str] = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null"}


def events(verb: str) -> Iterator[type[Event]]:
    """Yield the classes of events that a verb's module defines or takes from another module, in the order of their words there."""
    for value in vars(importlib.import_module(VERBS[verb].module)).values():
        if inspect.isclass(value) and issubclass(value, Event) and value.word:
            yield value


def tables() -> str:
    """Return one section for each verb that prints events."""
    return "\n\n".join(_of_a_verb(verb) for verb in VERBS if any(events(verb)))


def _of_a_verb(verb: str) -> str:
    rows = []
    for event in events(verb):
        stream = "standard error" if issubclass(event, Complaint) else "standard output"
        rows.append((f"`{event.word}`", "", f"{_meaning(event)} On {stream}."))
        types_of_facts = typing.get_type_hints(event)
        for fact in dataclasses.fields(event):
            rows.append((f"`{event.word}.{fact.name}`", _type(types_of_facts[fact.name]), _sentence(fact)))
    return f"## {verb}\n\n{table(('event and fact', 'type', 'meaning'), rows)}"


def _meaning(event: type[Event]) -> str:
    if event.__doc__ is None:
        raise ValueError(f"{event.__name__} has no docstring, which is its row in docs/json-output.md")
    return " ".join(event.__doc__.split())


def _sentence(fact: dataclasses.Field[Any]) -> str:
    meaning: str = fact.metadata["meaning"]
    return f"{meaning[0].upper()}{meaning[1:]}."


def _type(kind: object) -> str:
    """Return the JSON type of a fact in words. Raises ``KeyError`` for a type that no fact has yet."""
    if isinstance(kind, types.UnionType):
        return " or ".join(map(_type, typing.get_args(kind)))
    if typing.get_origin(kind) is list:
        return f"list of {_type(typing.get_args(kind)[0])}"
    if typing.get_origin(kind) is typing.Literal:
        return _type(type(typing.get_args(kind)[0]))
    if typing.get_origin(kind) is dict:
        return "object"
    return _WORDS[kind]
