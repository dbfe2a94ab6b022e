"""Draw the axis of a figure: a line with ticks, and what the numbers are."""

from __future__ import annotations

from runner.host.figures import svg
from runner.host.figures.scales import Scale, tick_text


def below(scale: Scale, y: float, words: str, top: float | None = None, most: int = 5) -> tuple[str, ...]:
    """Return a horizontal axis at ``y`` with ticks, and ``words`` below the ticks; with ``top`` grid lines from ``top`` to the axis."""
    ticks = scale.ticks(most)
    parts = [svg.line(scale.start, y, scale.end, y, "axis")]
    for tick in ticks:
        x = scale.place(tick)
        if top is not None:
            parts.append(svg.line(x, top, x, y, "grid"))
        parts += [svg.line(x, y, x, y + 4, "axis"), svg.text(x, y + 16, tick_text(tick, ticks), "tick", "middle")]
    parts.append(svg.text((scale.start + scale.end) / 2, y + 32, words, "quiet", "middle"))
    return tuple(parts)
