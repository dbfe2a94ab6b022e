"""Independent measurements of one cell, merged where their conditions are alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import cast

from runner.host.figures import forest, words
from runner.host.figures.forest import Diamond, ForestFigure, ForestGroup, ForestRow
from runner.host.figures.svg import Figure
from runner.host.judging import replications
from runner.host.judging.replications import AlikeGroup, Measurement, Replications, Together
from runner.host.report.material import Material

HEADING: str | None = "Independent measurements together"

# Cells that are drawn, those of the catalog first; reasons that are told of requests in no forest, the most frequent.
MOST_CELLS, _MOST_REASONS = 40, 10


@dataclass(frozen=True)
class Forest:
    """A cell with its measurements in groups of equal conditions, and the name of the cell's figure."""

    figure: str
    cell: str
    replications: Replications


@dataclass(frozen=True)
class Forests:
    """The cells that have two measurements or more; ``cells_left_out`` counts those that are not drawn.

    ``left_out`` counts by reason the requests whose results are in no forest, ``left_out_otherwise`` those of rarer reasons. ``note`` is
    what each figure of launches must say; a figure of published numbers alone does not.
    """

    forests: list[Forest]
    cells_left_out: int
    left_out: dict[str, int]
    left_out_otherwise: int
    note: str | None


def content(material: Material) -> Forests | None:
    """Return the measurements of each cell that the page is about; None where no such cell has two."""
    shown = material.cells()
    gathered = replications.of_cells(material.catalog, material.measured, material.laboratories)
    cells = [each for each in gathered if each.cell in shown]
    if not cells:
        return None
    everyone = [material.measured, *material.laboratories.values()]
    reasons = Counter(filter(None, (replications.why_not(measured) for results in everyone for measured in results)))
    told = dict(reasons.most_common(_MOST_REASONS))
    return Forests(
        forests=[Forest(_name(cell), cell.words, cell) for cell in cells[:MOST_CELLS]],
        cells_left_out=max(0, len(cells) - MOST_CELLS),
        left_out=told,
        left_out_otherwise=sum(reasons.values()) - sum(told.values()),
        note=material.note(None),
    )


def figures(content: object) -> list[Figure]:
    """Return one figure for each cell."""
    forests = cast(Forests, content)
    return [forest.draw(_figure(each, forests.note if _holds_launches(each) else None)) for each in forests.forests]


def _holds_launches(cell: Forest) -> bool:
    """Return whether a figure shows more than published numbers."""
    measurements = (measurement for group in cell.replications.groups for measurement in group.measurements)
    return any(measurement.origin != "published" for measurement in measurements)


def _name(cell: Replications) -> str:
    return f"replications-{cell.accelerator}-{cell.devices}-{cell.model}-{cell.batch_size}"


def _figure(cell: Forest, note: str | None) -> ForestFigure:
    return ForestFigure(
        name=cell.figure,
        title=cell.cell,
        groups=tuple(map(_group, cell.replications.groups)),
        unit="seconds for one call; dashed: the variation is assumed",
        note=note,
    )


def _group(group: AlikeGroup) -> ForestGroup:
    heading = ", ".join(f"{name} {value}" for name, value in group.differs.items())
    return ForestGroup(
        heading=heading or None,
        rows=tuple(map(_row, group.measurements)),
        together=None if group.together is None else _diamond(group.together),
        remark=group.alone,
    )


def _row(measurement: Measurement) -> ForestRow:
    return ForestRow(
        label=measurement.laboratory,
        basis=_basis(measurement),
        shown=_shown(measurement.latency_s, measurement.interval_s),
        value=measurement.latency_s,
        interval=measurement.interval_s,
        assumed=measurement.assumed_cv is not None,
        published=measurement.origin == "published",
        weight=measurement.weight,
    )


def _basis(measurement: Measurement) -> str:
    """Return in words what a measurement and its interval rest on."""
    assumed = "" if measurement.assumed_cv is None else f"{measurement.assumed_cv * 100:g}% assumed"
    if measurement.origin == "published":
        return assumed
    # that a single launch's variation is assumed, its dashes say
    return words.counted(measurement.launches, "launch", "launches")


def _diamond(together: Together) -> Diamond:
    q = "without bound" if together.q is None else words.digits(together.q, 3)
    spread = f"between laboratories {together.tau:.1%}; I² {together.i_squared:.0%}; Q {q}, {_p(together.p)}"
    if together.prediction_s is not None:
        low, high = map(words.digits, together.prediction_s)
        spread += f"; 95% of further ones {low} to {high}"
    return Diamond(
        label=f"{together.measurements} together",
        shown=_shown(together.latency_s, together.interval_s),
        value=together.latency_s,
        interval=together.interval_s,
        prediction=together.prediction_s,
        spread=spread,
    )


def _p(value: float) -> str:
    return f"p {value:.2g}" if value >= 0.001 else "p < 0.001"


def _shown(latency_s: float, interval_s: tuple[float, float] | None) -> str:
    if interval_s is None:
        return f"{words.digits(latency_s)} s"
    return f"{words.digits(latency_s)} s ({words.digits(interval_s[0])} to {words.digits(interval_s[1])})"
