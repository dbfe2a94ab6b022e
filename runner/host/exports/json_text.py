"""JSON as the formats of other tools want it: foreign text made plain, no NaN. Readers of YAML read it alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass

from runner.host.exports.conditions import foreign


def dumps(value: object) -> str:
    """Return a value, or a record, as JSON, every text in it as ``conditions.foreign`` has it.

    Raises ``ValueError`` for a number that JSON does not have.
    """
    return json.dumps(_made_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _made_plain(value: object) -> object:
    if isinstance(value, str):
        return foreign(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _made_plain(asdict(value))
    if isinstance(value, Mapping):
        return {foreign(str(key)): _made_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_made_plain(item) for item in value]
    return value
