"""How near each number is to the limit that memory bandwidth sets."""

from __future__ import annotations

from runner.host.figures.svg import Figure
from runner.host.report.material import Material

HEADING: str | None = "How near to the limit of memory"


def content(material: Material) -> object | None:
    """Return the section's record; None where there is nothing to say."""
    return None


def figures(content: object) -> list[Figure]:
    """Return the section's figures."""
    return []
