"""The example reports in Chromium: every width, scheme and medium, by eye, by keyboard and by axe-core."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from runner.host.judging import measured
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.report import page
from runner.host.report.material import Material
from runner.host.results import index, result_files
from tests.examples import made_up, reports
from tests.examples.made_up import MadeUp
from tests.page import looking
from tests.page.looking import Look, Seen

EXAMPLES = sorted(path.parent.name for path in reports.FOLDER.glob("*/index.html"))
_LAUNCHES = 100_000


@pytest.fixture(scope="module")
def every_look() -> dict[str, list[Seen]]:
    """Return what was seen of each example, from one Chromium."""
    seen = looking.look([look for name in EXAMPLES for look in looking.every_way(_page(name))])
    ways = len(looking.WAYS)
    return {name: seen[ways * number : ways * (number + 1)] for number, name in enumerate(EXAMPLES)}


def _page(name: str) -> Path:
    return reports.FOLDER / name / "index.html"


def test_every_example_is_looked_at() -> None:
    assert set(EXAMPLES) == set(reports.EXAMPLES)


@pytest.mark.parametrize("way", range(len(looking.WAYS)), ids=[str(way) for way in looking.WAYS])
@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_wrong_with_a_look(every_look: dict[str, list[Seen]], name: str, way: int) -> None:
    assert looking.problems(every_look[name][way]) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_reader_without_script_misses_no_word(every_look: dict[str, list[Seen]], name: str) -> None:
    assert looking.without_script(every_look[name]) == []


def test_reports_print_on_a_few_sheets_of_either_size(tmp_path: Path) -> None:
    papers = [(name, "A4") for name in EXAMPLES] + [("eight-cells", "Letter")]
    files = [tmp_path / f"{name}-{paper}.pdf" for name, paper in papers]
    looking.look(
        [
            Look(str(_page(name)), media="print", paper=paper, pdf=str(file))
            for (name, paper), file in zip(papers, files, strict=True)
        ]
    )
    sheets = {file.stem: looking.pages_of_pdf(file) for file in files}
    assert all(1 <= number <= 60 for number in sheets.values()), sheets


def test_every_published_number_copies_as_plain_digits(every_look: dict[str, list[Seen]]) -> None:
    (seen,) = [seen for seen in every_look["eight-cells"] if seen.look.copy]
    claims = catalog.read().claims.values()
    missing = [
        claim.value
        for claim in claims
        if claim.source == "post-3" and not any(claim.value in copied for copied in seen.facts["copied"])
    ]
    assert not missing


def test_a_page_of_a_hundred_thousand_launches_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "large.html"
    material = Material(catalog.read(), [_many(tmp_path)], ["post-3"], "2026-11-27")
    path.write_text(page.html(material, page.filled(material)))
    (seen,) = looking.look([Look(str(path))])
    with capsys.disabled():
        print(f"\n{_LAUNCHES:,} launches: {path.stat().st_size:,} bytes, open after {seen.facts['load_s']:.2f} s")
    assert looking.problems(seen) == []
    # launches are aggregated: an element for each would be ten times as many
    assert seen.facts["nodes"] < _LAUNCHES / 10


def _many(folder: Path) -> Measured:
    """Return the launches of one made-up request, repeated until they are a hundred thousand."""
    made_up.write(folder / "results", [MadeUp("gaudi2-8-bloomz", attempts=40)])
    with index.Index(None) as remembered:
        (few,) = measured.of_results(
            result_files.read_whole([folder / "results"], remembered, []), catalog.read(), kept=None
        )
    times = _LAUNCHES // len(few.samples)
    few.group.latencies_s[:] = few.group.latencies_s * times
    few.group.attempts[:] = [f"{attempt[:-8]}{number:08x}" for number in range(times) for attempt in few.group.attempts]
    samples = [
        dataclasses.replace(sample, attempt=f"{sample.attempt[:-8]}{number:08x}")
        for number in range(times)
        for sample in few.samples
    ]
    files = [
        dataclasses.replace(file, attempt=f"{file.attempt[:-8]}{number:08x}")
        for number in range(times)
        for file in few.files
    ]
    return dataclasses.replace(few, samples=samples, files=files)
