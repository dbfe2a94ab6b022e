"""Scales of figures: from numbers to places, with ticks at round numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear scale from the numbers ``low`` to ``high`` to the places ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the place of a number; a number outside the scale lies outside the places."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def value(self, place: float) -> float:
        """Return the number at a place."""
        return self.low + (place - self.start) / (self.end - self.start) * (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most ``most`` round numbers within the scale, in steps of 1, 2 or 5 times a power of ten."""
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span / most))
        while span / step > most - 1:
            step = _next(step)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def _next(step: float) -> float:
    """Return the next round step: 1, 2, 5, 10, 20 and so on."""
    digit = round(step / 10.0 ** math.floor(math.log10(step) + 1e-9))
    return step * {1: 2.0, 2: 2.5, 5: 2.0}[digit]


def around(values: list[float], start: float, end: float, edge: float = 0.06) -> Scale:
    """Return a scale that holds all ``values``, and a share ``edge`` of their span on both sides; equal values get 1% around."""
    low, high = min(values), max(values)
    span = high - low or abs(high) * 0.01 or 1.0
    return Scale(low - edge * span, high + edge * span, start, end)


def tick_text(value: float, ticks: list[float]) -> str:
    """Return a tick's number with as many decimals as tell the ticks apart."""
    step = min((abs(b - a) for a, b in itertools.pairwise(ticks)), default=abs(value) or 1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}"
