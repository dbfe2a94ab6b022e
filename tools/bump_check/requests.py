"""Tell in which fields the requests of a case differ between two sides, beside the pins of its stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.contract import strictjson
from runner.contract.errors import KitError
from runner.contract.text import printable

# The id is a hash of all else. The others are pins, which stand among the moved pins.
_NOT_TOLD = ("id", "stack.packages", "stack.image", "stack.requirements_sha256")

# Fields that a sentence names.
_MOST_SAID = 5


@dataclass(frozen=True)
class DifferingField:
    """A field of a case's request that differs; ``before`` and ``after`` are its values as JSON has them, None for none."""

    case: str
    field: str
    before: str | None
    after: str | None


def differing(case: str, paths: Mapping[str, str], base: str, head: str) -> list[DifferingField]:
    """Return the fields that differ between the requests of a case; ``paths`` maps a side to its request.

    A side without a request, or with one that cannot be read, tells none: the launches of this side say why.
    """
    try:
        before, after = (dict(_leaves(strictjson.read(paths[side]), "")) for side in (base, head))
    except (KitError, LookupError, ValueError):
        return []
    return [
        DifferingField(case, field, before.get(field), after.get(field))
        for field in dict.fromkeys([*before, *after])
        if before.get(field) != after.get(field)
        and not any(field == name or field.startswith(f"{name}.") for name in _NOT_TOLD)
    ]


def said(fields: Sequence[DifferingField]) -> str:
    """Return the fields in words, the first of them by name."""
    named = [
        f"{printable(each.case, 60)} {printable(each.field, 60)} {_value(each.before)} -> {_value(each.after)}"
        for each in fields[:_MOST_SAID]
    ]
    more = len(fields) - _MOST_SAID
    return ", ".join([*named, *([f"{more} more"] if more > 0 else [])])


def _value(value: str | None) -> str:
    return "not there" if value is None else printable(value, 60)


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield each leaf of a JSON value by its path of keys, joined by dots. A list is a leaf."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, strictjson.canonical(value).decode()
