"""Compute what tokens take: seconds, money and joules for 100 tokens and for a million, as published and as measured. Pure.

Times and energies are estimates over launches, with their own intervals. A price is exact: the money's interval is that of the time.
Nothing here fills in a price or an energy that nobody told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runner.contract.words import WeightsKind
from runner.host.judging import comparison, estimates
from runner.host.judging.estimates import Estimate
from runner.host.judging.measured import Measured
from runner.host.readers.catalog import Claim
from runner.host.readers.prices import Prices

_HUNDRED, _MILLION = 100, 1_000_000
_SECONDS_PER_H = 3600


@dataclass(frozen=True)
class ForTokens:
    """What 100 tokens take, and what a million takes at the same pace; tokens of all rows of a batch count."""

    per_100: Estimate
    per_million: Estimate

    def times(self, factor: float) -> ForTokens:
        """Return the same tokens in other units."""
        return ForTokens(self.per_100.times(factor), self.per_million.times(factor))


@dataclass(frozen=True)
class Money:
    """What tokens cost at one of the user's prices, in the price's currency.

    ``whole`` pays for whole instances, though some of their devices may rest. ``share`` pays for the devices that work, as if others paid
    for the rest; None where every device of the instances works.
    """

    price: str
    currency: str
    whole: ForTokens
    share: ForTokens | None


@dataclass(frozen=True)
class Cost:
    """What tokens take in one published cell or one measured request.

    ``name`` is the claim's name or the request's id. ``words`` name devices, model, precision and engine, and a batch or made-up weights.
    ``launches`` are the samples of ``latency_s``, None for a published cell. ``energy_j`` is what the devices took in the timed calls, by
    ``energy_launches``; None where nothing tells it, and ``without_energy`` says why. ``remark`` says what the numbers do not: a
    walk-through, say.
    """

    kind: Literal["published", "measured"]
    name: str
    words: str
    launches: int | None
    latency_s: ForTokens
    energy_j: ForTokens | None
    energy_launches: int
    without_energy: str | None
    money: list[Money]
    remark: str | None


def of_claim(name: str, claim: Claim, prices: Prices | None) -> Cost:
    """Return what tokens take in a published cell, of which nobody published how launches vary."""
    latency_s = _for_tokens(Estimate(claim.latency_s), _HUNDRED)
    return Cost(
        kind="published",
        name=name,
        words=_words(
            f"{claim.devices} x {claim.accelerator}, {claim.model}, {claim.precision}",
            claim.engine,
            claim.batch_size,
            claim.weights,
        ),
        launches=None,
        latency_s=latency_s,
        energy_j=None,
        energy_launches=0,
        without_energy="the source does not tell it",
        money=_money(claim.accelerator, claim.devices, latency_s, prices),
        remark=None,
    )


def of_measured(measured: Measured, prices: Prices | None) -> Cost | str:
    """Return what tokens take in a measured request; in words why there is no number, where no launch tells one."""
    request, samples = measured.group.request, measured.samples
    workload = request.workload
    words = _words(
        f"{request.devices} x {request.accelerator.name}, {request.model.name}, {workload.precision}",
        request.engine,
        workload.batch_size,
        request.weights.kind,
    )
    latency = estimates.of_values([sample.latency_s for sample in samples])
    refused = comparison.without_times(measured.group)
    if refused is not None or latency is None:
        return f"{words}, {request.id}: {refused or 'no launch is a sample of its latency'}"
    latency_s = _for_tokens(latency, workload.batch_size * workload.output_tokens)
    # a call that ends early makes fewer tokens than were asked for, and its energy is that of the tokens that it made
    joules_per_token = [
        sample.energy_j / sample.call_tokens
        for sample in samples
        if sample.energy_j is not None and sample.energy_j > 0 and sample.call_tokens
    ]
    energy = estimates.of_values(joules_per_token)
    return Cost(
        kind="measured",
        name=request.id,
        words=words,
        launches=len(samples),
        latency_s=latency_s,
        energy_j=None if energy is None else _for_tokens(energy, 1),
        energy_launches=len(joules_per_token),
        without_energy="not measured: no device told its energy" if energy is None else None,
        money=_money(request.accelerator.name, request.devices, latency_s, prices),
        remark="walk-through on a CPU: tells nothing of an accelerator" if measured.walk_through else None,
    )


def _words(cell: str, engine: str | None, batch_size: int, weights: WeightsKind) -> str:
    """Return a cell in words, with its engine where that is known, and with what is unusual: a batch, and weights that are made up."""
    words = [cell]
    if engine is not None:
        words.append(engine)
    if batch_size > 1:
        words.append(f"batch {batch_size}")
    if weights == "dummy":
        words.append("dummy weights")
    return ", ".join(words)


def _for_tokens(estimate: Estimate, tokens: int) -> ForTokens:
    """Return what 100 tokens and a million take, from what ``tokens`` take."""
    return ForTokens(estimate.times(_HUNDRED / tokens), estimate.times(_MILLION / tokens))


def _money(product: str, devices: int, latency_s: ForTokens, prices: Prices | None) -> list[Money]:
    money = []
    for name, price in (prices.of(product) if prices is not None else {}).items():
        whole, share = price.whole_per_h(devices), price.share_per_h(devices)
        money.append(
            Money(
                price=name,
                currency=price.currency,
                whole=latency_s.times(whole / _SECONDS_PER_H),
                share=latency_s.times(share / _SECONDS_PER_H) if devices % price.devices else None,
            )
        )
    return money


def of_all(claims: dict[str, Claim], many: Sequence[Measured], prices: Prices | None) -> tuple[list[Cost], list[str]]:
    """Return the costs of published cells, each followed by those of the same accelerator measured beside it, then all other ones.

    Walk-throughs come last. The second list says of each request without a number why it has none.
    """
    ordered: dict[str, list[Cost]] = {name: [of_claim(name, claim, prices)] for name, claim in claims.items()}
    others: list[Cost] = []
    without: list[str] = []
    for measured in sorted(many, key=lambda measured: measured.walk_through):
        cost = of_measured(measured, prices)
        if isinstance(cost, str):
            without.append(cost)
        else:
            accelerator = measured.group.request.accelerator.name
            beside = [row.claim for row in measured.rows if row.claim in claims]
            same = [name for name in beside if claims[name].accelerator == accelerator]
            (ordered[same[0]] if same else others).append(cost)
    return [*(cost for costs in ordered.values() for cost in costs), *others], without
