"""Set two published cells beside each other, and the launches that count for them: the quotient that a claim in words comes from. Pure.

Launches of both cells must count, as samples of the very cells: a walk-through, or a run under other conditions, gives no quotient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from runner.host.judging import comparison, estimates, verdict
from runner.host.judging.comparison import Row
from runner.host.judging.estimates import Estimate
from runner.host.judging.measured import Measured
from runner.host.readers.catalog import Catalog, Claim

WordsVerdict = Literal["HOLDS", "HIGHER", "LOWER", "INCONCLUSIVE", "PROVISIONAL", "NOT-JUDGED"]
HOLDS: Final = "HOLDS"
HIGHER: Final = "HIGHER"
LOWER: Final = "LOWER"
INCONCLUSIVE: Final = "INCONCLUSIVE"
PROVISIONAL: Final = "PROVISIONAL"
NOT_JUDGED: Final = "NOT-JUDGED"

# Conditions that cells of two accelerators never share.
_OF_THE_ACCELERATOR = ("accelerator", "stack")

# What was measured beside a published cell, by the cell's name.
Beside = Mapping[str, tuple[Measured, Row]]


@dataclass(frozen=True)
class Side:
    """One of the two cells of a quotient: its name, its devices and its model in words, and the number as printed, with its unit.

    ``request`` is the id of the request whose ``launches`` count for the cell. Where none counts, ``request`` is None, and ``reason``
    says why.
    """

    claim: str
    devices: str
    model: str
    published: str
    request: str | None
    launches: int
    reason: str | None

    @property
    def words(self) -> str:
        """Return the devices and the model."""
        return f"{self.devices}, {self.model}"


@dataclass(frozen=True)
class Quotient:
    """The latency of the cell ``over`` in latencies of the cell ``under``: as published, and as measured where both were."""

    over: Side
    under: Side
    published: float
    measured: Estimate | None


@dataclass(frozen=True)
class Judgement:
    """What launches say of a claim in words: one word with its reasons. ``margin`` is a fraction, None where none was applied."""

    word: WordsVerdict
    reasons: list[str]
    margin: float | None = None


class Cells:
    """The published cells, and the launches that count for each of them."""

    def __init__(self, catalog: Catalog, beside: Beside) -> None:
        self.claims: Mapping[str, Claim] = catalog.claims
        self._catalog, self._beside = catalog, beside

    def quotient(self, over: str, under: str) -> Quotient:
        """Return the quotient of two cells, by their names."""
        sides = self._side(over), self._side(under)
        published = self.claims[over].latency_s / self.claims[under].latency_s
        measured = None
        if all(side.reason is None for side in sides):
            priors = self.claims[over].prior_cv, self.claims[under].prior_cv
            measured = estimates.of_quotient(self._latencies_s(over), self._latencies_s(under), priors)
        return Quotient(*sides, published, measured)

    def unlike(self, quotient: Quotient) -> list[str]:
        """Return the conditions that the two cells do not share, beside accelerator and stack, each with both values."""
        over, under = (
            comparison.claimed(self._catalog, self.claims[side.claim]) for side in (quotient.over, quotient.under)
        )
        return [
            f"{name}: {comparison.word(over[name])} against {comparison.word(under[name])}"
            for name in over
            if name not in _OF_THE_ACCELERATOR and over[name] != under[name]
        ]

    def margin(self, quotient: Quotient) -> float:
        """Return the greater of the margins that were fixed before the runs of a measured quotient."""
        return max(self._beside[side.claim][0].group.request.margin for side in (quotient.over, quotient.under))

    def of_equal_devices(self, over: Claim, under: Claim) -> list[Quotient]:
        """Return the quotients of the same source, model and batch on equal numbers of devices, the fewest devices first."""
        names = {
            (claim.accelerator, claim.devices): name
            for name, claim in self.claims.items()
            if (claim.source, claim.model, claim.batch_size) == (over.source, over.model, over.batch_size)
        }
        return [
            self.quotient(names[accelerator, devices], names[under.accelerator, devices])
            for accelerator, devices in sorted(names)
            if accelerator == over.accelerator and (under.accelerator, devices) in names
        ]

    def provisional(self, quotient: Quotient, judgement: Judgement) -> Judgement:
        """Return the judgement of a measured quotient, as PROVISIONAL where a side has one launch."""
        assumed = [
            f"one launch of {side.words}; a variation of {self.claims[side.claim].prior_cv:.1%} between launches is assumed"
            for side in (quotient.over, quotient.under)
            if side.launches == 1
        ]
        return Judgement(PROVISIONAL, [*assumed, *judgement.reasons], judgement.margin) if assumed else judgement

    def _side(self, name: str) -> Side:
        claim = self.claims[name]
        devices, published = f"{claim.devices} x {claim.accelerator}", f"{claim.value} {claim.unit}"
        reason = self._reason(name, f"{devices}, {claim.model}")
        if reason is not None:
            return Side(name, devices, claim.model, published, None, 0, reason)
        measured, _ = self._beside[name]
        return Side(name, devices, claim.model, published, measured.group.request.id, len(measured.samples), None)

    def _reason(self, name: str, words: str) -> str | None:
        """Return in words why no launch counts for a cell, None where launches do."""
        if name not in self._beside:
            return f"nothing was measured beside {words} of {self.claims[name].source}"
        measured, row = self._beside[name]
        if measured.walk_through:
            return f"beside {words} stands only a walk-through on a CPU"
        if row.verdict.word in verdict.COUNTED:
            return None
        return f"what was measured beside {words} is {row.verdict.word}: {'; '.join(row.verdict.reasons)}"

    def _latencies_s(self, name: str) -> list[float]:
        return [sample.latency_s for sample in self._beside[name][0].samples]


def without_launches(quotient: Quotient) -> Judgement:
    """Return the judgement of a quotient that was not measured, with the reason of each side once."""
    reasons = [side.reason for side in (quotient.over, quotient.under) if side.reason is not None]
    return Judgement(NOT_JUDGED, list(dict.fromkeys(reasons)))
