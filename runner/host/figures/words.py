"""Words in figures: how wide they are at most, cut and wrapped to a width, and numbers as words.

SVG neither wraps text nor says how wide it is. The widths are those of DejaVu Sans, the widest of the fonts that ``palette`` names, so
words fit in each of them.
"""

from __future__ import annotations

import math

from runner.contract.text import printable

# Sizes of text in units of a figure, as in ``palette``.
SIZE, SMALL = 12.0, 11.0

# The greatest advance of these characters in DejaVu Sans in em; those of characters in no group are at most 1.
_GROUPS = {
    " ',./:;IJ\\ijl|": 0.34,
    "!()-[]frt": 0.42,
    '"*?_`sz': 0.54,
    "$0123456789EFLPSTYabcdeghknopquvxy{}": 0.64,
    "ABCKNRUVXZ": 0.75,
    "#&+<=>DGHOQ^w~±": 0.84,
}
_ADVANCES = {character: advance for characters, advance in _GROUPS.items() for character in characters}
# DejaVu Sans Bold beside DejaVu Sans, of the widest characters of a text.
_STRONG = 1.15


def width(words: str, size: float = SMALL, strong: bool = False) -> float:
    """Return how wide a line of text is at most, in units of a figure."""
    return sum(_ADVANCES.get(character, 1.0) for character in words) * size * (_STRONG if strong else 1.0)


def fitted(words: str, most: float, size: float = SMALL, strong: bool = False) -> str:
    """Return ``words`` on one line that is at most ``most`` wide: cut where they are wider, with a sign that they go on."""
    words = printable(words)
    if width(words, size, strong) <= most:
        return words
    while words and width(words + "…", size, strong) > most:
        words = words[:-1]
    return words.rstrip() + "…"


def wrapped(words: str, most: float, lines: int = 2, size: float = SMALL, strong: bool = False) -> list[str]:
    """Return ``words`` as at most ``lines`` lines, each at most ``most`` wide; the last one is cut where there are more words."""
    made: list[str] = []
    rest = printable(words).split()
    while rest and len(made) < lines - 1:
        count = 1
        while count < len(rest) and width(" ".join(rest[: count + 1]), size, strong) <= most:
            count += 1
        made.append(fitted(" ".join(rest[:count]), most, size, strong))
        rest = rest[count:]
    return [*made, fitted(" ".join(rest), most, size, strong)] if rest else made


def digits(value: float, significant: int = 4) -> str:
    """Return a number in plain digits with ``significant`` ones, or more before the decimal point: 0.5912, 3.103, 12345."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 launch``, ``5 launches``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
