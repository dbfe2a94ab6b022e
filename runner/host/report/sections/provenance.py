"""The files that every number comes from, and what was left out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from runner.host.figures.svg import Figure
from runner.host.judging.measured import Measured, SourceFile
from runner.host.readers.prices import HourlyPrice
from runner.host.report import bandwidths, shown
from runner.host.report.bandwidths import Bandwidth
from runner.host.report.material import Material

HEADING: str | None = "Where each number comes from"

# Refused files whose reasons are shown.
_REFUSED = 20


@dataclass(frozen=True)
class File:
    """A result's file. ``seal_sha256`` is the one in the result, ``file_sha256`` that of the file's bytes, None where they were not read
    for this page. ``signature`` is None: results are not signed.
    """

    path: str
    attempt: str
    seal_sha256: str
    file_sha256: str | None
    signature: str | None


@dataclass(frozen=True)
class OfRequest:
    """The files of one request: the newest, and of all others their number and one hash.

    ``others_sha256`` is the sha256 of the others' seals, sorted, one a line with a newline behind each; None where there are no others.
    ``cells`` names the published cells that the request's numbers stand beside.
    """

    request: str
    cells: list[str]
    launches: int
    failed_launches: int
    files: list[File]
    others: int
    others_sha256: str | None


@dataclass(frozen=True)
class OfLaboratory:
    """The results of another laboratory: the numbers of its requests and files, and one hash as in ``OfRequest``."""

    laboratory: str
    requests: int
    files: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """A publication whose numbers the page shows, and where it was read."""

    name: str
    title: str
    place: str
    date: str | None
    cells: int


@dataclass(frozen=True)
class PriceSource:
    """A price of the user, and who named it when."""

    name: str
    price: HourlyPrice


@dataclass(frozen=True)
class Content:
    """The section's record. ``requests_left_out`` and ``refused_left_out`` count what is not shown."""

    publications: list[Publication]
    bandwidths: list[Bandwidth]
    prices: list[PriceSource]
    requests: list[OfRequest]
    requests_left_out: int
    files_left_out: int
    laboratories: list[OfLaboratory]
    refused: list[str]
    refused_left_out: int
    beside_page: list[str]


def content(material: Material) -> Content:
    """Return the section's record."""
    groups = material.measured[: shown.REQUESTS]
    rest = material.measured[shown.REQUESTS :]
    return Content(
        publications=[_publication(material, name) for name in material.sources],
        bandwidths=bandwidths.named(material),
        prices=[PriceSource(name, row) for name, row in (material.prices.rows if material.prices else {}).items()],
        requests=[_of_request(material, measured) for measured in groups],
        requests_left_out=len(rest),
        files_left_out=sum(len(measured.files) for measured in rest),
        laboratories=[_of_laboratory(name, found) for name, found in material.laboratories.items()],
        refused=[shown.foreign(reason) for reason in material.refused[:_REFUSED]],
        refused_left_out=max(0, len(material.refused) - _REFUSED),
        beside_page=list(material.beside_page),
    )


def figures(content: object) -> list[Figure]:
    """Return the section's figures: none."""
    return []


def _publication(material: Material, name: str) -> Publication:
    source = material.catalog.claim_sources[name]
    return Publication(name, source.title, source.place, source.date, len(material.claims_of(name)))


def _of_request(material: Material, measured: Measured) -> OfRequest:
    request = measured.group.request
    whole = {file.path: file.file_sha256 for file in material.whole.get(request.id, [])}
    newest, others = _newest(measured.files)
    return OfRequest(
        request=request.id,
        cells=[row.claim for row in measured.rows],
        launches=len(measured.samples),
        failed_launches=measured.group.failed,
        files=[
            File(shown.foreign(file.path), file.attempt, file.sha256, whole.get(file.path), None) for file in newest
        ],
        others=len(others),
        others_sha256=_sha256(others) if others else None,
    )


def _newest(files: Sequence[SourceFile]) -> tuple[list[SourceFile], list[SourceFile]]:
    """Return the newest files, the newest first, and all others."""
    return list(reversed(files[-shown.FILES :])), list(files[: -shown.FILES])


def _sha256(files: Sequence[SourceFile]) -> str:
    return hashlib.sha256("".join(f"{seal}\n" for seal in sorted(file.sha256 for file in files)).encode()).hexdigest()


def _of_laboratory(name: str, found: Sequence[Measured]) -> OfLaboratory:
    files = [file for measured in found for file in measured.files]
    return OfLaboratory(shown.foreign(name), len(found), len(files), _sha256(files))
