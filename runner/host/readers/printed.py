"""Read a number as its source prints it: the digits tell how the number was rounded."""

from __future__ import annotations

import re

from runner.contract.fields import Fields

# The bounds are far from any number of seconds, milliseconds, tokens or images, and from overflows of floats.
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?")
_LEAST, _MOST = 1e-6, 1e6


def printed(row: Fields, key: str) -> str:
    """Return a number as its text. Raises ``InputError`` for text that is no printed number, and for a number beyond all bounds."""
    text = row.pattern(key, _NUMBER, "a number as it was printed, such as 3.103 or 772e-3")
    number = row.number(key)
    if not _LEAST <= number <= _MOST:
        raise row.fail(key, f"{key!r} is {number:g}; no time, rate or factor is below {_LEAST:g} or above {_MOST:g}.")
    return text
