"""The records as types and the JSON Schema of results say the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Dict, List, Literal, Set, Tuple, Union, get_args, get_origin, get_type_hints

import pytest

from runner.contract import records, result

SCHEMA = json.loads(
    (Path(result.__file__).parent / "schema" / f"result-{result.SCHEMA}.schema.json").read_text(encoding="utf-8")
)
JSON_TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}
# The request is a record of its own, read by ``contract.request``.
READ_ELSEWHERE = {"Result.request"}


def of_schema(schema: Dict[str, Any]) -> Tuple[Set[str], Set[Any]]:
    """Return the JSON types and the words that a schema allows."""
    types: Set[str] = set()
    words: Set[Any] = set()
    for part in schema.get("anyOf", [schema]):
        if "const" in part or "enum" in part:
            words |= {part["const"]} if "const" in part else set(part["enum"])
        else:
            types |= {part["type"]} if isinstance(part["type"], str) else set(part["type"])
    return (types | {"null"} if None in words else types), words - {None}


def of_type(hint: Any) -> Tuple[Set[str], Set[Any]]:
    """Return the JSON types and the words that a Python type allows."""
    types: Set[str] = set()
    words: Set[Any] = set()
    for part in get_args(hint) if get_origin(hint) is Union else (hint,):
        if get_origin(part) is Literal:
            words |= set(get_args(part))
        else:
            kind = get_origin(part) or part
            types.add(JSON_TYPES[dict if issubclass(kind, dict) else kind])
    return types, words


def optional_keys(record: Any) -> Set[str]:
    required = getattr(records, f"_{record.__name__}", None)
    if required is not None:
        return set(record.__annotations__) - set(required.__annotations__)
    return set() if record.__total__ else set(record.__annotations__)


def differences(schema: Dict[str, Any], record: Any) -> List[str]:
    """Return where an object of the schema and its record part, one line each."""
    name, hints, properties = record.__name__, get_type_hints(record), schema["properties"]
    lines = [f"{name}.{key} stands on one side only" for key in sorted(set(hints) ^ set(properties))]
    for key in sorted(set(hints) & set(properties)):
        required = key not in optional_keys(record)
        if required != (key in schema["required"]):
            lines.append(f"{name}.{key} is required on one side only")
        lines += of_value(properties[key], hints[key], f"{name}.{key}")
    return lines


def of_value(schema: Dict[str, Any], hint: Any, where: str) -> List[str]:
    if hint is Any:
        return [] if not schema else [f"{where} is Any, and the schema says more"]
    lines = [] if of_schema(schema) == of_type(hint) else [f"{where}: {of_schema(schema)} and {of_type(hint)}"]
    for part in get_args(hint) if get_origin(hint) is Union else (hint,):
        for inner in schema.get("anyOf", [schema]):
            if hasattr(part, "__total__") and "properties" in inner:
                lines += differences(inner, part)
            elif get_origin(part) is list and isinstance(inner.get("items"), dict):
                lines += of_value(inner["items"], get_args(part)[0], f"{where}[]")
            elif part in (dict, Dict[str, Any]) and "properties" in inner and where not in READ_ELSEWHERE:
                lines.append(f"{where} has no record")
    return lines


def test_the_records_are_those_of_the_schema() -> None:
    assert differences(SCHEMA, records.Result) == []


LAUNCH = ("properties", "launches", "items", "properties")


@pytest.mark.parametrize(
    "path, value, line",
    [
        ((*LAUNCH, "load_s", "type"), "string", "Launch.load_s: "),
        ((*LAUNCH, "load_seconds"), {"type": "number"}, "Launch.load_seconds stands on one side only"),
        ((*LAUNCH, "status", "enum"), ["complete", "failed", "lost"], "Launch.status: "),
        (("properties", "launches", "items", "required"), ["index"], "Launch.load_average_1min is required on one side only"),
        ((*LAUNCH, "ranks", "items", "properties", "host", "type"), ["string", "null"], "Rank.host: "),
        ((*LAUNCH, "checks", "items", "properties", "passed", "type"), "boolean", "Check.passed: "),
        ((*LAUNCH, "untimed_s", "items", "type"), "integer", "Launch.untimed_s[]: "),
    ],
)  # fmt: skip
def test_a_schema_that_says_otherwise_is_told(path: tuple[str, ...], value: object, line: str) -> None:
    changed = copy.deepcopy(SCHEMA)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert any(difference.startswith(line) for difference in differences(changed, records.Result))
