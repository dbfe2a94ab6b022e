"""Materials of reports as the verb reads them: from result files, with what was read whole and the pins of this copy of the kit."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from runner.contract import progress, strictjson
from runner.contract import result as results
from runner.contract.errors import DamagedResult
from runner.contract.records import JsonObject
from runner.host.report import reading
from runner.host.report.material import Material
from runner.host.results.index import Index
from tests.support.materials import tables

_kit = functools.cache(lambda: reading.kit(tables()))


def of_folder(folder: Path, **changes: Any) -> Material:
    """Return what the verb reads of a folder of results; ``changes`` are fields of the material."""
    refused: list[DamagedResult] = []
    with Index(None) as index:
        reader = reading.Reader(tables(), index, progress.SILENT, refused)
        found = reader.results([str(folder)])
        whole = reader.whole(found)
    given: dict[str, Any] = {
        "whole": whole,
        "refused": [str(problem) for problem in refused],
        "kit": _kit(),
        **changes,
    }
    return Material(tables(), found, list(reading.SOURCES), "2026-11-27", **given)


def of_bodies(folder: Path, *bodies: JsonObject, **changes: Any) -> Material:
    """Return what the verb reads of unsealed results, which are written below ``folder``."""
    for number, body in enumerate(bodies):
        (folder / f"{number}.json").write_text(strictjson.pretty(results.seal(body)), encoding="utf-8")
    return of_folder(folder, **changes)
