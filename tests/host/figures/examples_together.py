"""Forests and histories that the tests look at; their golden files are written with all others."""

from __future__ import annotations

from typing import Any

from runner.host.figures import forest, history
from runner.host.figures.forest import Diamond, ForestFigure, ForestGroup, ForestRow
from runner.host.figures.history import HistoryFigure, HistoryMark, HistoryPoint
from runner.host.figures.svg import Figure


def a_row(label: str, value: float, reach: float | None = 0.02, **changes: Any) -> ForestRow:
    """Return a row whose interval reaches ``reach`` to both sides."""
    interval = None if reach is None else (value - reach, value + reach)
    told: dict[str, object] = {
        "label": label,
        "basis": "5 launches",
        "shown": f"{value:.3f} s" if interval is None else f"{value:.3f} s ({interval[0]:.3f} to {interval[1]:.3f})",
        "value": value,
        "interval": interval,
    }
    return ForestRow(**{**told, **changes})


def a_forest(*groups: ForestGroup, **changes: object) -> ForestFigure:
    """Return a forest of seconds."""
    told: dict[str, object] = {
        "name": "replications-gaudi2-8-bloomz-1",
        "title": "8 x gaudi2, bloomz",
        "groups": groups,
        "unit": "seconds for one call; dashed: the variation is assumed",
    }
    return ForestFigure(**{**told, **changes})  # type: ignore[arg-type]


def a_history(*values: float, **changes: object) -> HistoryFigure:
    """Return a history of values of which every second has an interval."""
    points = tuple(
        HistoryPoint(
            f"2026-{1 + day // 28:02}-{1 + day % 28:02}",
            f"{value} s",
            value,
            (value - 0.02, value + 0.03) if day % 2 else None,
        )
        for day, value in enumerate(values)
    )
    told: dict[str, object] = {
        "name": "history-1-gaudi2-8-bloomz",
        "title": "gaudi2-8-bloomz: 8 x gaudi2, bloomz",
        "points": points,
        "marks": (),
        "order": "seconds; each set of pins, by its first day",
    }
    return HistoryFigure(**{**told, **changes})  # type: ignore[arg-type]


PUBLISHED: dict[str, Any] = {"assumed": True, "published": True, "basis": "1% assumed"}
_SPREAD = "between laboratories 1.3%; I² 87%; Q 15.2, p < 0.001; 95% of further ones 2.590 to 3.833"
_TOGETHER = Diamond("3 together", "3.151 s (3.076 to 3.227)", 3.151, (3.076, 3.227), (2.59, 3.833), _SPREAD)
_WIDE = Diamond(
    "2 together",
    "3.150 s (1.950 to 5.080)",
    3.15,
    (1.95, 5.08),
    None,
    "between laboratories 8.0%; I² 99%; Q 120, p < 0.001",
)
_EARLIER = ForestGroup("stack gaudi-1.8, protocol gaudi-1.8", (a_row("post-1", 3.717, 0.06, **PUBLISHED),))
_MERGED = ForestGroup(
    "stack gaudi-1.10, protocol gaudi-1.10",
    (
        a_row("post-3", 3.103, 0.05, weight=0.25, **PUBLISHED),
        a_row("these runs", 3.140, 0.011, weight=0.39),
        a_row("a laboratory with a name that has no room in a figure", 3.196, 0.03, weight=0.36),
    ),
    _TOGETHER,
)
_STEADY = (3.134, 3.14, 3.14, 3.599, 3.351)
_MARKS = (
    HistoryMark(0, None, "2026-01-01 to 2026-01-02: INCONCLUSIVE, more launches would tell"),
    HistoryMark(2, 1, "+14.6%, p < 0.0001: optimum-habana 0.0.2 to 0.0.3"),
    HistoryMark(
        3, 2, "-6.9%, p < 0.0001: torch 2.0.1 to 2.1.0, transformers 4.28.1 to 4.31.0, deepspeed 0.9.4 to 0.9.5"
    ),
)


def many_rows() -> tuple[ForestRow, ...]:
    """Return more rows than a figure draws, of unlike weights."""
    return tuple(a_row(f"laboratory {number}", 3 + number / 100, weight=number / 820) for number in range(41))


def figures() -> dict[str, Figure]:
    """Return the figures by the names of their golden files."""
    alone = ForestGroup(
        None,
        (a_row("post-1", 3.1, **PUBLISHED), a_row("one", 3.2, None)),
        remark="not merged: nobody knows that they share stack",
    )
    numbered = tuple(HistoryMark(number, number + 1, f"+{number}.0%: torch") for number in range(29))
    published = {"published": True, "lines": ("single numbers: their variation is assumed",)}
    return {
        "forest": forest.draw(a_forest(_EARLIER, _MERGED, note="an example: nobody measured these results")),
        "forest-wide": forest.draw(a_forest(ForestGroup(None, _MERGED.rows[:2], _WIDE))),
        "forest-alone": forest.draw(a_forest(alone)),
        "forest-many": forest.draw(a_forest(_EARLIER, ForestGroup("stack gaudi-1.10", many_rows(), _TOGETHER))),
        "history": history.draw(
            a_history(*_STEADY, marks=_MARKS, lines=("4 steps: 2 CHANGED, 1 UNCHANGED, 1 INCONCLUSIVE",))
        ),
        "history-published": history.draw(a_history(3.025, 2.751, 2.719, **published)),
        "history-many": history.draw(
            a_history(
                *(3 + number / 100 for number in range(60)),
                marks=numbered,
                note="an example: nobody measured these results",
            )
        ),
    }
