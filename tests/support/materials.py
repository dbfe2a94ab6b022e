"""Materials of reports that tests start from: of result files, of what was measured, and of rows without results behind them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from runner.contract import progress, strictjson
from runner.contract import result as results
from runner.contract.errors import DamagedResult
from runner.contract.records import JsonObject
from runner.host.judging import measured
from runner.host.judging.comparison import Difference, Row
from runner.host.judging.groups import Group
from runner.host.judging.measured import Measured, SourceFile
from runner.host.judging.verdict import Verdict, VerdictWord
from runner.host.readers import catalog
from runner.host.report import reading, templating
from runner.host.report.material import Material, WholeFile
from runner.host.report.sections import Section
from runner.host.results import result_files
from runner.host.results.index import Index
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support import groups

# Reading the catalog and the pins takes longer than most tests.
tables = functools.cache(catalog.read)
_kit = functools.cache(lambda: reading.kit(tables()))
# The published cells of the newest revision, in the order of the ledger.
CELLS = [name for name, claim in tables().claims.items() if claim.source == "post-3"]
WALK_THROUGH = Path("tests/data/result-2.json")


def of_measured(found: Sequence[Measured], **changes: Any) -> Material:
    """Return the material of what was measured, beside the two revisions of the post; ``changes`` are fields of the material."""
    usual = {"catalog": tables(), "measured": list(found), "sources": list(reading.SOURCES), "made_utc": "2026-11-27"}
    return Material(**{**usual, **changes})


def material(*rows: Row, **changes: Any) -> Material:
    """Return a material with a request of its own for each row."""
    return of_measured([_measured(row) for row in rows], **changes)


def of_files(paths: Iterable[Path], **changes: Any) -> Material:
    """Return the material of result files, all of them read whole too."""
    with Index(None) as index:
        read = measured.of_results(result_files.read_whole(map(str, paths), index, []), tables())
    whole: dict[str, list[WholeFile]] = {}
    for path in paths:
        result, request = result_files.of_bytes(path.read_bytes(), str(path))
        whole.setdefault(request.id, []).append(WholeFile(str(path), result, request))
    return of_measured(read, **{"whole": whole, **changes})


def of_folder(folder: Path, **changes: Any) -> Material:
    """Return what the verb reads of a folder of results."""
    refused: list[DamagedResult] = []
    with Index(None) as index:
        reader = reading.Reader(tables(), index, progress.SILENT, refused)
        found = reader.results([str(folder)])
        whole = reader.whole(found)
    refusals = [str(problem) for problem in refused]
    return of_measured(found, **{"whole": whole, "refused": refusals, "kit": _kit(), **changes})


def of_bodies(folder: Path, *bodies: JsonObject, **changes: Any) -> Material:
    """Return what the verb reads of unsealed results, which are written below ``folder``."""
    for number, body in enumerate(bodies):
        (folder / f"{number}.json").write_text(strictjson.pretty(results.seal(body)), encoding="utf-8")
    return of_folder(folder, **changes)


def made_up_material(folder: Path, *many: MadeUp, **changes: Any) -> Material:
    """Return a material of made-up results, which are written below ``folder``."""
    made_up.write(folder, list(many))
    with Index(None) as index:
        read = measured.of_results(result_files.read_whole([folder], index, []), tables())
    return of_measured(read, **{"example": "an example of a test", **changes})


def section(module: ModuleType, material: Material) -> str:
    """Return a section of the page as HTML, for material that the section has something to say of."""
    one = cast(Section, module)
    content = one.content(material)
    assert content is not None
    figures = {figure.name: figure for figure in one.figures(content)}
    return templating.rendered(
        f"sections/{module.__name__.rpartition('.')[2]}.html", {"content": content, "figures": figures}
    )


def row(
    claim: str, word: VerdictWord = "REPRODUCED", *conditions: str, walk_through: bool = False, **of_verdict: Any
) -> Row:
    """Return a row beside a published cell; each of ``conditions`` differs."""
    cell = tables().claims[claim]
    return Row(
        claim=claim,
        published=f"{cell.devices} x {cell.accelerator}, {cell.model}",
        published_s=cell.value,
        request="a-request-0123456789ab",
        measured="8 x a device, a model",
        walk_through=walk_through,
        verdict=Verdict(word, [f"{name} differs" for name in conditions] or ["a reason"], 5, **of_verdict),
        limit=None,
        differences=[Difference(name, "this", "that") for name in conditions],
    )


def _measured(row: Row) -> Measured:
    """Return what a row stands for: no launch, one file."""
    _, request = groups.gaudi2_result()
    return Measured(
        Group(replace(request, beside=[row.claim])),
        files=[SourceFile("a.json", "20261122T100000Z-0123abcd", "0" * 64)],
        rows=[row],
    )
