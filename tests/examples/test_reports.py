"""The example reports of the tree are what ``make examples`` writes, and say of themselves what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import reports


@pytest.mark.parametrize("name", reports.EXAMPLES)
def test_an_example_is_what_make_examples_writes(tmp_path: Path, name: str) -> None:
    reports.write(name, tmp_path / "made")
    kept, made = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (reports.FOLDER / name, tmp_path / "made")
    )
    stale = sorted(str(path) for path in kept.keys() | made.keys() if kept.get(path) != made.get(path))
    assert not stale, f"{', '.join(stale)} of examples/reports/{name} is stale. Run `make examples`."


def test_the_examples_keep_the_repository_small() -> None:
    files = [path for path in reports.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000


def test_made_up_results_are_said_to_be_made_up_on_the_page_and_on_each_figure() -> None:
    page = (reports.FOLDER / "eight-cells" / "index.html").read_text()
    assert page.count("all that is measured here is made up") > page.count("<svg")
