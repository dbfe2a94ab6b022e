"""Make foreign text safe to print: control, escape and direction-changing characters become visible."""

import unicodedata

# Unicode's categories of what is not seen, or changes how other characters are shown.
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text, limit=2000):
    """Return ``text`` on one line, unsafe characters as ``\\xNN`` or ``\\uNNNN``, cut to ``limit`` characters."""
    return visible(text if len(text) <= limit else text[:limit] + "…")


def visible(text: str, kept: str = "") -> str:
    """Return ``text`` with unsafe characters as ``\\xNN`` or ``\\uNNNN``, but for those in ``kept``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in kept or unicodedata.category(character) not in UNSAFE else _escaped(character)
        for character in text
    )


def _escaped(character):
    return character.encode("unicode_escape").decode("ascii")
