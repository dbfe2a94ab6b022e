"""The same case over stacks and time."""

from __future__ import annotations

from runner.host.figures.svg import Figure
from runner.host.report.material import Material

HEADING: str | None = "Over time"


def content(material: Material) -> object | None:
    """Return the section's record; None where there is nothing to say."""
    return None


def figures(content: object) -> list[Figure]:
    """Return the section's figures."""
    return []
