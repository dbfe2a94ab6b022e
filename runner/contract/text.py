"""Make foreign text safe to print: control, escape and direction-changing characters become visible."""

import unicodedata

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text, limit=2000):
    """Return ``text`` on one line, unsafe characters as ``\\xNN`` or ``\\uNNNN``, cut to ``limit`` characters."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(
        _escaped(character) if unicodedata.category(character) in _UNSAFE else character for character in cut
    )


def _escaped(character):
    return character.encode("unicode_escape").decode("ascii")
