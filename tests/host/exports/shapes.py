"""Compare JSON with the shape that another tool's schema gives, field by field."""

from __future__ import annotations

from typing import Any


def problems(value: object, wanted: Any, place: str = "record") -> list[str]:
    """Return where a value is not of the shape: a map of its fields, a list of one item, or a type; ``*`` is any field."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return [f"{place} is no map"]
        unknown = [f"{place}.{key} is unknown" for key in value if key not in wanted and "*" not in wanted]
        inside = [
            problem
            for key, item in value.items()
            if key in wanted or "*" in wanted
            for problem in problems(item, wanted.get(key, wanted.get("*")), f"{place}.{key}")
        ]
        return unknown + inside
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [problem for item in value for problem in problems(item, wanted[0], place)]
    return [] if type(value) is wanted else [f"{place} is {type(value).__name__}"]
