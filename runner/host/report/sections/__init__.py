"""The sections of the page, one module each. A section makes a record from the material and writes no HTML: its template does."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from runner.host.figures.svg import Figure
    from runner.host.report.material import Material

# The sections by their modules, in the order of the page.
ORDER = (
    "answer",
    "table",
    "cells",
    "floor",
    "prose",
    "conditions",
    "times",
    "costs",
    "replications",
    "history",
    "environment",
    "repeat",
    "provenance",
)


class Section(Protocol):
    """A section's module. ``HEADING`` is its title on the page; None for the section that the page begins with."""

    HEADING: str | None

    def content(self, material: Material) -> object | None:
        """Return the section's record, a dataclass whose fields JSON can hold; None where there is nothing to say."""

    def figures(self, content: object) -> list[Figure]:
        """Return the section's figures, in the order of the page."""


def load(name: str) -> Section:
    """Return the module of a section."""
    return cast(Section, importlib.import_module(f"{__name__}.{name}"))
