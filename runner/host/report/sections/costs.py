"""Seconds, money and joules for tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runner.host.figures.svg import Figure
from runner.host.judging import costs, replications
from runner.host.judging.costs import Cost
from runner.host.judging.measured import Measured
from runner.host.judging.replications import Cell
from runner.host.report.material import Material

HEADING: str | None = "Energy, price and performance"

# Requests that the tables show, the newest.
MOST_REQUESTS = 40


@dataclass(frozen=True)
class PriceRow:
    """One of the user's prices, and how many days before the report it was named."""

    name: str
    product: str
    devices: int
    price: str
    currency: str
    region: str
    date: str
    age_days: int
    source: str


@dataclass(frozen=True)
class Costs:
    """What tokens take in the cells of the source ``source``, and in what was measured.

    ``costs`` holds each published cell and what the page sets beside it first, whose requests ``beside`` names; of requests beside no cell
    the newest of each. ``others`` holds all other requests. ``without`` says of requests that tell no number why. ``left_out`` counts older
    requests. ``prices_path`` is None where there are no prices; ``note`` is what the example or the walk-through must say.
    """

    source: str
    costs: list[Cost]
    beside: list[str]
    others: list[Cost]
    without: list[str]
    left_out: int
    prices: list[PriceRow]
    prices_path: str | None
    note: str | None


def content(material: Material) -> Costs | None:
    """Return what tokens take in the cells of the source shown first, and in the newest requests; None where there are neither."""
    source = material.sources[-1] if material.sources else ""
    timed = [measured for measured in material.measured if measured.group.request.workload.name == "latency"]
    found, without = costs.of_all(material.claims_of(source), timed[:MOST_REQUESTS], material.prices)
    if not found and not without:
        return None
    told = {cost.name for cost in found if cost.kind == "measured"}
    beside = _beside(material, source, told)
    first = {*beside, *_newest(material, source, told)}
    return Costs(
        source=source,
        costs=[cost for cost in found if cost.kind == "published" or cost.name in first],
        beside=beside,
        others=[cost for cost in found if cost.kind == "measured" and cost.name not in first],
        without=without,
        left_out=max(0, len(timed) - MOST_REQUESTS),
        prices=_prices(material),
        prices_path=None if material.prices is None else material.prices.path,
        note=material.note(None),
    )


def _beside(material: Material, source: str, told: set[str]) -> list[str]:
    """Return of the requests ``told`` the first one beside each published cell."""
    of_cells = (
        [measured.group.request.id for measured, _ in material.beside(claim)] for claim in material.claims_of(source)
    )
    first = (next((request for request in requests if request in told), None) for requests in of_cells)
    return list(dict.fromkeys(request for request in first if request is not None))


def _newest(material: Material, source: str, told: set[str]) -> list[str]:
    """Return of the requests ``told`` the newest of each cell that nobody published."""
    claims = material.claims_of(source)
    newest: dict[Cell, str] = {}
    for request in (measured.group.request for measured in material.measured if not _is_beside(measured, claims)):
        if request.id in told:
            newest.setdefault(replications.cell_of_request(request), request.id)
    return list(newest.values())


def _is_beside(measured: Measured, claims: Collection[str]) -> bool:
    return any(row.claim in claims for row in measured.rows)


def _prices(material: Material) -> list[PriceRow]:
    return [
        PriceRow(
            name=name,
            product=row.product,
            devices=row.devices,
            price=row.price,
            currency=row.currency,
            region=row.region,
            date=row.date,
            age_days=row.age_days(material.made_utc),
            source=row.source,
        )
        for name, row in (material.prices.rows if material.prices is not None else {}).items()
    ]


def figures(content: object) -> list[Figure]:
    """Return no figure: the numbers are of unlike units, and the tables copy well."""
    return []
