"""The files that every number comes from, and what was left out."""

from __future__ import annotations

from runner.host.figures.svg import Figure
from runner.host.report.material import Material

HEADING: str | None = "Where each number comes from"


def content(material: Material) -> object | None:
    """Return the section's record; None where there is nothing to say."""
    return None


def figures(content: object) -> list[Figure]:
    """Return the section's figures."""
    return []
