"""Put the page together: each section's record, its figures, and the one HTML file that holds all of them."""

from __future__ import annotations

from dataclasses import dataclass

from runner import __version__
from runner.host.figures import palette
from runner.host.figures.svg import Figure
from runner.host.report import sections, templating
from runner.host.report.material import Material


@dataclass(frozen=True)
class FilledSection:
    """A section of a page: its name, its heading, its record, and its figures by their names."""

    name: str
    heading: str | None
    content: object
    figures: dict[str, Figure]


def filled(material: Material) -> list[FilledSection]:
    """Return the sections that have something to say, in the order of the page."""
    made = []
    for name in sections.ORDER:
        section = sections.load(name)
        content = section.content(material)
        if content is not None:
            figures = {figure.name: figure for figure in section.figures(content)}
            made.append(FilledSection(name, section.HEADING, content, figures))
    return made


def html(material: Material, parts: list[FilledSection]) -> str:
    """Return the page, which needs no other file."""
    values = {
        "sections": parts,
        "example": material.example,
        "made_utc": material.made_utc,
        "version": __version__,
        "colours": _colours(),
        "figure_css": palette.CSS,
    }
    return templating.rendered("page.html", values)


def _colours() -> str:
    """Return the colours of figures as variables of CSS, so that text and figures have the same."""
    light, dark = (
        "".join(f"--{name}:{colours[scheme]};" for name, colours in palette.COLOURS.items()) for scheme in (0, 1)
    )
    return f":root{{color-scheme:light dark;{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
