"""JSON as the formats of other tools want it: foreign text made printable, no NaN. Text that readers of YAML read alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass

from runner.contract.text import printable


def dumps(value: object) -> str:
    """Return a value, or a record, as JSON, every text in it printable. Raises ``ValueError`` for a number that JSON does not have."""
    return json.dumps(_printable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _printable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _printable(asdict(value))
    if isinstance(value, Mapping):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_printable(item) for item in value]
    return value
