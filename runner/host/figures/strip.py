"""Draw many values along a scale: each as a dot, equal ones above each other, or as the bars of bins where they are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.host.figures import svg
from runner.host.figures.scales import Scale

# Radii of dots in units of a figure, the first that has room.
_RADII = (4.0, 3.0, 2.25)
# Bars that are narrower, and bars that are lower, would not be seen.
_LEAST_WIDTH, _LEAST_HEIGHT = 2.5, 1.5


@dataclass(frozen=True)
class Dot:
    """One value. ``hint`` is what a pointer shows over the dot; a flagged value is a hollow dot."""

    value: float
    hint: str
    flagged: bool = False


@dataclass(frozen=True)
class Bar:
    """The number of values from ``low`` to ``high``, ``flagged`` of them flagged."""

    low: float
    high: float
    count: int
    flagged: int = 0


def dots(scale: Scale, values: Sequence[Dot], bottom: float, most: float) -> tuple[list[str], float]:
    """Return dots that stand on ``bottom`` and reach at most ``most`` above it, and how high they are.

    A dot lies over its value exactly. Dots that would touch stand above each other, in the order of their values; where they are too
    many for ``most`` they overlap upwards.
    """
    levels: list[int] = []
    radius = _RADII[-1]
    for radius in _RADII:
        levels = _levels([scale.place(dot.value) for dot in values], 2 * radius)
        if (max(levels, default=0) + 1) * 2 * radius <= most:
            break
    highest = max(levels, default=0)
    step = min(2 * radius, (most - 2 * radius) / highest) if highest else 0.0
    drawn = [
        svg.circle(
            scale.place(dot.value),
            bottom - radius - level * step,
            radius,
            "launch-flagged" if dot.flagged else "launch",
            svg.hint(dot.hint),
        )
        for dot, level in zip(values, levels, strict=True)
    ]
    return drawn, 2 * radius + highest * step


def _levels(places: Sequence[float], apart: float) -> list[int]:
    """Return for each place the lowest level on which no other place is nearer than ``apart``."""
    ends: list[float] = []
    levels = [0] * len(places)
    for index in sorted(range(len(places)), key=lambda index: places[index]):
        place = places[index]
        level = next((level for level, end in enumerate(ends) if place - end >= apart), len(ends))
        if level == len(ends):
            ends.append(place)
        ends[level] = place
        levels[index] = level
    return levels


def bars(scale: Scale, values: Sequence[Bar], bottom: float, height: float) -> list[str]:
    """Return bars that stand on ``bottom``, the highest of them ``height`` high; the flagged part of a bar is hollow and stands on top.

    Bins that are too narrow to be seen are drawn as one with their neighbours.
    """
    merged = _merged(scale, values)
    greatest = max((bar.count for bar in merged), default=1)
    drawn = []
    for bar in merged:
        if not bar.count:
            continue
        left, right = scale.place(bar.low), scale.place(bar.high)
        width = max(right - left, _LEAST_WIDTH)
        left = (left + right - width) / 2
        high = max(_LEAST_HEIGHT, height * bar.count / greatest)
        hollow = high * bar.flagged / bar.count
        hint = svg.hint(
            f"{bar.low:.6g} to {bar.high:.6g}: {bar.count}" + (f", {bar.flagged} flagged" * bool(bar.flagged))
        )
        if hollow < high:
            drawn.append(svg.rectangle(left, bottom - high + hollow, width, high - hollow, "launch", hint))
        if hollow:
            drawn.append(svg.rectangle(left, bottom - high, width, hollow, "launch-flagged", hint))
    return drawn


def _merged(scale: Scale, values: Sequence[Bar]) -> list[Bar]:
    """Return bars of neighbouring bins, each wide enough to be seen where its scale allows it."""
    merged: list[Bar] = []
    for bar in values:
        last = merged[-1] if merged else None
        if last is not None and scale.place(last.high) - scale.place(last.low) < _LEAST_WIDTH:
            merged[-1] = Bar(last.low, bar.high, last.count + bar.count, last.flagged + bar.flagged)
        else:
            merged.append(bar)
    return merged
