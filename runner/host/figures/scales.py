"""Scales of figures: from numbers to places, with ticks at round numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

# Numbers that differ by a smaller share of the greatest are equal to a scale: a float holds few more digits.
_EQUAL = 1e-9
# The share of equal numbers that a scale holds around them.
_AROUND_EQUAL = 0.01
# Numbers below it may not be divided by.
_LEAST = 1e-300
# Numbers whose greatest is this many times the least get a logarithmic scale, where they may.
_FAR_APART = 20.0


@dataclass(frozen=True)
class Scale:
    """A linear scale from the numbers ``low`` to ``high``, which differ, to the places ``start`` to ``end``."""

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

    @property
    def kind(self) -> str:
        """Return what the words of an axis say of the scale, nothing of a linear one."""
        return ""

    def holds(self, value: float) -> bool:
        """Return whether a number lies on the scale."""
        return self.low <= value <= self.high

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most ``most`` round numbers within the scale, in steps of 1, 2 or 5 times a power of ten."""
        return _round_numbers(self.low, self.high, most)

    def texts(self, ticks: Sequence[float]) -> list[str]:
        """Return the numbers of ticks as text, each other than its neighbours'."""
        return [tick_text(tick, ticks) for tick in ticks]


@dataclass(frozen=True)
class LogScale(Scale):
    """A logarithmic scale: equal ratios are equally far apart. ``low`` is above 0."""

    @property
    def kind(self) -> str:
        """Return what the words of an axis say of the scale."""
        return ", log scale"

    def place(self, value: float) -> float:
        """Return the place of a number above 0; a number outside the scale lies outside the places."""
        return self.start + math.log(value / self.low) / math.log(self.high / self.low) * (self.end - self.start)

    def value(self, place: float) -> float:
        """Return the number at a place."""
        return self.low * math.exp((place - self.start) / (self.end - self.start) * math.log(self.high / self.low))

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most ``most`` of the numbers 1, 2 and 5 times a power of ten; linear ticks where the scale holds fewer than two."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for digits, every in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), every) for every in range(1, last - first + 2))):
            numbers = [digit * 10.0**power for power in range(first, last + 1, every) for digit in digits]
            ticks = [number for number in numbers if self.low <= number <= self.high]
            if 2 <= len(ticks) <= most:
                return ticks
        return [tick for tick in super().ticks(most) if tick >= self.low]

    def texts(self, ticks: Sequence[float]) -> list[str]:
        """Return the numbers of ticks as text, each with the decimals that it needs itself."""
        return [f"{tick:.{max(0, -_power(tick))}f}" if 1e-6 <= tick < 1e9 else f"{tick:g}" for tick in ticks]


def around(values: Sequence[float], start: float, end: float, edge: float = 0.06) -> Scale:
    """Return a scale that holds all ``values``, and a share ``edge`` of their span on both sides; equal values get 1% around."""
    low, high = _bounds(values)
    margin = edge * (high - low)
    return Scale(low - margin, high + margin, start, end)


def wide(values: Sequence[float], start: float, end: float, edge: float = 0.06) -> Scale:
    """Return a scale as ``around`` does; a ``LogScale`` where all values are above 0 and the greatest is 20 times the least or more."""
    low, high = _bounds(values)
    if low < _LEAST or high < _FAR_APART * low:
        return around(values, start, end, edge)
    margin = (high / low) ** edge
    return LogScale(low / margin, high * margin, start, end)


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """Return a tick's number with as many decimals as tell the ticks apart."""
    step = min((abs(b - a) for a, b in itertools.pairwise(ticks)), default=abs(value) or 1.0)
    greatest = max(map(abs, ticks), default=0.0)
    if greatest >= 1e9 or 0 < greatest < 1e-6:
        return f"{value:.{max(1, _power(greatest) - _power(step) + 1)}g}"
    return f"{value:.{max(0, -_power(step))}f}"


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    greatest = max(abs(low), abs(high))
    if high - low > _EQUAL * greatest and greatest > _LEAST:
        return low, high
    margin = greatest * _AROUND_EQUAL if greatest > _LEAST else 1.0
    return low - margin, high + margin


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    span = high - low
    power = _power(span / most)
    for step_power, digit in itertools.chain.from_iterable(((p, 1), (p, 2), (p, 5)) for p in range(power, power + 3)):
        step = digit * 10.0**step_power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            # a product of floats such as 3 x 0.1 has digits that nobody wants to read
            return [round(number * step, -step_power) for number in range(first, last + 1)]
    return []


def _power(value: float) -> int:
    """Return the power of ten of a number's first digit."""
    return math.floor(math.log10(value) + 1e-9)
