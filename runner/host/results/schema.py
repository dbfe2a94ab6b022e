"""Check a value against a JSON Schema, as quickly as reading the value takes.

jsonschema interprets a schema anew for every value: 6 ms for a result, where reading a result takes 1 ms. Here a schema is compiled
to functions once. The functions answer yes or no; only the words of a refusal come from jsonschema. Tests hold the two equal.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.contract.records import Json, JsonObject

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

# A test of a value that ``json`` read, which may be anything.
Test = Callable[[Any], bool]

_ANNOTATIONS = {"$schema", "$id", "title", "description"}


# A bool is no number here, as JSON Schema has it.
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def compiled(schema: JsonObject) -> Test:
    """Return a function that says whether a value, as ``json`` reads one, follows ``schema``.

    Raises ``ValueError`` for a keyword that this module does not know: no part of a schema is ignored.
    """
    keywords = [keyword for keyword in schema if keyword not in _ANNOTATIONS]
    if sorted(keywords) == ["minimum", "type"] and schema["type"] in ("number", "integer"):
        return _number(schema)
    for keyword in keywords:
        if keyword not in _KEYWORDS and _BESIDE.get(keyword) not in keywords:
            raise ValueError(f"the keyword {keyword!r} is not known here")
    # two keywords that are read together have one maker, which runs once
    makers = dict.fromkeys(_KEYWORDS[keyword] for keyword in keywords if keyword in _KEYWORDS)
    tests = [make(schema) for make in makers]
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)
    if len(tests) == 3:
        first, second, third = tests
        return lambda value: first(value) and second(value) and third(value)
    return lambda value: all(test(value) for test in tests)


def _number(schema: JsonObject) -> Test:
    """Return one function for ``type`` and ``minimum`` of a number: most values of a result are numbers."""
    test, least = _type(schema), schema["minimum"]
    if schema["type"] == "number":
        return lambda value: type(value) in (int, float) and value >= least
    return lambda value: test(value) and value >= least


def _kinds(schema: JsonObject) -> frozenset[type]:
    """Return the types of Python whose values follow ``type``."""
    names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return frozenset(kind for name in names for kind in _TYPES[name])


def _type(schema: JsonObject) -> Test:
    kinds = _kinds(schema)
    if int in kinds and float not in kinds:
        # a whole number may be written 1.0
        return lambda value: type(value) in kinds or (type(value) is float and value.is_integer())
    return lambda value: type(value) in kinds


def _one_of_values(options: Iterable[Json]) -> Test:
    known = list(options)
    if any(isinstance(option, (list, dict)) for option in known):
        raise ValueError("only plain values are known in enum and const")
    if all(isinstance(option, str) for option in known):
        words = frozenset(known)
        return lambda value: type(value) is str and value in words
    # True equals 1 in Python and not in JSON
    return lambda value: any(
        value == option and isinstance(value, bool) == isinstance(option, bool) for option in known
    )


def _pattern(schema: JsonObject) -> Test:
    search = pattern(schema["pattern"]).search
    return lambda value: type(value) is not str or search(value) is not None


def pattern(text: str) -> re.Pattern[str]:
    """Return a schema's pattern for Python, whose ``$`` would let a newline pass at the end; JSON Schema's does not."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", text))


def _properties(schema: JsonObject) -> Test:
    """Return one test for ``properties``, the values of known keys, and ``additionalProperties``, the values of all other keys."""
    known = {key: compiled(part) for key, part in schema.get("properties", {}).items()}
    other = schema.get("additionalProperties", True)
    if not isinstance(other, bool):
        fits = compiled(other)
    elif other:
        fits = _anything
    else:
        fits = _nothing

    tests = known.get

    # a loop: a generator within `all` takes half as long again, and most of a result's tests are made here
    def follow(value: Any) -> bool:  # noqa: ANN401 - a Test takes anything
        if type(value) is dict:
            for key, part in value.items():
                if not tests(key, fits)(part):
                    return False
        return True

    return follow


def _anything(_value: object) -> bool:
    return True


def _nothing(_value: object) -> bool:
    return False


def _required(schema: JsonObject) -> Test:
    names = frozenset(schema["required"])
    return lambda value: type(value) is not dict or value.keys() >= names


def _items(schema: JsonObject) -> Test:
    items: JsonObject = schema["items"]
    test = compiled(items)
    if not _of_numbers(items):
        return lambda value: type(value) is not list or all(map(test, value))
    kinds, least = _kinds(items), items.get("minimum", float("-inf"))
    # most values of a result stand in lists of numbers: their types are told apart together, and the least of them is compared
    return lambda value: (
        type(value) is not list
        or not value
        or (kinds.issuperset(map(type, value)) and min(value) >= least)
        or all(map(test, value))
    )


def _of_numbers(schema: JsonObject) -> bool:
    """Return whether a schema asks for a number alone, with or without a minimum."""
    keywords = {keyword for keyword in schema if keyword not in _ANNOTATIONS}
    return {"type"} <= keywords <= {"type", "minimum"} and schema["type"] in ("number", "integer")


def _length(schema: JsonObject) -> Test:
    least, most = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
    return lambda value: type(value) is not list or least <= len(value) <= most


def _minimum(schema: JsonObject) -> Test:
    least = schema["minimum"]
    return lambda value: type(value) not in (int, float) or value >= least


def _above(schema: JsonObject) -> Test:
    bound = schema["exclusiveMinimum"]
    return lambda value: type(value) not in (int, float) or value > bound


def _all_of(schema: JsonObject) -> Test:
    tests = [compiled(part) for part in schema["allOf"]]
    return lambda value: all(test(value) for test in tests)


def _any_of(schema: JsonObject) -> Test:
    tests = [compiled(part) for part in schema["anyOf"]]
    return lambda value: any(test(value) for test in tests)


def _one_of(schema: JsonObject) -> Test:
    tests = [compiled(part) for part in schema["oneOf"]]
    return lambda value: sum(test(value) for test in tests) == 1


def _if(schema: JsonObject) -> Test:
    asked, then, otherwise = (compiled(schema.get(key, {})) for key in ("if", "then", "else"))
    return lambda value: (then if asked(value) else otherwise)(value)


_KEYWORDS: dict[str, Callable[[JsonObject], Test]] = {
    "type": _type,
    "enum": lambda schema: _one_of_values(schema["enum"]),
    "const": lambda schema: _one_of_values([schema["const"]]),
    "pattern": _pattern,
    "properties": _properties,
    "additionalProperties": _properties,
    "required": _required,
    "items": _items,
    "minItems": _length,
    "maxItems": _length,
    "minimum": _minimum,
    "exclusiveMinimum": _above,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "if": _if,
}
# Keywords that have a meaning only beside another one.
_BESIDE = {"then": "if", "else": "if"}


class Violation(NamedTuple):
    """A place of a value, as keys and indices with slashes between them, and the problem there in jsonschema's words."""

    place: str
    problem: str


class Shape:
    """The shape that the schema in a file asks for. ``follows`` tells of a value whether it has the shape."""

    def __init__(self, path: Path) -> None:
        """Compile the schema. Raises ``ValueError`` for a schema with an unknown keyword, ``OSError`` for a missing file."""
        self._schema: JsonObject = json.loads(path.read_text(encoding="utf-8"))
        self.follows = compiled(self._schema)

    def violation(self, value: Json) -> Violation:
        """Return the first violation of the schema by a value that does not follow it."""
        error = next(iter(self._interpreter.iter_errors(value)), None)
        if error is None:
            return Violation("its top", "the value is not of the schema's shape")
        return Violation("/".join(map(str, error.absolute_path)) or "its top", error.message)

    @functools.cached_property
    def _interpreter(self) -> Validator:
        import jsonschema

        def without_newline(
            _validator: object, text: str, value: object, _schema: object
        ) -> Iterator[jsonschema.ValidationError]:
            if isinstance(value, str) and not pattern(text).search(value):
                yield jsonschema.ValidationError(f"{value!r} does not match {text!r}")

        kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": without_newline})
        return kind(self._schema)
