"""Read and write JSON strictly: no duplicate keys, no NaN, bounded size and depth, one canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from runner.contract import files
from runner.contract.errors import InputError, KitError

MAX_BYTES = 64 * 1024 * 1024  # far above any result: five launches of batch 128 hold 64,000 output ids
MAX_DIGITS = 19  # of a whole number: 2^63 has 19
_DIGITS = bytes(ord("0") if chr(code).isdigit() and code < 128 else ord(" ") for code in range(256))


def canonical(value):
    """Return the bytes that are hashed: UTF-8, sorted keys, no spaces, Python's shortest floats, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_of(value):
    """Return the hex sha256 of the canonical form of a JSON value."""
    return hashlib.sha256(canonical(value)).hexdigest()


def pretty(value):
    """Return the text that files carry: sorted keys, two spaces, a final newline."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _no_duplicates(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} stands twice")
        found[key] = value
    return found


def _no_constant(name):
    raise ValueError(f"{name} is not a JSON number")


def _finite(text):
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is beyond what a number can hold")
    return number


def _bounded(text: str) -> int:
    """Return a whole number. 10^400 is JSON, and overflows the first float that it meets; no number of this kit has 20 digits."""
    digits = len(text.lstrip("-"))
    if digits > MAX_DIGITS:
        raise ValueError(f"a number of {digits} digits is beyond what this reader takes")
    return int(text)


def _parsed(text: str, **numbers: Any) -> Any:
    return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, **numbers)


def loads(raw, where, error=InputError):
    """Parse bytes into a JSON value that can be written again.

    ``where`` names the source in messages; ``error`` is the class to raise.
    """
    return loads_and_canonical(raw, where, error)[0]


def loads_and_canonical(
    raw: bytes, where: str, error: type[KitError] = InputError, without: str | None = None
) -> tuple[Any, bytes]:
    """Parse bytes as ``loads`` does; return the value and its canonical bytes, without the key ``without`` of a mapping.

    Both are wanted of every result, and each costs as much as the other. Python's own reader takes NaN, 1e999 and duplicate
    keys, and dies of RecursionError on depth (measured on 3.8 and 3.11), hence the hooks.
    """
    if len(raw) > MAX_BYTES:
        raise error(
            f"{where} holds {len(raw)} bytes, more than the {MAX_BYTES} this reader takes. It is no file of this kit."
        )
    try:
        text = raw.decode("utf-8")
        # asking of each whole number is time lost where no row of digits is so long
        long = b"0" * (MAX_DIGITS + 1) in raw.translate(_DIGITS)
        value = _parsed(text, parse_int=_bounded if long else None)
        kept = value
        if without is not None and isinstance(value, dict):
            kept = {key: part for key, part in value.items() if key != without}
        try:
            # what cannot be written again, half of a surrogate pair or 1e999, is refused here and not later
            return value, canonical(kept)
        except ValueError:
            _parsed(text, parse_int=_bounded, parse_float=_finite)  # names the number
            raise
    except RecursionError:
        raise error(f"{where} is not usable JSON: it is nested too deeply. Make it, or fetch it, again.") from None
    except ValueError as problem:
        raise error(f"{where} is not usable JSON: {problem}. Make it, or fetch it, again.") from None


def read(path, error=InputError):
    """Read and parse one file; a file that cannot be opened is an ``error`` that says why."""
    return loads(files.read_bytes(path, MAX_BYTES, error), str(path), error)
