"""The memory bandwidths of the accelerators that a page names: its limits are computed from them, and it says who told each."""

from __future__ import annotations

from dataclasses import dataclass

from runner.host.report.material import Material


@dataclass(frozen=True)
class Bandwidth:
    """The memory bandwidth of one device of an accelerator, None where no source tells it, and the source."""

    accelerator: str
    hbm_bytes_per_s: float | None
    source: str


def named(material: Material) -> list[Bandwidth]:
    """Return the bandwidths of all accelerators that the page names: those of the published cells, then those of what was measured."""
    published = [claim.accelerator for _, claim in material.shown_claims()]
    measured = [each.group.request.accelerator.name for each in material.measured]
    return [_bandwidth(material, name) for name in dict.fromkeys([*published, *measured])]


def _bandwidth(material: Material, name: str) -> Bandwidth:
    row = material.catalog.accelerator_rows.get(name)
    # a product whose name came from the driver of its host
    if row is None:
        return Bandwidth(name, None, "no row of the catalog")
    return Bandwidth(name, row.in_request.hbm_bytes_per_s, row.source)
