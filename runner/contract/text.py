"""Make foreign text safe to print: control, escape and direction-changing characters become visible."""

from __future__ import annotations

import unicodedata

from runner.contract.secrets import mask

# Unicode's categories of characters that are not seen, or change how other characters are shown.
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, limit: int = 2000) -> str:
    """Return ``text`` on one line, unsafe characters as ``\\xNN`` or ``\\uNNNN``, cut to ``limit`` characters."""
    return visible(cut(text, limit))


def cut(text: str, limit: int, sign: str = "…") -> str:
    """Return at most ``limit`` characters of ``text``, and ``sign`` where the text goes on.

    Secrets are masked before the cut: half of a token no longer looks like a token.
    """
    return text if len(text) <= limit else mask(text[: limit + _LONGEST_TOKEN])[:limit] + sign


# Characters beyond the cut in which a secret is looked for: JSON Web Tokens have a few thousand.
_LONGEST_TOKEN = 8192


def first_line(problem: object, limit: int = 300) -> str:
    """Return the first line of an exception's words that is not empty, printable and without its final dot.

    An exception without words is told by the name of its class.
    """
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return printable(lines[0].rstrip(".") or type(problem).__name__, limit)


def visible(text: str, kept: str = "") -> str:
    """Return ``text`` with unsafe characters as ``\\xNN`` or ``\\uNNNN``, but for those in ``kept``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in kept or unicodedata.category(character) not in UNSAFE else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
