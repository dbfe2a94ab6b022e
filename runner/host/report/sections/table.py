"""The published table with what was measured beside each cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.host.figures.svg import Figure
from runner.host.judging.comparison import Row
from runner.host.judging.measured import Measured
from runner.host.readers.catalog import Claim
from runner.host.report.material import Material

HEADING: str | None = "The published table, measured again"

# Requests that the page names beside one cell, besides the one in the table.
_MOST_OTHERS = 10


@dataclass(frozen=True)
class Run:
    """What one request gave beside a cell.

    ``verdict`` is a verdict's word, or ``walk-through`` for a request for the CPU. ``latency_s`` is the geometric mean of launches,
    ``ratio`` this over the published number, ``interval`` its 90% interval; these and the margins are None where nothing was compared.
    """

    request: str
    measured: str
    stack: str
    verdict: str
    reasons: list[str]
    launches: int
    latency_s: float | None
    ratio: float | None
    interval: tuple[float, float] | None
    margin: float | None
    attained_margin: float | None


@dataclass(frozen=True)
class Cell:
    """A published number as printed in ``unit``, its conditions, and what was measured beside it.

    ``published_s`` is the number in seconds for 100 new tokens. ``run`` is what the table shows, None for a cell that was not measured;
    ``others`` are further requests beside the same cell, and ``left_out`` is how many more there are.
    """

    claim: str
    accelerator: str
    devices: int
    model: str
    precision: str
    batch_size: int
    weights: str
    engine: str | None
    stack: str
    published: str
    unit: str
    published_s: float
    run: Run | None
    others: list[Run]
    left_out: int

    @property
    def name(self) -> str:
        """Return devices and model in words."""
        return f"{self.devices} x {self.accelerator}, {self.model}"


@dataclass(frozen=True)
class TableRow:
    """A row of the table as published: ``claims`` names the cell of each accelerator, None where the table has none."""

    model: str
    devices: int
    claims: dict[str, str | None]


@dataclass(frozen=True)
class Publication:
    """A publication and its cells by their names.

    ``accelerators`` and ``rows`` are the columns and rows of its table; both are empty where its cells form no such table.
    """

    source: str
    title: str
    date: str | None
    place: str
    table_stack: str | None
    text_stack: str | None
    found: bool
    note: str | None
    accelerators: list[str]
    rows: list[TableRow]
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Tables:
    """The publications, the one that the page shows first at the beginning. ``note`` is what all runs of an example must say."""

    publications: list[Publication]
    note: str | None


def content(material: Material) -> Tables | None:
    """Return the tables of all publications; None where the page shows none."""
    publications = [_publication(material, source) for source in reversed(material.sources)]
    return Tables(publications, material.example) if publications else None


def figures(content: object) -> list[Figure]:
    """Return no figure: the section is a table."""
    return []


def _publication(material: Material, source: str) -> Publication:
    row, claims = material.catalog.claim_sources[source], material.claims_of(source)
    accelerators, rows = _grid(claims)
    return Publication(
        source=source,
        title=row.title,
        date=row.date,
        place=row.place,
        table_stack=row.table_stack,
        text_stack=row.text_stack,
        found=row.found,
        note=row.note,
        accelerators=accelerators,
        rows=rows,
        cells={name: _cell(material, name, claim) for name, claim in claims.items()},
    )


def _grid(claims: Mapping[str, Claim]) -> tuple[list[str], list[TableRow]]:
    """Return the columns and rows of a table of seconds, in the order of the claims; nothing where two claims want one place."""
    places = {(claim.model, claim.devices, claim.accelerator): name for name, claim in claims.items()}
    accelerators = list(dict.fromkeys(claim.accelerator for claim in claims.values()))
    in_seconds = all(claim.unit == "s" for claim in claims.values())
    if not in_seconds or len(places) < len(claims) or len(accelerators) < 2:
        return [], []
    lines = dict.fromkeys((claim.model, claim.devices) for claim in claims.values())
    return accelerators, [
        TableRow(model, devices, {name: places.get((model, devices, name)) for name in accelerators})
        for model, devices in lines
    ]


def _cell(material: Material, name: str, claim: Claim) -> Cell:
    beside = material.beside(name)
    runs = [_run(measured, row) for measured, row in beside[: 1 + _MOST_OTHERS]]
    return Cell(
        claim=name,
        accelerator=claim.accelerator,
        devices=claim.devices,
        model=claim.model,
        precision=claim.precision,
        batch_size=claim.batch_size,
        weights=claim.weights,
        engine=claim.engine,
        stack=claim.stack,
        published=claim.value,
        unit=claim.unit,
        published_s=claim.latency_s,
        run=runs[0] if runs else None,
        others=runs[1:],
        left_out=len(beside) - len(runs),
    )


def _run(measured: Measured, row: Row) -> Run:
    judged = row.verdict
    return Run(
        request=row.request,
        measured=row.measured,
        stack=measured.group.request.stack.name,
        verdict=row.word,
        reasons=list(judged.reasons),
        launches=judged.launches,
        latency_s=None if judged.ratio is None else judged.ratio * float(row.published_s),
        ratio=judged.ratio,
        interval=judged.interval,
        margin=judged.margin,
        attained_margin=judged.attained_margin,
    )
