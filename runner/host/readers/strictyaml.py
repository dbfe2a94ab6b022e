"""Read YAML strictly: every scalar is text; no aliases, anchors, merges, tags or duplicate keys; bounded size and depth.

For the files of the kit that people edit: versions.lock and the catalog. A version there is text, so ``1.10`` must stay ``1.10``, and
each value knows its line and place, so messages can name it and ``lock_editor.edit`` can replace it. PyYAML's own safe_load turns 1.10
into 1.1 and "no" into False, lets the last of two keys win, and expands merge keys exponentially. Here only PyYAML's parser is
used, and the events are put together by hand.
``kubeyaml`` reads the files of Kubernetes, with the types that Kubernetes gives; this reader must refuse them.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterator
from typing import Union

import yaml

from runner.contract import files
from runner.contract.errors import InputError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 12
# What helps beside mending a file of the kit.
_RESTORE = "restore the file with `git checkout`"

# A text up to this size is parsed once a process: 28 ms for versions.lock, and 2 ms for a copy of what was parsed.
REMEMBERED_BYTES = 64 * 1024

# The values of strict YAML.
Value = Union[str, list["Value"], "Mapping"]


class Mapping(dict[str, Value]):
    """A mapping that knows its place: ``lines`` is key to line, ``spans`` is key to where a value on one line begins and ends.

    Such a value is a scalar, a mapping in braces or a list in brackets; ``end`` is where the mapping itself ends. Spans and ends are
    in characters from the start of the text, lines count from 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.spans: dict[str, tuple[int, int]] = {}
        self.end = 0


def read(path: str | os.PathLike[str]) -> Value:
    """Read one file. Raises ``InputError`` with file, line and the remedy."""
    advice = "Check the path, or restore it with `git checkout`."
    return loads(files.read_bytes(path, MAX_BYTES, advice=advice), path)


def loads(raw: bytes, where: str | os.PathLike[str], remedy: str = _RESTORE) -> Value:
    """Parse bytes; ``where`` names the source in messages, ``remedy`` what helps beside mending the text, without a final dot.

    Raises ``InputError`` with source, line and the remedy.
    """
    if len(raw) > MAX_BYTES:
        raise InputError(f"{where}: more than {MAX_BYTES} bytes. Make it smaller, or {remedy}.")
    if len(raw) <= REMEMBERED_BYTES:
        # the caller may change what it gets
        return copy.deepcopy(_remembered(raw, os.fspath(where), remedy))
    return _parse(raw, where, remedy)


# the lock and the tables of the catalog, each in a few versions
@functools.lru_cache(maxsize=32)
def _remembered(raw: bytes, where: str, remedy: str) -> Value:
    """Parse a text once, as long as it is among the last ones."""
    return _parse(raw, where, remedy)


def _parse(raw: bytes, where: str | os.PathLike[str], remedy: str) -> Value:
    """Parse bytes, as ``loads`` does."""
    try:
        return _Reader(raw.decode("utf-8"), where, remedy).document()
    except UnicodeDecodeError as problem:
        raise InputError(f"{where}: byte {problem.start} is not UTF-8. Mend it, or {remedy}.") from None
    except yaml.reader.ReaderError as problem:
        line, what = "", problem.reason
    except yaml.MarkedYAMLError as problem:
        assert problem.problem_mark is not None
        line, what = f"{problem.problem_mark.line + 1}:", problem.problem
    raise InputError(f"{where}:{line} not YAML: {what}. Mend that line, or {remedy}.")


class _Reader:
    """Puts the events of PyYAML's parser together into one document."""

    def __init__(self, text: str, where: str | os.PathLike[str], remedy: str) -> None:
        self._where = where
        self._remedy = remedy
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        # where the list that was read last ends
        self._list_end = 0

    def document(self) -> Value:
        """Return the one document of the text. Raises ``InputError`` for none or several, and YAML's own errors."""
        self._next(yaml.StreamStartEvent)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise InputError(f"{self._where}: it is empty. Fill it, or {self._remedy}.")
        value = self._value(next(self._events), 0)
        self._next(yaml.DocumentEndEvent)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refusal(event, "a second document stands here")
        return value

    def _next(self, kind: type[yaml.Event]) -> None:
        event = next(self._events)
        assert isinstance(event, kind), event

    def _value(self, event: yaml.Event, depth: int) -> Value:
        self._refuse_extras(event)
        if depth > MAX_DEPTH:
            raise self._refusal(event, f"it is nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _refuse_extras(self, event: yaml.Event) -> None:
        """Raise ``InputError`` for an alias, an anchor or a tag."""
        if isinstance(event, yaml.AliasEvent):
            raise self._refusal(event, "an alias stands here")
        assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)), event
        if event.anchor is not None:
            raise self._refusal(event, "an anchor stands here")
        if event.tag is not None:
            raise self._refusal(event, f"the tag {event.tag} stands here")

    def _scalar(self, event: yaml.ScalarEvent) -> str:
        if event.value == "" and event.style is None:
            raise self._refusal(event, "a value is missing")
        return event.value

    def _sequence(self, depth: int) -> list[Value]:
        values: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        self._list_end = _span(event)[1]
        return values

    def _mapping(self, depth: int) -> Mapping:
        mapping = Mapping()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(event, "a key must be plain text")
            self._refuse_extras(event)
            key = self._scalar(event)
            if key == "<<":
                raise self._refusal(event, "a merge key stands here")
            if key in mapping:
                raise self._refusal(event, f"the key {key!r} stands twice (first on line {mapping.lines[key]})")
            value_event = next(self._events)
            mapping.lines[key] = _line(event)
            mapping[key] = value = self._value(value_event, depth + 1)
            if isinstance(value_event, yaml.ScalarEvent):
                mapping.spans[key] = _span(value_event)
            elif isinstance(value_event, yaml.MappingStartEvent) and value_event.flow_style:
                assert isinstance(value, Mapping)
                mapping.spans[key] = _span(value_event)[0], value.end
            elif isinstance(value_event, yaml.SequenceStartEvent) and value_event.flow_style:
                mapping.spans[key] = _span(value_event)[0], self._list_end
        mapping.end = _span(event)[1]
        return mapping

    def _refusal(self, event: yaml.Event, problem: str) -> InputError:
        return InputError(f"{self._where}:{_line(event)}: {problem}. Mend that line, or {self._remedy}.")


def _line(event: yaml.Event) -> int:
    """Return the line, from 1, on which an event's text begins."""
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _span(event: yaml.Event) -> tuple[int, int]:
    """Return where an event's text begins and ends, quotes included, in characters from the start of the document."""
    assert event.start_mark is not None and event.end_mark is not None
    return event.start_mark.index, event.end_mark.index
