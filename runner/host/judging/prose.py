"""Judge the factors that publications claim in words: by their own cells, and by the launches measured beside them. Pure.

A quotient of cells on unlike numbers of devices is judged as it was published, and the quotients on equal numbers stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from runner.host.judging import quotients, verdict
from runner.host.judging.findings import rounds_to
from runner.host.judging.quotients import Beside, Cells, Judgement, Quotient, WordsVerdict
from runner.host.judging.verdict import Place
from runner.host.readers.catalog import Catalog, Ratio


@dataclass(frozen=True)
class ClaimedFactor:
    """A factor that the source ``source`` claims in words, ``says`` as printed, and the quotient that it comes from.

    ``rounds`` says whether the quotient of the published cells rounds to the words. ``unlike`` names the conditions that the two cells do
    not share, beside accelerator and stack. ``like_for_like`` holds the quotients of the same source, model and accelerators on equal
    numbers of devices, where those of ``quotient`` are unlike.
    """

    name: str
    source: str
    says: str
    quotient: Quotient
    rounds: bool
    unlike: list[str]
    judgement: Judgement
    like_for_like: list[Quotient]


def factors(catalog: Catalog, sources: Collection[str], beside: Beside) -> list[ClaimedFactor]:
    """Return every factor that one of ``sources`` claims in words, in the order of the catalog."""
    cells = Cells(catalog, beside)
    return [_factor(cells, name, ratio) for name, ratio in catalog.ratios.items() if ratio.source in sources]


def _factor(cells: Cells, name: str, ratio: Ratio) -> ClaimedFactor:
    quotient = cells.quotient(ratio.slower, ratio.faster)
    slower, faster = cells.claims[ratio.slower], cells.claims[ratio.faster]
    return ClaimedFactor(
        name=name,
        source=ratio.source,
        says=ratio.says,
        quotient=quotient,
        rounds=rounds_to(quotient.published, ratio.says),
        unlike=cells.unlike(quotient),
        judgement=_judged(cells, quotient, ratio.says),
        like_for_like=cells.of_equal_devices(slower, faster) if slower.devices != faster.devices else [],
    )


def _judged(cells: Cells, quotient: Quotient, says: str) -> Judgement:
    """Return whether a measured quotient is the factor ``says`` within the margin, whatever was rounded to ``says``."""
    measured = quotient.measured
    if measured is None or measured.low is None or measured.high is None:
        return quotients.without_launches(quotient)
    margin = cells.margin(quotient)
    low, high = verdict.rounding(says)
    place = verdict.place(math.log(measured.low / high), math.log(measured.high / low), margin)
    # as verdict.against_claim does: what was rounded to the words lies anywhere between low and high
    judged: dict[Place, tuple[WordsVerdict, str]] = {
        "within": (quotients.HOLDS, f"lies within the margin of {margin:.0%}"),
        "above": (quotients.HIGHER, f"lies wholly above the margin of {margin:.0%}"),
        "below": (quotients.LOWER, f"lies wholly below the margin of {margin:.0%}"),
        "across": (quotients.INCONCLUSIVE, f"straddles the margin of {margin:.0%}; more launches would tell"),
    }
    word, reason = judged[place]
    interval = f"the interval {measured.low:.3f} to {measured.high:.3f}, with the rounding of {says},"
    return cells.provisional(quotient, Judgement(word, [f"{interval} {reason} around {says}"], margin))
