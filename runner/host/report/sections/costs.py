"""Seconds, money and joules for tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runner.host.figures.svg import Figure
from runner.host.judging import costs
from runner.host.judging.costs import Cost
from runner.host.judging.measured import Measured
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

    ``costs`` holds each published cell and what the page sets beside it first; of requests beside no cell the newest of each. ``others``
    holds all other requests. ``without`` says of requests that tell no number why. ``left_out`` counts older requests. ``prices_path`` is
    None where there are no prices; ``note`` is what the example or the walk-through must say.
    """

    source: str
    costs: list[Cost]
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
    first = _first(material, source, {cost.name for cost in found if cost.kind == "measured"})
    return Costs(
        source=source,
        costs=[cost for cost in found if cost.kind == "published" or cost.name in first],
        others=[cost for cost in found if cost.kind == "measured" and cost.name not in first],
        without=without,
        left_out=max(0, len(timed) - MOST_REQUESTS),
        prices=_prices(material),
        prices_path=None if material.prices is None else material.prices.path,
        note=material.note(None),
    )


def _first(material: Material, source: str, told: set[str]) -> set[str]:
    """Return of the requests ``told`` the first beside each published cell, and the newest of each cell that nobody published."""
    claims = material.claims_of(source)
    beside = ((measured.group.request.id for measured, _ in material.beside(claim)) for claim in claims)
    first = {next((request for request in requests if request in told), "") for requests in beside}
    newest: dict[tuple[str, int, str], str] = {}
    for request in (measured.group.request for measured in material.measured if not _is_beside(measured, claims)):
        if request.id in told:
            newest.setdefault((request.accelerator.name, request.devices, request.model.name), request.id)
    return first | set(newest.values())


def _is_beside(measured: Measured, claims: Collection[str]) -> bool:
    return any(row.claim in claims for row in measured.rows)


def _prices(material: Material) -> list[PriceRow]:
    today = material.made_utc[:10]
    return [
        PriceRow(
            name=name,
            product=row.product,
            devices=row.devices,
            price=row.price,
            currency=row.currency,
            region=row.region,
            date=row.date,
            age_days=row.age_days(today),
            source=row.source,
        )
        for name, row in (material.prices.rows if material.prices is not None else {}).items()
    ]


def figures(content: object) -> list[Figure]:
    """Return no figure: the numbers are of unlike units, and the tables copy well."""
    return []
