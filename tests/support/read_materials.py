"""What reports are made from, out of result files."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from runner.host.judging import measured
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.report import templating
from runner.host.report.material import Material, WholeFile
from runner.host.report.sections import Section
from runner.host.results import result_files
from runner.host.results.index import Index

# Reading the catalog takes longer than most tests.
tables = functools.cache(catalog.read)
WALK_THROUGH = Path("tests/data/result-2.json")


def of_files(paths: Iterable[Path], **changes: Any) -> Material:
    """Return the material of result files, all of them read whole too."""
    read: list[Measured]
    with Index(None) as index:
        read = measured.of_results(result_files.read_whole(map(str, paths), index, []), tables())
    whole: dict[str, list[WholeFile]] = {}
    for path in paths:
        result, request = result_files.of_bytes(path.read_bytes(), str(path))
        whole.setdefault(request.id, []).append(WholeFile(str(path), result, request))
    return of_measured(read, **{"whole": whole, **changes})


def of_measured(read: list[Measured], **changes: Any) -> Material:
    """Return the material of what was measured, beside the two revisions of the post."""
    return Material(
        **{"catalog": tables(), "measured": read, "sources": ["post-1", "post-3"], "made_utc": "2026-11-27", **changes}
    )


def section(module: ModuleType, material: Material) -> str:
    """Return a section of the page as HTML, for material that the section has something to say of."""
    one = cast(Section, module)
    content = one.content(material)
    assert content is not None
    figures = {figure.name: figure for figure in one.figures(content)}
    return templating.rendered(
        f"sections/{module.__name__.rpartition('.')[2]}.html", {"content": content, "figures": figures}
    )
