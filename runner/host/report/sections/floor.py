"""How near each number is to the limit that memory bandwidth sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from runner.host.figures import floor as floor_figure
from runner.host.figures.floor import FloorFigure, FloorRow, Share
from runner.host.figures.svg import Figure
from runner.host.judging import ledger
from runner.host.report import shown
from runner.host.report.material import Material

HEADING: str | None = "How near to the limit of memory"

# Cells that the figure shows, the nearest to the limit; the table has all.
_MOST_CELLS = 30
_NAME = "memory-floor"


@dataclass(frozen=True)
class Near:
    """How near one time is to its limit: the time, the least time that memory needs, its share of the time, and what it suggests.

    ``cell`` names devices and model. ``source`` is the publication, None for what was measured here: then ``request`` is set.
    """

    cell: str
    source: str | None
    request: str | None
    latency_s: float
    floor_s: float
    share: float
    bound: str


@dataclass(frozen=True)
class Bandwidth:
    """The memory bandwidth of one device of an accelerator, None where it is unknown, and the source of the number."""

    accelerator: str
    bytes_per_s: float | None
    source: str


@dataclass(frozen=True)
class Floor:
    """Every number whose limit is known, the nearest first; the accelerators' bandwidths; and the cells of which no limit is known.

    ``newest`` holds what the figure shows of each cell: the newest published number and the newest that was measured here. ``left_out``
    counts older requests that ``numbers`` leaves out.
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
    published: list[Near] = []
    unknown: dict[str, None] = {}
    accelerators: dict[str, None] = {}
    for name, claim in material.shown_claims():
        cell, limit = f"{claim.devices} x {claim.accelerator}, {claim.model}", limits[name]
        accelerators[claim.accelerator] = None
        if limit is None:
            unknown[cell + (f", batch {claim.batch_size}" if claim.batch_size > 1 else "")] = None
        else:
            published.append(Near(cell, claim.source, None, claim.latency_s, limit.floor_s, limit.share, limit.bound))
    measured = _measured(material)
    accelerators.update(dict.fromkeys(each.group.request.accelerator.name for each in material.measured))
    if not published and not measured:
        return None
    newest = {(near.cell, near.source is None): near for near in [*published, *reversed(measured)]}
    return Floor(
        numbers=sorted([*published, *measured[: shown.REQUESTS]], key=lambda near: -near.share),
        bandwidths=[_bandwidth(material, name) for name in accelerators],
        unknown=list(unknown),
        newest=list(newest.values()),
        left_out=max(0, len(measured) - shown.REQUESTS),
        note=material.example,
    )


def _measured(material: Material) -> list[Near]:
    """Return what was measured, a number for each request whose limit is known, the newest first."""
    near = []
    for measured in material.measured:
        row = next((row for row in measured.rows if row.limit is not None), None)
        if row is not None and row.limit is not None:
            latency_s = row.limit.floor_s / row.limit.share
            near.append(
                Near(row.measured, None, row.request, latency_s, row.limit.floor_s, row.limit.share, row.limit.bound)
            )
    return near


def _bandwidth(material: Material, name: str) -> Bandwidth:
    row = material.catalog.accelerator_rows.get(name)
    if row is None:
        return Bandwidth(name, None, "no row of the catalog")
    return Bandwidth(name, row.in_request.hbm_bytes_per_s, row.source)


def figures(content: object) -> list[Figure]:
    """Return one figure of all cells."""
    floor = cast(Floor, content)
    measured = {near.cell: near for near in floor.newest if near.source is None}
    published = {near.cell: near for near in floor.newest if near.source is not None}
    rows = [_row(cell, published.get(cell), measured.get(cell)) for cell in {**published, **measured}]
    rows.sort(key=lambda row: -max(share.share for share in row.shares))
    note = floor.note or (None if measured else "published numbers alone: no limit is known of what was measured here")
    return [
        floor_figure.draw(FloorFigure(_NAME, "Share of each time that memory needs", note, tuple(rows[:_MOST_CELLS])))
    ]


def _row(cell: str, published: Near | None, measured: Near | None) -> FloorRow:
    pairs = [("published", published), ("here", measured)]
    shares = tuple(Share(words, near.share, words == "published") for words, near in pairs if near is not None)
    bounds = dict.fromkeys(near.bound for _, near in pairs if near is not None)
    return FloorRow(cell, f"suggests: {', here '.join(bounds)}", shares)
