"""Figures that the tests look at. ``python -m tests.host.figures.examples`` writes their golden files anew: look at each of them."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

from runner.host.figures import cell, distribution, distributions, factors, floor, svg
from runner.host.figures.cell import CellFigure, OtherNumber
from runner.host.figures.distribution import DistributionFigure, Mark
from runner.host.figures.distributions import DistributionRow, DistributionsFigure
from runner.host.figures.factors import Factor, FactorsFigure, Measured
from runner.host.figures.floor import FloorFigure, FloorRow, Share
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure
from tests.host.figures import examples_together

GOLDENS = Path("tests/data/figures")


def a_cell(*latencies_s: float, **changes: object) -> CellFigure:
    """Return the figure of a cell of 3.103 s, with a margin of 5%, beside some launches."""
    told: dict[str, object] = {
        "name": "cell-post-3-gaudi2-8-bloomz",
        "title": "8 x gaudi2, bloomz",
        "word": "REPRODUCED",
        "note": None,
        "published_s": "3.103",
        "rounding_s": (3.1025, 3.1035),
        "band_s": (3.103 / 1.05, 3.103 * 1.05),
        "margin": 0.05,
        "dots": tuple(Dot(value, f"launch {number}") for number, value in enumerate(latencies_s, 1)),
        "bars": (),
    }
    return CellFigure(**{**told, **changes})  # type: ignore[arg-type]


def a_distribution(*values: float, **changes: object) -> DistributionFigure:
    """Return the figure of a distribution of milliseconds."""
    told: dict[str, object] = {
        "name": "ttft-example",
        "title": "Time to first token",
        "lines": ("8 x gaudi2, bloomz, stack gaudi-1.10", "5 launches, the median of the calls of each"),
        "note": None,
        "what": "milliseconds",
        "unit": "ms",
        "dots": tuple(Dot(value, f"{value} ms") for value in values),
        "bars": (),
        "marks": (),
    }
    return DistributionFigure(**{**told, **changes})  # type: ignore[arg-type]


def a_row(*values: float, **changes: object) -> DistributionRow:
    """Return a row of milliseconds."""
    told: dict[str, object] = {
        "label": "8 x gaudi2, bloomz, gaudi-1.10",
        "what": f"{len(values)} launches",
        "dots": tuple(Dot(value, f"{value} ms") for value in values),
        "bars": (),
        "median": statistics.median(values) if values else 0,
    }
    return DistributionRow(**{**told, **changes})  # type: ignore[arg-type]


def some_rows(*rows: DistributionRow) -> DistributionsFigure:
    """Return the figure of rows of milliseconds."""
    line = "a dot is the median of the calls of one launch; line and number are the median of launches"
    return DistributionsFigure("ttft", "Time to first token", line, "milliseconds", "ms", rows)


def a_factor(*factors: Factor, **changes: object) -> FactorsFigure:
    """Return the figure of factors beside the 2.89 of the words, with a margin of 15%."""
    told: dict[str, object] = {
        "name": "factor-post-3-7b",
        "title": "bloomz-7b1: 2.89 times (post-3)",
        "what": "latency of the first in latencies of the second",
        "word": "HOLDS",
        "note": None,
        "reference": 2.89,
        "reference_words": "in words: 2.89 times",
        "rounding": (2.885, 2.895),
        "band": (2.89 / 1.15, 2.89 * 1.15),
        "factors": factors,
        "axis": "factor; shaded: within 15%",
    }
    return FactorsFigure(**{**told, **changes})  # type: ignore[arg-type]


def _many() -> tuple[Bar, ...]:
    numbers = random.Random(5)
    counts = [int(400 * 0.8 ** abs(place - 18)) + numbers.randrange(3) for place in range(40)]
    return tuple(Bar(3 + place / 200, 3 + (place + 1) / 200, count, count // 9) for place, count in enumerate(counts))


_RATIO = "1.000, 90% interval 0.998 to 1.002"
_JUDGED = {"mean_s": 3.103, "interval_s": (3.096, 3.110), "prediction_s": (3.083, 3.124), "ratio": _RATIO}
_FIVE = (3.10, 3.112, 3.095, 3.108, 3.101)
_EARLIER = (OtherNumber("2023-03-28", "3.717"),)


def figures() -> dict[str, Figure]:
    """Return the figures by the names of their golden files."""
    flagged = tuple(Dot(value, "launch", flagged=value == 3.095) for value in _FIVE)
    far = {"mean_s": 0.5912, "interval_s": (0.5814, 0.6011), "ratio": "0.191, 90% interval 0.187 to 0.194"}
    shares = FloorRow(
        "8 x gaudi2, bloomz", "suggests: memory", (Share("published", 0.58, True), Share("here", 0.61, False))
    )
    only = FloorRow("8 x a100-80gb, bloomz-7b1", "suggests: host or link", (Share("published", 0.037, True),))
    gaps = tuple(Bar(5 * 1.2**place, 5 * 1.2 ** (place + 1), 200 // (place + 1)) for place in range(20))
    return {
        **examples_together.figures(),
        "cell": cell.draw(a_cell(dots=flagged, others=_EARLIER, **_JUDGED)),
        "cell-far": cell.draw(
            a_cell(
                0.5912,
                word=None,
                note="walk-through on a CPU: reproduces no published cell",
                measured="2 x cpu, bloom-tiny",
                **far,
            )
        ),
        "cell-one": cell.draw(a_cell(3.2, word="PROVISIONAL", mean_s=3.2, interval_s=(3.147, 3.254))),
        "cell-equal": cell.draw(a_cell(*[3.103] * 40, **_JUDGED)),
        "cell-many": cell.draw(a_cell(bars=_many(), failed=3, **_JUDGED)),
        "cell-undecided": cell.draw(a_cell(*_FIVE, word="INVALID", others=_EARLIER)),
        "factor": factors.draw(
            a_factor(
                Factor("As published: 1 x a100-80gb over 8 x gaudi2", 2.887, Measured(3.006, 2.950, 3.063)),
                Factor("Like for like: 1 x a100-80gb over 1 x gaudi2", 2.745, Measured(3.224, 3.195, 3.252)),
                Factor("Like for like: 8 x a100-80gb over 8 x gaudi2", 3.293, None),
            )
        ),
        "factor-published": factors.draw(
            a_factor(
                Factor("8 x a100-80gb over 8 x gaudi2", 1.184, None),
                title="bloomz: 1.2 times (post-1)",
                word="NOT-JUDGED",
                note="an example: made up",
                reference=1.2,
                rounding=(1.15, 1.25),
                band=None,
                axis="factor; shaded: rounds to 1.2",
            )
        ),
        "factor-price": factors.draw(
            a_factor(
                Factor("prices of post-3: 30 and 13 USD an hour", 2.049, Measured(2.09, 2.07, 2.11)),
                Factor("your prices: 4.1 and 10.42 EUR an hour, whole instances", 0.35, Measured(0.36, 0.34, 0.38)),
                title="bloomz-7b1: better price (post-3)",
                reference=1.0,
                reference_words="equal cost",
                rounding=None,
                band=None,
                axis="factor",
            )
        ),
        "floor": floor.draw(FloorFigure("memory-floor", "Share of each time that memory needs", None, (shares, only))),
        "floor-example": floor.draw(FloorFigure("memory-floor", "Share of each time", "an example: made up", (only,))),
        "times": distribution.draw(a_distribution(101.5, 99.8, 100.4, 100.4, 103.2, marks=(Mark("median", 100.4),))),
        "times-rows": distributions.draw(
            some_rows(
                a_row(101.5, 99.8, 100.4, 100.4, 103.2),
                a_row(31.2, 32.0, 31.4, label="1 x gaudi, bloomz-7b1, gaudi-1.10"),
                a_row(bars=gaps[:9], median=12.0, label="8 x a100-80gb, bloomz-7b1, cuda-2023"),
            )
        ),
        "times-rows-example": distributions.draw(
            some_rows(
                a_row(101.5, 99.8, note="an example: made up"),
                a_row(
                    12.0, label="2 x cpu, bloom-tiny, cpu", note="walk-through on a CPU: reproduces no published cell"
                ),
            )
        ),
        "times-many": distribution.draw(a_distribution(bars=gaps, marks=(Mark("median", 9.7), Mark("p99", 121.0)))),
    }


def main() -> None:
    """Write the golden files."""
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for name, figure in figures().items():
        (GOLDENS / f"{name}.svg").write_text(svg.document(figure), encoding="utf-8")


if __name__ == "__main__":
    main()
