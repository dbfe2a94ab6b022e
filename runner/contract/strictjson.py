"""Read and write JSON strictly: no duplicate keys, no NaN, bounded size and depth, one canonical form."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Callable

from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.records import JsonObject

# Far above any result: five launches of batch 128 hold 64,000 output ids.
MAX_BYTES = 64 * 1024 * 1024
# Of a whole number: 2^63 has 19.
MAX_DIGITS = 19
# A table for ``bytes.translate``: every digit becomes 0, every other byte a blank.
_DIGITS = bytes(ord("0") if chr(code).isdigit() and code < 128 else ord(" ") for code in range(256))


def canonical(value: object) -> bytes:
    """Return the bytes that are hashed: UTF-8, sorted keys, no spaces, Python's shortest floats.

    Raises ``ValueError`` for NaN and for half of a surrogate pair, ``TypeError`` for a value that JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_of(value: object) -> str:
    """Return the hex sha256 of the canonical form of a JSON value. Raises as ``canonical`` does."""
    return hashlib.sha256(canonical(value)).hexdigest()


def pretty(value: object) -> str:
    """Return the text that files carry: sorted keys, two spaces, a final newline. Raises as ``canonical`` does."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    mapping: JsonObject = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"key {key!r} stands twice")
        mapping[key] = value
    return mapping


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is beyond what a number can hold")
    return number


def _bounded(text: str) -> int:
    """Return a whole number of at most ``MAX_DIGITS`` digits: 10^400 is JSON, and overflows the first float that it meets."""
    digits = len(text.lstrip("-"))
    if digits > MAX_DIGITS:
        raise ValueError(f"a number of {digits} digits is beyond what this reader takes")
    return int(text)


def _parsed(
    text: str, parse_int: Callable[[str], int] | None, parse_float: Callable[[str], float] | None = None
) -> Any:  # noqa: ANN401 - JSON of any shape
    return json.loads(
        text,
        object_pairs_hook=_no_duplicates,
        parse_constant=_no_constant,
        parse_int=parse_int,
        parse_float=parse_float,
    )


def loads(raw: bytes, where: str, error: type[Exception] = InputError) -> Any:  # noqa: ANN401 - JSON of any shape
    """Parse bytes into a JSON value (``records.Json``) that can be written again; its shape is for the caller to check.

    ``where`` names the source in messages. Raises ``error`` with one sentence for anything else.
    """
    return loads_and_canonical(raw, where, error)[0]


def loads_and_canonical(
    raw: bytes, where: str, error: type[Exception] = InputError, without: str | None = None
) -> tuple[Any, bytes]:
    """Parse bytes as ``loads`` does; return the value and its canonical bytes, without the key ``without`` of a mapping.

    Every result is read with both, and each costs as much as the other. Python's own reader takes NaN, 1e999 and duplicate
    keys, and dies of RecursionError on depth (measured on 3.8 and 3.11), hence the hooks. Raises ``error`` with one sentence.
    """
    if len(raw) > MAX_BYTES:
        raise error(
            f"{where} holds {len(raw)} bytes, more than the {MAX_BYTES} this reader takes. It is no file of this kit."
        )
    try:
        text = raw.decode("utf-8")
        # a hook for every whole number costs time, and is needed only where a row of digits is too long
        has_long_number = b"0" * (MAX_DIGITS + 1) in raw.translate(_DIGITS)
        value = _parsed(text, parse_int=_bounded if has_long_number else None)
        kept = value
        if without is not None and isinstance(value, dict):
            kept = {key: part for key, part in value.items() if key != without}
        try:
            # a value that cannot be written again, half of a surrogate pair or 1e999, is refused here and not later
            return value, canonical(kept)
        except ValueError:
            # parsed once more for an error that names the number
            _parsed(text, parse_int=_bounded, parse_float=_finite)
            raise
    except RecursionError:
        raise error(f"{where} is not usable JSON: it is nested too deeply. Make it, or fetch it, again.") from None
    except ValueError as problem:
        raise error(f"{where} is not usable JSON: {problem}. Make it, or fetch it, again.") from None


def read(path: str | os.PathLike[str], error: type[Exception] = InputError) -> Any:  # noqa: ANN401 - JSON of any shape
    """Read and parse one file as ``loads`` does. Raises ``error`` too, with the reason, for a file that cannot be opened."""
    return loads(files.read_bytes(path, MAX_BYTES, error), str(path), error)
