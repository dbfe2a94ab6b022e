"""What a report is made from: everything that was read, before any section looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runner.contract.records import Result
from runner.contract.request import Request
from runner.host.judging import measured as measurements
from runner.host.judging import replications
from runner.host.judging.comparison import Row
from runner.host.judging.measured import WALK_THROUGH, Measured
from runner.host.judging.replications import Cell
from runner.host.readers.catalog import Catalog, Claim
from runner.host.readers.prices import Prices
from runner.host.report.commands import Kit


@dataclass(frozen=True)
class WholeFile:
    """A result that was read whole, for what a summary does not hold: its path, the result and its request.

    ``file_sha256`` is that of the file's bytes, None where the result came from no file.
    """

    path: str
    result: Result
    request: Request
    file_sha256: str | None = None


@dataclass(frozen=True)
class Material:
    """Everything that a report is made from.

    ``measured`` holds the results that the report is about, the newest request first. ``laboratories`` holds the results of others by the
    laboratory's name. ``whole`` holds by the id of a request its newest results, read whole: few of them, however many there are.
    ``sources`` names the publications whose tables the page shows, the one shown first at the end.

    ``example`` says in words why the results are no measurements, None where they are; the page and every figure of launches
    carry these words.
    ``made_utc`` is the day on which the report was made, YYYY-MM-DD; ``refused`` says of each refused file why. ``prices`` are the user's,
    None where there are none. ``kit`` holds the pins that commands are tried with, None where none are tried. ``beside_page`` names the
    files and folders that lie beside the page.
    """

    catalog: Catalog
    measured: list[Measured]
    sources: list[str]
    made_utc: str
    laboratories: Mapping[str, list[Measured]] = field(default_factory=dict)
    whole: Mapping[str, list[WholeFile]] = field(default_factory=dict)
    example: str | None = None
    refused: list[str] = field(default_factory=list)
    prices: Prices | None = None
    kit: Kit | None = None
    beside_page: tuple[str, ...] = ()

    def claims_of(self, source: str) -> dict[str, Claim]:
        """Return the published cells of a publication, by their names."""
        return {name: claim for name, claim in self.catalog.claims.items() if claim.source == source}

    def beside(self, claim: str) -> list[tuple[Measured, Row]]:
        """Return what was measured beside a published cell, the newest first among its like: see ``measurements.beside``."""
        return measurements.beside(self.measured, claim)

    def this_run(self, claim: str) -> tuple[Measured, Row] | None:
        """Return what the page sets beside a published cell first; None where nothing was measured beside it."""
        return next(iter(self.beside(claim)), None)

    def note(self, measured: Measured | None) -> str | None:
        """Return the words that a figure of these launches must carry: an example's, a walk-through's, or None."""
        if self.example is not None:
            return self.example
        return WALK_THROUGH if measured is not None and measured.walk_through else None

    def shown_claims(self) -> Iterator[tuple[str, Claim]]:
        """Yield the published cells of all ``sources``, by their names."""
        for source in self.sources:
            yield from self.claims_of(source).items()

    def cells(self) -> set[Cell]:
        """Return the cells that the page is about: those that its ``sources`` publish, and those that were measured here or by others."""
        everyone = (self.measured, *self.laboratories.values())
        requests = (measured.group.request for results in everyone for measured in results)
        published = (replications.cell_of(claim) for _, claim in self.shown_claims())
        return {*published, *map(replications.cell_of_request, requests)}
