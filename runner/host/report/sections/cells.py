"""Each published cell with every launch beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from runner.host.figures import cell as cell_figure
from runner.host.figures.cell import CellFigure, OtherNumber
from runner.host.figures.strip import Bar, Dot
from runner.host.figures.svg import Figure
from runner.host.judging import bins, verdict
from runner.host.judging.bins import Bin
from runner.host.judging.comparison import Row
from runner.host.judging.measured import Measured
from runner.host.readers.catalog import Claim
from runner.host.report.material import Material

HEADING: str | None = "Each cell, launch by launch"

# Launches that are drawn as dots; more are drawn as bins.
MOST_DOTS = 120
# Other numbers of a cell that its figure shows, the newest.
_MOST_OTHERS = 3


@dataclass(frozen=True)
class Launch:
    """One launch: its attempt, its number in the attempt from 1, its latency, and the checks that flagged it."""

    attempt: str
    number: int
    latency_s: float
    flagged: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """Another published number of a cell: its claim, its source's date (or name), and the number as printed, in seconds."""

    claim: str
    date: str
    published_s: str


@dataclass(frozen=True)
class Cell:
    """A published cell and the request measured beside it, whose times are in seconds; ``date`` is its source's, or the source's name.

    ``word`` is None for a walk-through, which has no verdict on a cell. ``samples`` holds every launch where there are at most
    ``MOST_DOTS``, ``bins`` all launches where there are more. ``interval_s`` is the verdict's: of the mean, 90%, widened by the rounding
    of the published number. ``more`` counts the other requests beside the cell. ``again`` are publications that print the same number, of
    which these launches are the same measurement.
    """

    claim: str
    source: str
    date: str
    published: str
    published_s: str
    rounding_s: tuple[float, float]
    band_s: tuple[float, float]
    margin: float
    measured: str
    request: str
    stack: str
    word: str | None
    reasons: list[str]
    ratio: float | None
    interval: tuple[float, float] | None
    attained_margin: float | None
    mean_s: float | None
    interval_s: tuple[float, float] | None
    prediction_s: tuple[float, float] | None
    launches: int
    flagged: int
    failed: int
    samples: list[Launch]
    bins: list[Bin]
    others: list[Published]
    again: list[Published]
    more: int
    note: str | None

    @property
    def figure(self) -> str:
        """Return the name of the cell's figure."""
        return f"cell-{self.claim}"


@dataclass(frozen=True)
class Untimed:
    """A published cell whose measurement tells no times: the cell and the reasons."""

    claim: str
    published: str
    published_s: str
    reasons: list[str]


@dataclass(frozen=True)
class Cells:
    """The cells that were measured, in the order of the source shown first, and those whose measurement tells no times.

    ``marked`` are cells of other publications that the same launches cannot be compared with, and whose numbers are marks in the figures
    of ``cells``.
    """

    cells: list[Cell]
    marked: list[Published]
    untimed: list[Untimed]


def content(material: Material) -> Cells | None:
    """Return each published cell that something was measured beside; None where there is none.

    The same launches beside the same cell of a further publication are no further figure where that prints the same number and has the
    same verdict, or where it cannot be compared with them and its number is a mark in the figure that there is.
    """
    cells: dict[tuple[str, ...], list[Cell]] = {}
    marked, untimed = [], []
    for source in reversed(material.sources):
        for name, claim in material.claims_of(source).items():
            beside = material.beside(name)
            timed = next((pair for pair in beside if pair[0].samples and not pair[0].group.emulated), None)
            if timed is None:
                if beside:
                    row = beside[0][1]
                    untimed.append(Untimed(name, row.published, row.published_s, row.verdict.reasons))
                continue
            cell = _cell(material, name, claim, *timed, more=len(beside) - 1)
            drawn = cells.setdefault((cell.published, str(claim.batch_size), claim.unit, cell.request), [])
            published = Published(name, _date(material, claim), claim.value)
            same = next((each for each in drawn if each.source != source and _alike(each, cell)), None)
            if same is not None:
                same.again.append(published)
            elif cell.word == verdict.NOT_COMPARABLE and any(_marks(each, published) for each in drawn):
                marked.append(published)
            else:
                drawn.append(cell)
    shown = [cell for drawn in cells.values() for cell in drawn]
    return Cells(shown, marked, untimed) if shown or untimed else None


def _alike(one: Cell, other: Cell) -> bool:
    return (one.published_s, one.word) == (other.published_s, other.word)


def _marks(cell: Cell, published: Published) -> bool:
    """Return whether a number of another publication is a mark in the figure of a cell."""
    return published.published_s in {other.published_s for other in cell.others}


def _date(material: Material, claim: Claim) -> str:
    return material.catalog.claim_sources[claim.source].date or claim.source


def _cell(material: Material, name: str, claim: Claim, measured: Measured, row: Row, more: int) -> Cell:
    judged, published, margin = row.verdict, float(claim.value), measured.group.request.margin
    many = len(measured.samples) > MOST_DOTS
    flagged = [bool(sample.flagged) for sample in measured.samples]
    return Cell(
        claim=name,
        source=claim.source,
        date=_date(material, claim),
        published=row.published,
        published_s=claim.value,
        rounding_s=verdict.rounding(claim.value),
        band_s=(published / (1 + margin), published * (1 + margin)),
        margin=margin,
        measured=row.measured,
        request=row.request,
        stack=measured.group.request.stack.name,
        word=None if row.walk_through else judged.word,
        reasons=judged.reasons,
        ratio=judged.ratio,
        interval=judged.interval,
        attained_margin=judged.attained_margin,
        mean_s=None if judged.ratio is None else judged.ratio * published,
        interval_s=_times(judged.interval, published),
        prediction_s=_times(judged.prediction_interval, published),
        launches=len(measured.samples),
        flagged=sum(flagged),
        failed=measured.group.failed,
        samples=[]
        if many
        else [
            Launch(sample.attempt, sample.index + 1, sample.latency_s, sample.flagged) for sample in measured.samples
        ],
        bins=bins.of([sample.latency_s for sample in measured.samples], flagged) if many else [],
        others=_others(material, claim),
        again=[],
        more=more,
        note=material.note(measured),
    )


def _times(ratios: tuple[float, float] | None, published_s: float) -> tuple[float, float] | None:
    return None if ratios is None else (ratios[0] * published_s, ratios[1] * published_s)


def _others(material: Material, claim: Claim) -> list[Published]:
    """Return the other numbers that the shown sources give for a claim's cell, the newest source first; equal numbers once."""
    others: dict[str, Published] = {}
    for name, other in material.shown_claims():
        same = (other.accelerator, other.devices, other.model, other.batch_size) == (
            (claim.accelerator, claim.devices, claim.model, claim.batch_size)
        )
        if same and other.source != claim.source and other.unit == "s" and other.value != claim.value:
            others[other.value] = Published(name, _date(material, other), other.value)
    return list(others.values())[::-1][:_MOST_OTHERS]


def figures(content: object) -> list[Figure]:
    """Return a figure for each cell."""
    return [cell_figure.draw(_figure(cell)) for cell in cast(Cells, content).cells]


def _figure(cell: Cell) -> CellFigure:
    ratio = None if cell.ratio is None else f"{cell.ratio:.3f}"
    if ratio is not None and cell.interval is not None:
        ratio += f", 90% interval {cell.interval[0]:.3f} to {cell.interval[1]:.3f}"
    return CellFigure(
        name=cell.figure,
        title=cell.published,
        word=cell.word,
        note=cell.note,
        published_s=cell.published_s,
        rounding_s=cell.rounding_s,
        band_s=cell.band_s,
        margin=cell.margin,
        dots=tuple(_dot(launch) for launch in cell.samples),
        bars=tuple(Bar(bin.low, bin.high, bin.count, bin.flagged) for bin in cell.bins),
        mean_s=cell.mean_s,
        interval_s=cell.interval_s,
        prediction_s=cell.prediction_s,
        ratio=ratio,
        failed=cell.failed,
        measured=None if cell.measured == cell.published else cell.measured,
        others=tuple(OtherNumber(other.date, other.published_s) for other in cell.others),
        dates=(*(other.date for other in reversed(cell.again)), cell.date) if cell.again else (),
    )


def _dot(launch: Launch) -> Dot:
    flagged = f"; flagged: {', '.join(launch.flagged)}" if launch.flagged else ""
    return Dot(
        launch.latency_s,
        f"{launch.attempt} launch {launch.number}: {launch.latency_s:.6g} s{flagged}",
        bool(launch.flagged),
    )
