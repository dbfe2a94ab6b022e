from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.contract import result as results
from runner.contract.errors import DamagedResult
from runner.contract.records import JsonObject
from tests.support import samples


def test_a_sealed_result_is_accepted_and_never_sealed_twice() -> None:
    sealed = samples.result()
    results.check_seal(sealed, "r.json")
    with pytest.raises(ValueError, match="^a sealed result is never sealed again$"):
        results.seal(sealed)


@pytest.mark.parametrize("key", sorted(samples.body()))
def test_any_part_that_is_edited_or_lost_breaks_the_seal(key: str) -> None:
    edited = samples.result()
    edited[key] = {"other": 1} if key not in ("kind", "schema") else edited[key]
    lost = {name: value for name, value in samples.result().items() if name != key}
    for damaged in ([edited] if key not in ("kind", "schema") else []) + [lost]:
        with pytest.raises(DamagedResult):
            results.check_seal(damaged, "r.json")


@pytest.mark.parametrize(
    "value, problem",
    [
        ([], "is not a result of this kit"),
        ({"kind": "request"}, "is not a result of this kit"),
        ({"kind": "result"}, "names no schema version"),
        ({"kind": "result", "schema": True}, "names no schema version"),
        ({"kind": "result", "schema": 3}, "has result schema 3; this version reads up to 2"),
        ({"kind": "result", "schema": 0}, "names no schema version"),
        ({"kind": "result", "schema": 1}, "does not match its own sha256"),
    ],
)
def test_what_is_no_result_is_refused_with_one_sentence(value: object, problem: str) -> None:
    with pytest.raises(DamagedResult, match=problem):
        results.check_seal(value, "r.json")


def test_the_newest_schema_needs_no_upgrade() -> None:
    sealed = samples.result()
    assert results.upgrade(sealed, "r.json") == sealed


@pytest.mark.parametrize(
    "damage", [{"environment": None}, {"launches": 7}, {"launches": [None]}, {"launches": [{"ranks": 1}]}]
)
def test_an_old_result_without_its_schema_s_shape_is_refused(damage: JsonObject) -> None:
    body = {**samples.body(), "schema": 1, **damage}
    with pytest.raises(DamagedResult, match="r.json does not follow result schema 1"):
        results.upgrade(body, "r.json")


def test_what_an_older_result_did_not_record_is_null() -> None:
    body = {**samples.body(), "schema": 1}
    (launch,) = results.upgrade(body, "r.json")["launches"]
    assert (launch["generation"], launch["runnable_before"], launch["cannot_tell"]) == (None, None, {})
    assert launch["conditions"]["emulated"] is False
    assert [(rank["variables"], rank["watched"]) for rank in launch["ranks"]] == [(None, None)]
    assert (launch["tokens"]["prompt_text"], launch["tokens"]["logits_on"]) == (None, None)
    assert results.upgrade(body, "r.json")["environment"]["inventory"] is None


def test_an_attempt_is_named_as_the_published_schema_says() -> None:
    schema = Path(results.__file__).parent / "schema" / f"result-{results.SCHEMA}.schema.json"
    id_schema = json.loads(schema.read_text(encoding="utf-8"))["properties"]["attempt"]["properties"]["id"]
    assert id_schema["pattern"] == f"^{results.ATTEMPT.pattern}$"
