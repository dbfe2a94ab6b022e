"""How near each number is to the limit that memory bandwidth sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import cast

from runner.host.figures import floor as floor_figure
from runner.host.figures.floor import FloorFigure, FloorRow, Share
from runner.host.figures.svg import Figure
from runner.host.judging import ledger
from runner.host.judging.comparison import Row
from runner.host.judging.ledger import Limit
from runner.host.judging.verdict import COUNTED
from runner.host.readers.catalog import Claim
from runner.host.report import bandwidths, shown
from runner.host.report.bandwidths import Bandwidth
from runner.host.report.material import Material

HEADING: str | None = "How near to the limit of memory"

# Cells that the figure shows, the nearest to the limit; the table has all.
_MOST_CELLS = 30
_PUBLISHED = "published numbers alone"
_UNMEASURED = f"{_PUBLISHED}: no limit is known of what was measured here"
_NAME = "memory-floor"


@dataclass(frozen=True)
class Near:
    """How near one time is to its limit: the time, the least time that memory needs, its share of the time, and what it suggests.

    ``cell`` names devices and model. ``source`` names the publications that print the number, None for what was measured here: then
    ``request`` is set.
    """

    cell: str
    source: str | None
    request: str | None
    latency_s: float
    floor_s: float
    share: float
    bound: str


@dataclass(frozen=True)
class Floor:
    """Every number whose limit is known, the nearest first; the accelerators' bandwidths; and the cells of which no limit is known.

    ``newest`` holds the numbers that the figure shows, of each cell up to two: the newest source's, and the newest measured here, of
    launches that count for a published cell where there are some. ``left_out`` counts the requests that ``numbers`` leaves out.
    """

    numbers: list[Near]
    bandwidths: list[Bandwidth]
    unknown: list[str]
    newest: list[Near]
    left_out: int
    note: str | None


def content(material: Material) -> Floor | None:
    """Return how near published and measured times are to their limits; None where no limit is known."""
    limits = ledger.limits(material.catalog)
    printed: dict[tuple[str, float, float], Near] = {}
    unknown: dict[str, None] = {}
    claims = dict(material.shown_claims())
    cells = Counter((claim.source, _words(claim)) for claim in claims.values())
    for name, claim in claims.items():
        cell, limit = _words(claim), limits[name]
        # a source may have several numbers of a cell: in other precisions, by other engines
        if cells[claim.source, cell] > 1:
            cell = ", ".join(filter(None, (cell, claim.precision, claim.engine)))
        if limit is None:
            unknown[cell] = None
        else:
            key = cell, claim.latency_s, limit.floor_s
            earlier = printed.pop(key, None)
            sources = claim.source if earlier is None else f"{earlier.source}, {claim.source}"
            printed[key] = Near(cell, sources, None, claim.latency_s, limit.floor_s, limit.share, limit.bound)
    published = list(printed.values())
    measured = _measured(material)
    if not published and not measured:
        return None
    newest = {near.cell: near for near in published}
    here = {near.cell: near for near in reversed(measured)}
    return Floor(
        numbers=sorted([*published, *measured[: shown.REQUESTS]], key=lambda near: -near.share),
        bandwidths=bandwidths.named(material),
        unknown=list(unknown),
        newest=[*newest.values(), *here.values()],
        left_out=max(0, len(measured) - shown.REQUESTS),
        note=material.example or (None if measured else _UNMEASURED if material.measured else _PUBLISHED),
    )


def _words(claim: Claim) -> str:
    """Return devices and model of a claim, and its batch."""
    batch = f", batch {claim.batch_size}" if claim.batch_size > 1 else ""
    return f"{claim.devices} x {claim.accelerator}, {claim.model}{batch}"


def _measured(material: Material) -> list[Near]:
    """Return what was measured, a number for each request whose limit is known: those that count for a published cell first."""
    rows = [
        min(limited, key=_is_unlike)
        for measured in material.measured
        if (limited := [row for row in measured.rows if row.limit is not None])
    ]
    return [_near(row, row.limit) for row in sorted(rows, key=_is_unlike) if row.limit is not None]


def _is_unlike(row: Row) -> bool:
    return row.verdict.word not in COUNTED


def _near(row: Row, limit: Limit) -> Near:
    return Near(row.measured, None, row.request, limit.floor_s / limit.share, limit.floor_s, limit.share, limit.bound)


def figures(content: object) -> list[Figure]:
    """Return one figure of all cells."""
    floor = cast(Floor, content)
    measured = {near.cell: near for near in floor.newest if near.source is None}
    published = {near.cell: near for near in floor.newest if near.source is not None}
    rows = [_row(cell, published.get(cell), measured.get(cell)) for cell in {**published, **measured}]
    rows.sort(key=lambda row: -max(share.share for share in row.shares))
    return [
        floor_figure.draw(
            FloorFigure(_NAME, "Share of each time that memory needs", floor.note, tuple(rows[:_MOST_CELLS]))
        )
    ]


def _row(cell: str, published: Near | None, measured: Near | None) -> FloorRow:
    pairs = [("published", published), ("here", measured)]
    shares = tuple(Share(words, near.share, words == "published") for words, near in pairs if near is not None)
    bounds = dict.fromkeys(near.bound for _, near in pairs if near is not None)
    return FloorRow(cell, f"suggests: {', here '.join(bounds)}", shares)
