"""Judge the claims of a better price: at the prices that the publication names, and at a user's. Pure.

The same tokens cost the latency times the price of an hour. Prices are exact, so a quotient of costs varies as that of the latencies
does. Prices of unlike currencies are never set against each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from runner.host.judging import quotients
from runner.host.judging.estimates import Estimate
from runner.host.judging.quotients import Beside, Cells, Judgement, Quotient
from runner.host.readers import catalog as catalogs
from runner.host.readers.catalog import Catalog
from runner.host.readers.prices import Prices

# Quotients at a user's prices that are shown for a claim; each is a line of a table.
MOST_QUOTIENTS = 24

# What is paid for: whole instances, the share of them whose devices work, or either, where both give the same quotient.
Reading = Literal["whole instances", "share of the instances", "either"]


@dataclass(frozen=True)
class PriceUsed:
    """The price of one side: its row in the user's file or its source, and the amount as written in ``currency`` an hour.

    The amount is for ``devices`` together. ``devices``, ``region`` and ``date`` are None where the source does not say them.
    """

    name: str
    price: str
    currency: str
    devices: int | None
    region: str | None
    date: str | None


@dataclass(frozen=True)
class CostQuotient:
    """What the same tokens cost on the cell ``over`` in costs of the cell ``under``, at two prices of one currency."""

    over: PriceUsed
    under: PriceUsed
    reading: Reading
    published: float
    measured: Estimate | None
    judgement: Judgement


@dataclass(frozen=True)
class ClaimedPrice:
    """The claim that the cell ``quotient.under`` gives the same tokens for less money than ``quotient.over``.

    ``at_published`` is at the prices that the source names, ``at_users`` at the user's. ``without`` says why there is no quotient at the
    user's prices; it is None where there is one, and where there are no prices. ``left_out`` counts further quotients at them.
    """

    name: str
    source: str
    quotient: Quotient
    unlike: list[str]
    at_published: CostQuotient
    at_users: list[CostQuotient]
    without: str | None
    left_out: int


def prices(catalog: Catalog, sources: Collection[str], beside: Beside, users: Prices | None) -> list[ClaimedPrice]:
    """Return every claim of a better price by one of ``sources``, in the order of the catalog."""
    cells = Cells(catalog, beside)
    return [
        _claimed(catalog, cells, name, price, users)
        for name, price in catalog.prices.items()
        if catalog.claims[price.dearer].source in sources
    ]


def _claimed(catalog: Catalog, cells: Cells, name: str, price: catalogs.Price, users: Prices | None) -> ClaimedPrice:
    dearer, cheaper = catalog.claims[price.dearer], catalog.claims[price.cheaper]
    date = catalog.claim_sources[dearer.source].date
    over, under = (
        PriceUsed(dearer.source, f"{amount:g}", "USD", None, None, date)
        for amount in (price.dearer_usd_per_h, price.cheaper_usd_per_h)
    )
    quotient = cells.quotient(price.dearer, price.cheaper)
    factor = price.dearer_usd_per_h / price.cheaper_usd_per_h
    at_users = [] if users is None else list(_at(users, cells, quotient))
    without = None
    if users is not None and not at_users:
        without = f"{users.path} has no prices of {dearer.accelerator} and of {cheaper.accelerator} in one currency"
    return ClaimedPrice(
        name=name,
        source=dearer.source,
        quotient=quotient,
        unlike=cells.unlike(quotient),
        # the source prices two instances of 8 devices, and sets as many devices of the one against the other
        at_published=_cost(cells, quotient, over, under, "either", factor),
        at_users=at_users[:MOST_QUOTIENTS],
        without=without,
        left_out=max(0, len(at_users) - MOST_QUOTIENTS),
    )


def _at(users: Prices, cells: Cells, quotient: Quotient) -> Iterator[CostQuotient]:
    """Yield the quotients of costs at all pairs of a user's prices that are of one currency."""
    over, under = cells.claims[quotient.over.claim], cells.claims[quotient.under.claim]
    for (name, one), (other_name, other) in itertools.product(
        users.of(over.accelerator).items(), users.of(under.accelerator).items()
    ):
        if one.currency != other.currency:
            continue
        used = PriceUsed(name, one.price, one.currency, one.devices, one.region, one.date)
        other_used = PriceUsed(other_name, other.price, other.currency, other.devices, other.region, other.date)
        whole = one.whole_per_h(over.devices) / other.whole_per_h(under.devices)
        share = one.share_per_h(over.devices) / other.share_per_h(under.devices)
        if math.isclose(whole, share):
            yield _cost(cells, quotient, used, other_used, "either", whole)
        else:
            yield _cost(cells, quotient, used, other_used, "whole instances", whole)
            yield _cost(cells, quotient, used, other_used, "share of the instances", share)


def _cost(
    cells: Cells, quotient: Quotient, over: PriceUsed, under: PriceUsed, reading: Reading, factor: float
) -> CostQuotient:
    """Return the quotient of costs where an hour of the cell ``over`` costs ``factor`` times an hour of the cell ``under``."""
    measured = None if quotient.measured is None else quotient.measured.times(factor)
    return CostQuotient(over, under, reading, quotient.published * factor, measured, _judged(cells, quotient, measured))


def _judged(cells: Cells, quotient: Quotient, cost: Estimate | None) -> Judgement:
    """Return whether the same tokens cost more on the cell ``over``: the claim is a direction, so no margin is applied."""
    if cost is None or cost.low is None or cost.high is None:
        return quotients.without_launches(quotient)
    interval = f"the interval {cost.low:.3f} to {cost.high:.3f} of the quotient of costs"
    if cost.low > 1:
        judged = Judgement(quotients.HOLDS, [f"{interval} lies wholly above 1"])
    elif cost.high < 1:
        judged = Judgement(quotients.LOWER, [f"{interval} lies wholly below 1: the claim is reversed"])
    else:
        judged = Judgement(quotients.INCONCLUSIVE, [f"{interval} holds 1; more launches would tell"])
    return cells.provisional(quotient, judged)
