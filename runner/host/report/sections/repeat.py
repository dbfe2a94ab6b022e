"""The commands that repeat what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from runner import __version__
from runner.host.figures.svg import Figure
from runner.host.judging.measured import Measured
from runner.host.report import commands, shown
from runner.host.report.commands import Again, Kit
from runner.host.report.material import Material

HEADING: str | None = "How to repeat it"

# The folder beside the page that holds the requests.
REQUESTS = "requests/"


@dataclass(frozen=True)
class Repeat:
    """How one request is repeated.

    ``again`` says which commands make and measure it. ``image`` is the reference by digest that the request names, None where it names
    none; ``image_digests`` are those that the tags of its attempts were. ``file`` is the request's file beside the page, None where
    none lies there; ``from_file`` is the command that measures the request from the file, None where none can.
    """

    again: Again
    image: str | None
    image_digests: list[str]
    file: str | None
    from_file: list[str] | None

    @property
    def is_exact(self) -> bool:
        """Whether this copy of the kit makes the very request."""
        return self.again.makes == self.again.request

    @property
    def command(self) -> str | None:
        """The command that writes the request, as a shell takes it."""
        return None if self.again.command is None else commands.line(self.again.command)

    @property
    def file_command(self) -> str | None:
        """The command that measures the request from its file, as a shell takes it."""
        return None if self.from_file is None else commands.line(self.from_file)

    @property
    def routes(self) -> list[tuple[str, list[str]]]:
        """Each way to measure the request, with its commands as a shell takes them."""
        return [(route.where, [commands.line(words) for words in route.commands]) for route in self.again.routes]


@dataclass(frozen=True)
class Content:
    """The section's record. ``repository`` is where the kit lies, None where the kit does not know it; ``left_out`` counts requests."""

    kit_version: str
    repository: str | None
    requests: list[Repeat]
    left_out: int


def content(material: Material) -> Content | None:
    """Return the section's record; None where nothing was measured."""
    if not material.measured or material.kit is None:
        return None
    groups = material.measured[: shown.REQUESTS]
    requests = [_repeat(material, material.kit, measured) for measured in groups]
    return Content(__version__, material.kit.repository, requests, len(material.measured) - len(groups))


def figures(content: object) -> list[Figure]:
    """Return the section's figures: none."""
    return []


def _repeat(material: Material, kit: Kit, measured: Measured) -> Repeat:
    group = measured.group
    file = f"{REQUESTS}{group.request.id}.json" if REQUESTS in material.beside_page else None
    return Repeat(
        again=commands.again(group.request, material.catalog, kit),
        image=group.request.stack.image,
        image_digests=sorted({digest for digests in group.digests.values() for digest in digests}),
        file=file,
        from_file=None if file is None else commands.of_file(group.request, kit.lock, file),
    )
