"""Read YAML strictly: every scalar is text; no aliases, anchors, merges, tags or duplicate keys; bounded size and depth.

PyYAML's own safe_load turns 1.10 into 1.1 and "no" into False, lets the last of two keys win, and expands merge keys
exponentially; here only its parser is used, and the events are put together by hand.
"""

import yaml

from runner.contract import files
from runner.contract.errors import InputError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 12


class Mapping(dict):
    """A mapping that knows where it stands: ``lines`` is key to line, ``spans`` is key to the span of a value on its line.

    Such a value is a scalar, or a mapping in braces; ``end`` is where the mapping itself ends.
    """

    def __init__(self):
        super().__init__()
        self.lines, self.spans, self.end = {}, {}, 0


def read(path):
    """Read one file into nested ``Mapping``, list and str. Raises ``InputError`` with file, line and what mends it."""
    advice = "Check the path, or restore it with `git checkout`."
    return loads(files.read_bytes(path, MAX_BYTES, advice=advice), path)


def loads(raw, where):
    """Parse bytes; ``where`` names the source in messages."""
    if len(raw) > MAX_BYTES:
        raise InputError(f"{where}: more than {MAX_BYTES} bytes. Restore it with `git checkout`.")
    try:
        return _Reader(raw.decode("utf-8"), where).document()
    except UnicodeDecodeError as problem:
        raise InputError(f"{where}: byte {problem.start} is not UTF-8. Restore it with `git checkout`.") from None
    except yaml.reader.ReaderError as problem:
        line, what = "", problem.reason
    except yaml.MarkedYAMLError as problem:
        assert problem.problem_mark is not None
        line, what = f"{problem.problem_mark.line + 1}:", problem.problem
    raise InputError(f"{where}:{line} not YAML: {what}. Mend that line, or restore the file with `git checkout`.")


class _Reader:
    def __init__(self, text, where):
        self._where, self._events = where, yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self):
        self._next(yaml.StreamStartEvent)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise InputError(f"{self._where}: it is empty. Restore it with `git checkout`.")
        value = self._value(next(self._events), 0)
        self._next(yaml.DocumentEndEvent)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refuse(event, "a second document stands here")
        return value

    def _next(self, kind):
        event = next(self._events)
        assert isinstance(event, kind), event

    def _value(self, event, depth):
        if isinstance(event, yaml.AliasEvent):
            raise self._refuse(event, "an alias stands here")
        if event.anchor is not None:
            raise self._refuse(event, "an anchor stands here")
        if event.tag is not None:
            raise self._refuse(event, f"the tag {event.tag} stands here")
        if depth > MAX_DEPTH:
            raise self._refuse(event, f"it is nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _scalar(self, event):
        if event.value == "" and event.style is None:
            raise self._refuse(event, "a value is missing")
        return event.value

    def _sequence(self, depth):
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        return values

    def _mapping(self, depth):
        found = Mapping()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refuse(event, "a key must be plain text")
            key = self._value(event, depth)
            if key == "<<":
                raise self._refuse(event, "a merge key stands here")
            if key in found:
                raise self._refuse(event, f"the key {key!r} stands twice (first on line {found.lines[key]})")
            value_event = next(self._events)
            found.lines[key] = _line(event)
            found[key] = self._value(value_event, depth + 1)
            if isinstance(value_event, yaml.ScalarEvent):
                found.spans[key] = _span(value_event)
            elif isinstance(value_event, yaml.MappingStartEvent) and value_event.flow_style:
                found.spans[key] = _span(value_event)[0], found[key].end
        found.end = _span(event)[1]
        return found

    def _refuse(self, event, problem):
        return InputError(
            f"{self._where}:{_line(event)}: {problem}. Mend that line, or restore the file with `git checkout`."
        )


def _line(event):
    return event.start_mark.line + 1


def _span(event):
    """Return where an event's text begins and ends, quotes included."""
    return event.start_mark.index, event.end_mark.index
