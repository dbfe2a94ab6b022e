"""Materials of reports that tests start from: rows of any verdict beside published cells, without results behind them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.host.judging import measured
from runner.host.judging.comparison import Difference, Row
from runner.host.judging.groups import Group
from runner.host.judging.measured import Measured, SourceFile
from runner.host.judging.verdict import Verdict, VerdictWord
from runner.host.readers import catalog
from runner.host.report.material import Material
from runner.host.results import result_files
from runner.host.results.index import Index
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support import groups

tables = functools.cache(catalog.read)
# The published cells of the newest revision, in the order of the ledger.
CELLS = [name for name, claim in tables().claims.items() if claim.source == "post-3"]


def material(*rows: Row, sources: Sequence[str] = ("post-1", "post-3"), **changes: Any) -> Material:
    """Return a material with a request of its own for each row."""
    return Material(tables(), [_measured(row) for row in rows], list(sources), "2026-11-27", **changes)


def made_up_material(folder: Path, *many: MadeUp, sources: Sequence[str] = ("post-1", "post-3")) -> Material:
    """Return a material of made-up results, which are written below ``folder``."""
    made_up.write(folder, list(many))
    with Index(None) as index:
        read = measured.of_results(result_files.read_whole([folder], index, []), tables())
    return Material(tables(), read, list(sources), "2026-11-27", example="an example of a test")


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
