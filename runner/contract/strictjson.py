"""Read and write JSON strictly: no duplicate keys, no NaN, bounded size and depth, one canonical form."""

import hashlib
import json

from runner.contract.errors import InputError

MAX_BYTES = 64 * 1024 * 1024  # far above any result: five launches of batch 128 hold 64,000 output ids


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


def loads(raw, where, error=InputError):
    """Parse bytes into a JSON value.

    ``where`` names the source in messages; ``error`` is the class to raise. Python's own reader takes NaN, 1e999 and
    duplicate keys, and dies of RecursionError on depth (measured on 3.8 and 3.11), hence the hooks.
    """
    if len(raw) > MAX_BYTES:
        raise error(
            f"{where} holds {len(raw)} bytes, more than the {MAX_BYTES} this reader takes. It is no file of this kit."
        )
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
        )
        canonical(value)  # what cannot be written again, half of a surrogate pair, is refused here and not later
        return value
    except RecursionError:
        raise error(f"{where} is not usable JSON: it is nested too deeply. Make it, or fetch it, again.") from None
    except ValueError as problem:
        raise error(f"{where} is not usable JSON: {problem}. Make it, or fetch it, again.") from None


def read(path, error=InputError):
    """Read and parse one file; a file that cannot be opened is an ``error`` that says why."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}. Check the path.") from None
    return loads(raw, str(path), error)
