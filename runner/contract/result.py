"""A result: the immutable JSON of one attempt, sealed with the sha256 of its own body.

History of the schema; files of every version stay readable, newer ones are refused:
  1  first: request, launches with raw iterations, environment as observed, checks
  2  observations of each rank's device, variables and settings as they reached the rank, the inventory, emulated
The published JSON Schema of the newest version is ``schema/result-2.schema.json``.
"""

from __future__ import annotations

import hashlib
import re
from typing import Callable, Mapping

from runner.contract import strictjson
from runner.contract.errors import DamagedResult
from runner.contract.records import JsonObject

SCHEMA = 2

ATTEMPT = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


def seal(body: Mapping[str, object]) -> JsonObject:
    """Return a result with the sha256 of its canonical body under ``sha256``. Raises ``ValueError`` for a sealed one."""
    if "sha256" in body:
        raise ValueError("a sealed result is never sealed again")
    return {**body, "sha256": strictjson.sha256_of(body)}


def loads(raw: bytes, where: str) -> JsonObject:
    """Return a whole, unedited result of a known schema from its bytes. Raises ``DamagedResult`` for anything less."""
    result, body = strictjson.loads_and_canonical(raw, where, DamagedResult, without="sha256")
    check_seal(result, where, body)
    return result


def check_seal(result: object, where: str, body: bytes | None = None) -> None:
    """Raise ``DamagedResult`` for anything but a whole, unedited result of a known schema.

    ``body`` is the result's canonical body; it is computed where it is not given.
    """
    if not isinstance(result, dict) or result.get("kind") != "result":
        raise DamagedResult(f"{where} is not a result of this kit. Name files that `python -m runner bench` wrote.")
    schema = result.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise DamagedResult(f"{where} names no schema version. It was edited or torn; measure again.")
    if schema > SCHEMA:
        raise DamagedResult(
            f"{where} has result schema {schema}; this version reads up to {SCHEMA}. Use a newer version of the kit."
        )
    if body is None:
        body = strictjson.canonical({key: value for key, value in result.items() if key != "sha256"})
    if result.get("sha256") != hashlib.sha256(body).hexdigest():
        raise DamagedResult(
            f"{where} does not match its own sha256. It was edited or torn; fetch it again or measure again."
        )


def upgrade(result: JsonObject, where: str) -> JsonObject:
    """Return a result of any known schema in the newest schema's shape, one step for each version; its file is not changed.

    A fact that an older version did not record is null. Raises ``DamagedResult`` where a sealed result has not its schema's shape.
    """
    try:
        for version in range(result["schema"], SCHEMA):
            result = _STEPS[version](result)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise DamagedResult(f"{where} does not follow result schema {result['schema']}. Measure again.") from None
    return result


def _to_2(result: JsonObject) -> JsonObject:
    def launch(old: JsonObject) -> JsonObject:
        new = {**old, "runnable_before": None}
        if "ranks" in old:
            new["ranks"] = [{**rank, "variables": None, "watched": None} for rank in old["ranks"]]
        if "conditions" in old:
            new.update(conditions={**old["conditions"], "emulated": False}, generation=None, cannot_tell={})
        if "tokens" in old:
            new["tokens"] = {**old["tokens"], "prompt_text": None, "logits_on": None}
        return new

    environment = {**result["environment"], "inventory": None}
    return {**result, "schema": 2, "environment": environment, "launches": [launch(old) for old in result["launches"]]}


# By the version that a step upgrades from.
_STEPS: dict[int, Callable[[JsonObject], JsonObject]] = {1: _to_2}


def file_name(request_id: str, attempt_id: str) -> str:
    """Return the path of a result below the results folder."""
    return f"{request_id}/{attempt_id}.json"
