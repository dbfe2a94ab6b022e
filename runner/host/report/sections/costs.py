"""Seconds, money and joules for tokens."""

from __future__ import annotations

from dataclasses import dataclass

from runner.host.figures.svg import Figure
from runner.host.judging import costs
from runner.host.judging.costs import Cost
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

    ``without`` says of requests that tell no number why. ``left_out`` counts older requests. ``prices_path`` is None where there are no
    prices; ``note`` is what the example or the walk-through must say.
    """

    source: str
    costs: list[Cost]
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
    return Costs(
        source=source,
        costs=found,
        without=without,
        left_out=max(0, len(timed) - MOST_REQUESTS),
        prices=_prices(material),
        prices_path=None if material.prices is None else material.prices.path,
        note=material.note(None),
    )


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
