"""What docs/exports.md says of the formats holds."""

from __future__ import annotations

import re
from pathlib import Path

from runner.host.exports import launches_csv, openmetrics
from runner.host.exports.formats import FORMATS
from tests.host.exports import made

PAGE = (Path(__file__).parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    """Return what stands in code in the first cells of the table with this heading."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


def test_the_page_tells_every_format() -> None:
    assert first_cells("format") == list(FORMATS)


def test_the_page_tells_every_column() -> None:
    assert first_cells("column") == list(launches_csv.COLUMNS)


def test_the_page_tells_every_metric() -> None:
    text = openmetrics.text(made.of(made.energetic(1000.0)))
    assert first_cells("metric") == re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
