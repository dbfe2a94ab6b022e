from __future__ import annotations

import dataclasses
import json
import random
import re

import pytest

from runner.host.figures import svg
from runner.host.judging import comparison
from runner.host.judging import measured as measurements
from runner.host.judging.measured import Measured, Sample
from runner.host.report.material import Material
from runner.host.report.sections import cells
from runner.host.report.sections.cells import Cells
from runner.host.results import result_files
from runner.host.results.index import Index
from tests.examples import made_up
from tests.support import drawings, groups, materials


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return materials.of_files(made_up.write_eight_cells(tmp_path_factory.mktemp("eight")), example="made up")


def launched(*latencies_s: float, flagged: frozenset[int] = frozenset(), **changes: object) -> Measured:
    """Return what was measured beside the published 3.103 s, a sample for each latency."""
    group = groups.group(*latencies_s, **changes)  # type: ignore[arg-type]
    samples = [
        Sample(
            "20261122T100000Z-0123abcd", number, value, 0.1, 0.03, None, ("idle_before",) if number in flagged else ()
        )
        for number, value in enumerate(latencies_s)
    ]
    return Measured(group, samples, [], comparison.against_claims(materials.tables(), group))


def content(*measured: Measured, **changes: object) -> Cells:
    made = cells.content(materials.of_measured(list(measured), **changes))
    assert made is not None
    return made


def words(material: Material) -> str:
    """Return what a reader reads of the section, without markup and figures."""
    html = re.sub("<svg.*?</svg>", "", materials.section(cells, material), flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_without_results_there_is_nothing_to_say() -> None:
    assert cells.content(materials.of_measured([])) is None


def test_all_eight_cells_have_a_figure_and_their_verdict(eight: Material) -> None:
    made = cells.content(eight)
    assert made is not None
    assert sorted(cell.word or "" for cell in made.cells) == sorted(
        name.partition(",")[0] for name in made_up.EIGHT_CELLS
    )
    figures = cells.figures(made)
    assert len({figure.name for figure in figures}) == 8
    assert [problem for figure in figures for problem in drawings.problems(figure)] == []


def test_numbers_are_those_of_the_verdict() -> None:
    measured = launched(3.10, 3.112, 3.095, 3.108, 3.101)
    (cell,), (row,) = content(measured).cells, measured.rows
    judged = row.verdict
    assert judged.ratio is not None and judged.interval is not None
    assert (cell.word, cell.ratio, cell.interval) == ("REPRODUCED", judged.ratio, judged.interval)
    assert cell.mean_s == pytest.approx(judged.ratio * 3.103)
    assert cell.interval_s == pytest.approx([end * 3.103 for end in judged.interval])
    assert cell.rounding_s == pytest.approx((3.1025, 3.1035))
    assert cell.band_s == pytest.approx((3.103 / 1.05, 3.103 * 1.05))
    assert [launch.latency_s for launch in cell.samples] == [3.10, 3.112, 3.095, 3.108, 3.101]


def test_the_other_revision_is_a_further_mark_where_its_number_differs() -> None:
    (cell,) = content(launched(3.1)).cells
    assert [(other.date, other.published_s) for other in cell.others] == [("2023-03-28", "3.717")]


def test_a_number_that_both_revisions_share_is_no_further_mark(eight: Material) -> None:
    made = cells.content(eight)
    assert made is not None
    others = {cell.published: cell.others for cell in made.cells}
    assert others["8 x a100-80gb, bloomz"] == []
    assert [other.published_s for other in others["8 x gaudi, bloomz-7b1"]] == ["3.029"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Return the eight cells, each beside the numbers of both revisions."""
    paths = made_up.write_eight_cells(tmp_path_factory.mktemp("both"))
    with Index(None) as index:
        read = measurements.of_results(
            result_files.read_whole(map(str, paths), index, []), materials.tables(), sources=["post-1", "post-3"]
        )
    return materials.of_measured(read)


def test_launches_beside_a_number_that_both_revisions_print_are_one_figure_with_both_dates(both: Material) -> None:
    made = cells.content(both)
    assert made is not None
    again = {cell.claim: [other.claim for other in cell.again] for cell in made.cells if cell.again}
    assert again == {
        f"post-3-a100-{cell}": [f"post-1-a100-{cell}"] for cell in ("8-bloomz", "8-bloomz-7b1", "1-bloomz-7b1")
    }
    texts = " ".join(figure.description for figure in cells.figures(made))
    assert texts.count("(2023-03-28 and ") == 3
    assert "published 4.402 s (post-3; 2023-03-28 too)" in words(both)


def test_a_cell_of_the_earlier_revision_that_the_launches_cannot_be_compared_with_is_a_mark_alone(
    both: Material,
) -> None:
    made = cells.content(both)
    assert made is not None
    assert {cell.source for cell in made.cells} == {"post-3"} and len(made.cells) == 8
    drawn = {(other.claim, other.published_s) for cell in made.cells for other in cell.others}
    assert len(made.marked) == 5
    assert {(each.claim, each.published_s) for each in made.marked} <= drawn
    assert "5 numbers published earlier or elsewhere stand in these figures as triangles" in words(both)


def test_launches_that_can_be_compared_with_the_earlier_revision_alone_have_a_figure_of_it() -> None:
    measured = launched(3.1)
    (row,) = measured.rows
    unlike = dataclasses.replace(row.verdict, word="NOT-COMPARABLE")
    faster = dataclasses.replace(row.verdict, word="FASTER")
    newest = dataclasses.replace(row, verdict=unlike)
    earlier = dataclasses.replace(row, claim="post-1-gaudi2-8-bloomz", published_s="3.717", verdict=faster)
    made = content(dataclasses.replace(measured, rows=[newest, earlier]))
    assert [(cell.claim, cell.word) for cell in made.cells] == [
        ("post-3-gaudi2-8-bloomz", "NOT-COMPARABLE"),
        ("post-1-gaudi2-8-bloomz", "FASTER"),
    ]
    assert made.marked == []


def test_many_launches_are_bins_and_few_are_dots() -> None:
    chance = random.Random(1)
    few, many = ([chance.gauss(3.1, 0.02) for _ in range(number)] for number in (cells.MOST_DOTS, cells.MOST_DOTS + 1))
    (dots,), (bins,) = content(launched(*few)).cells, content(launched(*many, flagged=frozenset({0, 5}))).cells
    assert (len(dots.samples), dots.bins) == (cells.MOST_DOTS, [])
    assert (bins.samples, sum(bin.count for bin in bins.bins), sum(bin.flagged for bin in bins.bins)) == (
        [],
        len(many),
        2,
    )


def test_a_hundred_thousand_launches_are_a_small_figure() -> None:
    chance = random.Random(1)
    measured = launched(3.1, 3.2)
    samples = [
        dataclasses.replace(measured.samples[0], index=number, latency_s=chance.gauss(3.1, 0.02))
        for number in range(100_000)
    ]
    (figure,) = cells.figures(content(dataclasses.replace(measured, samples=samples)))
    assert len(svg.on_page(figure)) < 20_000
    assert "100000 launches in" in svg.on_page(figure)


def test_a_walk_through_says_so_in_its_drawing_and_has_no_verdict() -> None:
    material = materials.of_files([materials.WALK_THROUGH])
    made = cells.content(material)
    assert made is not None and made.cells
    for cell, figure in zip(made.cells, cells.figures(made), strict=True):
        root = drawings.read(figure)
        assert [element.text for element in drawings.of_class(root, "note")] == [cell.note]
        assert cell.word is None
        assert not {box.text for box in drawings.boxes(root)} & {
            "SLOWER",
            "FASTER",
            "REPRODUCED",
            "PROVISIONAL",
            "NOT-COMPARABLE",
        }
    assert "NOT-COMPARABLE" not in words(material)


def test_an_example_says_so_in_every_drawing(eight: Material) -> None:
    for figure in cells.figures(cells.content(eight)):
        assert [element.text for element in drawings.of_class(drawings.read(figure), "note")] == ["made up"]


def test_emulated_times_are_never_shown() -> None:
    made = content(launched(3.1, 3.2, emulated=True))
    assert made.cells == []
    assert [cell.claim for cell in made.untimed] == [groups.CLAIM]
    assert cells.figures(made) == []


def test_without_a_complete_launch_the_cell_is_listed_with_the_reason() -> None:
    measured = launched(3.1)
    measured.group.latencies_s.clear()
    rows = comparison.against_claims(materials.tables(), measured.group)
    (cell,) = content(dataclasses.replace(measured, samples=[], rows=rows)).untimed
    assert cell.reasons == ["no launch is complete"]


def test_flagged_and_failed_launches_are_told() -> None:
    measured = launched(3.1, 3.11, 3.12, flagged=frozenset({1}))
    measured.group.failed = 2
    made = content(measured)
    assert (made.cells[0].flagged, made.cells[0].failed) == (1, 2)
    (figure,) = cells.figures(made)
    assert "3 launches, 1 flagged (hollow), 2 failed" in svg.on_page(figure)
    assert "flagged: idle_before" in svg.on_page(figure)


def test_times_that_nothing_could_be_compared_with_are_still_shown() -> None:
    # no memory is so fast
    (cell,) = content(launched(0.001, 0.001)).cells
    assert (cell.word, cell.mean_s, cell.interval_s, len(cell.samples)) == ("INVALID", None, None, 2)
    assert "mean" not in [
        element.get("class") for element in drawings.read(cells.figures(content(launched(0.001, 0.001)))[0]).iter()
    ]


def test_the_section_tells_the_numbers_in_words(eight: Material) -> None:
    told = words(eight)
    assert "8 x gaudi2, bloomz , published 3.103 s (post-3). Here 3.14" in told
    assert "lies within the margin of 5%" in told


def test_the_record_is_json(eight: Material) -> None:
    made = cells.content(eight)
    assert made is not None
    assert json.loads(json.dumps(dataclasses.asdict(made)))["cells"][0]["published_s"] == made.cells[0].published_s


def test_a_hostile_name_stays_text() -> None:
    measured = launched(3.1, 3.2)
    row = dataclasses.replace(measured.rows[0], published="<script>alert(1)</script>\u202e", measured="<b>")
    material = materials.of_measured([dataclasses.replace(measured, rows=[row])])
    html = materials.section(cells, material)
    assert "<script" not in html and "\u202e" not in html and "<b>" not in html
