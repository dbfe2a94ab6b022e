"""The factors and prices that publications claim in words, computed again from their cells and from what was measured beside these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from runner.host.figures import factors as factors_figure
from runner.host.figures.factors import Factor, FactorsFigure, Measured
from runner.host.figures.svg import Figure
from runner.host.judging import image_ledger, price_claims, prose, verdict
from runner.host.judging.estimates import Estimate
from runner.host.judging.price_claims import ClaimedPrice, CostQuotient
from runner.host.judging.prose import ClaimedFactor
from runner.host.judging.quotients import Quotient
from runner.host.report.material import Material

HEADING: str | None = "The claims in words"

# Prices of the user that the figure of a claim shows; the table shows more.
_MOST_IN_FIGURE = 5


@dataclass(frozen=True)
class Factors:
    """A claimed factor, the day of its source, and the name of its figure; None where the table alone shows the factor."""

    claimed: ClaimedFactor
    date: str | None
    figure: str | None


@dataclass(frozen=True)
class PriceClaim:
    """A claim of a better price, the day of its source, and the name of its figure; None where the table alone shows the claim."""

    claimed: ClaimedPrice
    date: str | None
    figure: str | None


@dataclass(frozen=True)
class ImageFactor:
    """A factor that ``sources`` claim of images, and what the ledger finds about it: the finding's kind, and the finding in words."""

    says: str
    sources: list[str]
    kind: str
    text: str


@dataclass(frozen=True)
class Prose:
    """The claims in words, those of the source shown first at the beginning.

    ``images`` holds what the sources claim of images, which the kit does not measure. ``prices_path`` is the user's file of prices, None
    where there is none; ``note`` is what every figure of launches must say.
    """

    factors: list[Factors]
    prices: list[PriceClaim]
    images: list[ImageFactor]
    prices_path: str | None
    note: str | None


def content(material: Material) -> Prose | None:
    """Return the claims in words of all sources; None where the sources make none."""
    catalog = material.catalog
    beside = {name: this for name, _ in material.shown_claims() if (this := material.this_run(name)) is not None}
    dates = {name: source.date for name, source in catalog.claim_sources.items()}
    newest_first = list(reversed(material.sources))
    factors = [
        Factors(
            claimed,
            dates[source],
            _figure("factor", claimed.name, source == newest_first[0], [claimed.quotient, *claimed.like_for_like]),
        )
        for source in newest_first
        for claimed in prose.factors(catalog, [source], beside)
    ]
    prices = [
        PriceClaim(
            claimed, dates[source], _figure("price", claimed.name, source == newest_first[0], [claimed.quotient])
        )
        for source in newest_first
        for claimed in price_claims.prices(catalog, [source], beside, material.prices)
    ]
    images = [
        ImageFactor(ratio.says, list(ratio.sources), finding.kind, finding.text)
        for ratio in catalog.image_ratios.values()
        if set(ratio.sources) & set(material.sources)
        for finding in [image_ledger.of_ratio(catalog, ratio)]
    ]
    if not (factors or prices or images):
        return None
    path = None if material.prices is None else material.prices.path
    return Prose(factors, prices, images, path, material.note(None))


def _figure(kind: str, name: str, first: bool, quotients: list[Quotient]) -> str | None:
    """Return the name of a claim's figure; None for a claim of an earlier source, none of whose quotients was measured."""
    if not first and all(quotient.measured is None for quotient in quotients):
        return None
    return f"{kind}-{name}"


def figures(content: object) -> list[Figure]:
    """Return a figure for each claim of the source shown first, and for each claim of which something was measured."""
    found = cast(Prose, content)
    drawn = [_of_factor(factor, name, found.note) for factor in found.factors if (name := factor.figure)]
    drawn += [_of_price(price, name, found.note) for price in found.prices if (name := price.figure)]
    return [factors_figure.draw(figure) for figure in drawn]


def _of_factor(factor: Factors, name: str, note: str | None) -> FactorsFigure:
    claimed, says = factor.claimed, float(factor.claimed.says)
    margin = claimed.judgement.margin
    rows = [_factor(claimed.quotient, "As published: " if claimed.like_for_like else "")]
    rows += [_factor(quotient, "Like for like: ") for quotient in claimed.like_for_like]
    return FactorsFigure(
        name=name,
        title=f"{claimed.quotient.over.model}: {claimed.says} times ({claimed.source})",
        what="latency of the first in latencies of the second",
        word=claimed.judgement.word,
        note=_note(note, [claimed.quotient, *claimed.like_for_like]),
        reference=says,
        reference_words=f"in words: {claimed.says} times",
        rounding=verdict.rounding(claimed.says),
        band=None if margin is None else (says / (1 + margin), says * (1 + margin)),
        factors=tuple(rows),
        axis=f"factor; shaded: {f'rounds to {claimed.says}' if margin is None else f'within {margin * 100:.3g}%'}",
    )


def _note(note: str | None, quotients: list[Quotient]) -> str | None:
    """Return the words that a figure of these quotients must carry: none where all are of published numbers alone."""
    return note if any(quotient.measured is not None for quotient in quotients) else None


def _factor(quotient: Quotient, before: str) -> Factor:
    return Factor(
        f"{before}{quotient.over.devices} over {quotient.under.devices}",
        quotient.published,
        _measured(quotient.measured),
    )


def _of_price(price: PriceClaim, name: str, note: str | None) -> FactorsFigure:
    claimed = price.claimed
    rows = [_factor_of_costs(f"prices of {claimed.source}", claimed.at_published)]
    rows += [_factor_of_costs("your prices", cost) for cost in claimed.at_users[:_MOST_IN_FIGURE]]
    return FactorsFigure(
        name=name,
        title=f"{claimed.quotient.over.model}: better price ({claimed.source})",
        what=f"cost of the same tokens, {claimed.quotient.over.devices} over {claimed.quotient.under.devices}",
        word=claimed.at_published.judgement.word,
        note=_note(note, [claimed.quotient]),
        reference=1.0,
        reference_words="equal cost",
        rounding=None,
        band=None,
        factors=tuple(rows),
        axis="factor",
    )


def _factor_of_costs(whose: str, cost: CostQuotient) -> Factor:
    reading = "" if cost.reading == "either" else f", {cost.reading}"
    words = f"{whose}: {cost.over.price} and {cost.under.price} {cost.over.currency} an hour{reading}"
    return Factor(words, cost.published, _measured(cost.measured))


def _measured(estimate: Estimate | None) -> Measured | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return Measured(estimate.value, estimate.low, estimate.high)
