"""Read YAML or JSON as kubectl reads it: with the types that Kubernetes gives to scalars, and bounds on size, depth and values.

For files of Kubernetes that anybody may have written: kubeconfigs and manifests. kubectl reads them with a YAML 1.1 reader that
knows no dates and no base 60 (github.com/kubernetes-sigs/yaml): ``2026-11-26`` and ``12:30`` are text, ``yes`` is true, ``1e3`` is
a number. PyYAML's own loaders differ there, expand aliases without end, and die of recursion; here only PyYAML's parser is used.
A value that is null is left out of its mapping: to Kubernetes null and absent are the same.
``strictyaml`` reads the kit's own files, in which every scalar is text and aliases are refused. Kubernetes' files
have numbers and may have aliases, and nothing edits them in place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from runner.contract.records import Json, JsonObject
from runner.contract.text import printable

# An object in a cluster has at most 1.5 MiB (etcd's limit).
MAX_BYTES = 4 * 1024 * 1024
# A Job of the kit has 14 levels.
MAX_DEPTH = 50
# Of one file. Values that aliases repeat count again: a bomb of aliases with 673 bytes has billions.
MAX_VALUES = 200_000

_TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_NULL = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TEXT = "tag:yaml.org,2002:str"


class NotKubernetes(ValueError):
    """Bytes that are no YAML or JSON as Kubernetes takes it; the message says where and why, without a full stop."""


def documents(raw: bytes) -> list[Any]:
    """Return the documents in ``raw``, UTF-8 or UTF-16: mappings, lists, text, numbers and booleans; an empty one is None.

    The caller checks the shape of a document with ``objects.kinds``, hence the type Any. Raises ``NotKubernetes``.
    """
    if len(raw) > MAX_BYTES:
        raise NotKubernetes(f"it has {len(raw):,} bytes, and at most {MAX_BYTES:,} are read")
    if b"<html" in raw[:1000].lower() or raw.lstrip()[:14].lower() == b"<!doctype html":
        raise NotKubernetes("it is an HTML page, of a login or a proxy perhaps")
    try:
        return list(_Reader(raw).documents())
    except yaml.reader.ReaderError as problem:
        raise NotKubernetes(f"character {problem.position + 1} is not text: {problem.reason}") from None
    except yaml.MarkedYAMLError as problem:
        line = f"line {problem.problem_mark.line + 1} is" if problem.problem_mark else "it is"
        raise NotKubernetes(f"{line} not YAML: {printable(problem.problem or 'no reason is known', 200)}") from None


def kind_of(value: object) -> str:
    """Return in words what kind of value this is, for a sentence that says what was found in the place of another value."""
    if isinstance(value, str):
        return f"the text {printable(value, 60)!r}" if value else "an empty text"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "empty"


class _Reader:
    """Puts the events of PyYAML's parser together into documents."""

    def __init__(self, raw: bytes) -> None:
        self._events: Iterator[yaml.Event] = iter(yaml.parse(raw, Loader=yaml.SafeLoader))
        self._values_left = MAX_VALUES
        # name to the value and to how many values are in it
        self._anchors: dict[str, tuple[Json, int]] = {}

    def documents(self) -> Iterator[Json]:
        """Yield the documents. Raises ``NotKubernetes``, and YAML's own errors."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                yield self._value(next(self._events), 0)

    def _value(self, event: yaml.Event, depth: int) -> Json:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise _refusal(event, f"lies deeper than {MAX_DEPTH} levels")
        assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)), event
        left_before = self._values_left
        self._count(event, 1)
        value = self._new(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, left_before - self._values_left
        return value

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise _refusal(event, f"is beyond the {MAX_VALUES:,} values that are read of a file")

    def _alias(self, event: yaml.AliasEvent) -> Json:
        anchor = event.anchor or ""
        if anchor not in self._anchors:
            raise _refusal(event, f"repeats {printable(anchor, 60)}, which does not stand before it, or holds it")
        value, values = self._anchors[anchor]
        self._count(event, values)
        return _copy(value)

    def _new(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, depth: int) -> Json:
        if event.tag not in (None, "!", _TEXT):
            raise _refusal(event, f"has the tag {printable(event.tag or '', 60)}")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            values: list[Json] = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                values.append(self._value(item, depth + 1))
            return values
        return self._mapping(depth)

    def _mapping(self, depth: int) -> JsonObject:
        mapping: JsonObject = {}
        keys = set()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _refusal(event, "has a key that is no text")
            if event.value == "<<" and event.style is None:
                raise _refusal(event, "merges a mapping (<<)")
            key = event.value
            _refuse_half_characters(event)
            if key in keys:
                raise _refusal(event, f"has the key {printable(key, 60)} a second time")
            keys.add(key)
            value = self._value(next(self._events), depth + 1)
            if value is not None:
                mapping[key] = value
        return mapping


def _scalar(event: yaml.ScalarEvent) -> Json:
    """Return a scalar with the type that Kubernetes gives to it."""
    text = event.value
    _refuse_half_characters(event)
    if event.style is not None or event.tag is not None:
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _NO_NUMBER.fullmatch(text):
        raise _refusal(event, f"is {text}, which no JSON holds")
    if _INTEGER.fullmatch(text) and len(text) < 100:
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise _refusal(event, "is a number beyond what JSON holds")
        return number
    return text


def _integer(text: str) -> int | float | str:
    """Return the number that a YAML 1.1 reader makes of digits; the text itself where the digits are no number."""
    digits = text.replace("_", "")
    sign, digits = (digits[0], digits[1:]) if digits[0] in "+-" else ("", digits)
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = f"0o{digits[1:]}"
    try:
        number = int(sign + digits, 0)
    # an underscore without a digit beside it
    except ValueError:
        return text
    return number if -(2**63) <= number < 2**64 else float(number)


def _refuse_half_characters(event: yaml.ScalarEvent) -> None:
    if any("\ud800" <= character <= "\udfff" for character in event.value):
        raise _refusal(event, "has half of a surrogate pair, which is no character")


def _copy(value: Json) -> Json:
    """Return a copy of a value that an alias repeats: a change to the one value must not change the other."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _refusal(event: yaml.Event, words: str) -> NotKubernetes:
    line = f"line {event.start_mark.line + 1}" if event.start_mark else "a line"
    return NotKubernetes(f"{line} {words}")
