"""What the ledger finds: a fact that speaks for or against published numbers, and whether a number rounds to a printed one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

FindingKind = Literal[
    "not found",
    "faster than memory allows",
    "text differs",
    "equal digits",
    "not measured again",
    "slower later",
    "ratio holds",
    "ratio differs",
    "ratio of unlike devices",
    "ratio of unlike conditions",
    "ratio without a cell",
    "price",
    "unlike columns",
    "replicates",
]


@dataclass(frozen=True)
class Finding:
    """A fact that speaks for or against claims: its kind, the names of the claims, and the computed fact in words."""

    kind: FindingKind
    claims: list[str]
    text: str


def rounds_to(number: float, printed: str) -> bool:
    """Return whether a number, rounded to as many decimals as the printed one, is the printed one."""
    return Decimal(f"{number:.{decimals(printed)}f}") == Decimal(printed)


def decimals(text: str) -> int:
    """Return how many decimals a printed number has; ``772e-3`` has three."""
    return max(0, -int(Decimal(text).as_tuple().exponent))
