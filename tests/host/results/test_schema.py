from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from runner.contract.records import JsonObject
from runner.host import paths
from runner.host.results.schema import Shape, compiled
from tests.support import spoiled

SHAPE = Shape(paths.RESULT_SCHEMA)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(spoiled.bodies())
def test_the_compiled_schema_says_what_jsonschema_says(body: JsonObject) -> None:
    value = {**body, "sha256": "0" * 64}
    assert SHAPE.follows(value) == SHAPE._interpreter.is_valid(value)


@pytest.mark.parametrize(
    "schema, right, wrong",
    [
        ({"type": "integer"}, [1, 1.0, -1], [True, 1.5, "1", None]),
        ({"type": ["integer", "null"], "minimum": 0}, [None, 0, 2.0], [-1, False, 0.5]),
        ({"type": "number", "minimum": 0}, [0, 0.5], [-0.5, True, "0"]),
        ({"exclusiveMinimum": 0}, [1, "x", True], [0, 0.0]),
        ({"enum": ["a", 1, None]}, ["a", 1, 1.0, None], [True, "b", []]),
        ({"const": True}, [True], [1, "true"]),
        ({"pattern": "^[0-9]+$"}, ["12", 5], ["12\n", "a", ""]),
        ({"required": ["a"]}, [{"a": 1}, []], [{}]),
        (
            {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
            [{"a": "x"}, {}, 1],
            [{"a": 1}, {"b": 1}],
        ),
        ({"additionalProperties": {"type": "string"}}, [{"a": "x"}], [{"a": 1}]),
        ({"items": {"type": "string"}, "minItems": 1, "maxItems": 2}, [["a"], "x"], [[], ["a"] * 3, [1]]),
        ({"items": {"type": "number", "minimum": 0}}, [[0, 1.5], [], "x"], [[1, True], [1, -1], [0.5, "a"], [[1]]]),
        ({"items": {"type": "integer"}}, [[1, 1.0], [-1]], [[1, 1.5], [1, None]]),
        ({"enum": ["a", "b"]}, ["a", "b"], [1, None, ["a"], {"a": 1}]),
        ({"oneOf": [{"type": "string"}, {"minimum": 3}]}, [3, 4], ["x", 1]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["x", None], [1]),
        ({"allOf": [{"type": "number"}, {"minimum": 3}]}, [3], ["x", 1]),
        ({"if": {"type": "string"}, "then": {"enum": ["a"]}, "else": {"type": "null"}}, ["a", None], ["b", 1]),
        ({}, [1, None], []),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_each_keyword_means_what_the_standard_says(
    schema: JsonObject, right: list[object], wrong: list[object]
) -> None:
    follows = compiled(schema)
    assert [value for value in right if not follows(value)] == []
    assert [value for value in wrong if follows(value)] == []


@pytest.mark.parametrize("schema", [{"maximum": 1}, {"then": {}}, {"enum": [[1]]}, {"items": {"$ref": "#"}}])
def test_a_keyword_that_is_not_known_is_no_keyword_that_is_passed_over(schema: JsonObject) -> None:
    with pytest.raises(ValueError, match="known"):
        compiled(schema)
