from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from runner.host.judging import ledger
from runner.host.report import shown
from runner.host.report.material import Material
from runner.host.report.sections import floor
from runner.host.report.sections.floor import Floor
from tests.examples import made_up
from tests.support import drawings, materials


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return materials.of_files(made_up.write_eight_cells(tmp_path_factory.mktemp("eight")), example="made up")


def content(material: Material) -> Floor:
    made = floor.content(material)
    assert made is not None
    return made


def test_published_shares_are_those_of_the_ledger_and_nearest_first() -> None:
    made = content(materials.of_measured([]))
    limits = ledger.limits(materials.tables())
    wanted = [
        limit.share for name, _ in materials.of_measured([]).shown_claims() if (limit := limits[name]) is not None
    ]
    assert [near.share for near in made.numbers] == sorted(set(wanted), reverse=True)
    assert all(near.share == pytest.approx(near.floor_s / near.latency_s) for near in made.numbers)


def test_the_figure_shows_the_newest_number_of_each_cell() -> None:
    made = content(materials.of_measured([]))
    assert {near.source for near in made.newest} == {"post-3", "post-1, post-3"}
    earlier = content(materials.of_measured([], sources=["post-3", "post-1"]))
    assert {near.source for near in earlier.newest} == {"post-1", "post-3, post-1"}


def test_a_number_that_two_publications_print_is_one_row() -> None:
    made = content(materials.of_measured([]))
    rows = [(near.source, near.latency_s) for near in made.numbers if near.cell == "8 x a100-80gb, bloomz"]
    assert rows == [("post-1, post-3", 4.402)]
    rows = [(near.source, near.latency_s) for near in made.numbers if near.cell == "8 x gaudi2, bloomz"]
    assert sorted(rows) == [("post-1", 3.717), ("post-3", 3.103)]


def test_an_unknown_bandwidth_is_said_and_not_drawn() -> None:
    made = content(materials.of_measured([]))
    assert made.unknown == ["8 x gaudi, bloomz-7b1", "1 x gaudi, bloomz-7b1"]
    assert not [near for near in made.numbers if " gaudi," in near.cell]
    (gaudi,) = [bandwidth for bandwidth in made.bandwidths if bandwidth.accelerator == "gaudi"]
    assert gaudi.hbm_bytes_per_s is None
    assert "no primary source was found" in gaudi.source


def test_measured_and_published_stand_together(eight: Material) -> None:
    made = content(eight)
    measured = {near.cell: near for near in made.numbers if near.source is None}
    gaudi2 = measured["8 x gaudi2, bloomz"]
    assert gaudi2.latency_s == pytest.approx(3.103 * 1.012, rel=1e-6)
    assert gaudi2.bound == "memory"
    (figure,) = floor.figures(made)
    assert "8 x gaudi2, bloomz: published 58%, here 57%; suggests: memory." in figure.description
    root = drawings.read(figure)
    assert drawings.problems(figure) == []
    shares = sorted((near.share for near in measured.values()), reverse=True)
    ends = [sum(drawings.numbers(bar, "x", "width")) for bar in drawings.of_class(root, "bar")]
    assert sorted((drawings.value_at(root, end) / 100 for end in ends), reverse=True) == pytest.approx(shares, abs=1e-3)
    assert [element.text for element in drawings.of_class(root, "note")] == ["made up"]


def test_a_walk_through_has_no_bar_and_the_drawing_says_that_the_numbers_are_published() -> None:
    made = content(materials.of_files([materials.WALK_THROUGH]))
    (figure,) = floor.figures(made)
    root = drawings.read(figure)
    assert drawings.of_class(root, "bar") == []
    assert " ".join(element.text or "" for element in drawings.of_class(root, "note")).startswith(
        "published numbers alone"
    )


def test_without_any_limit_there_is_nothing_to_say() -> None:
    assert floor.content(materials.of_measured([], sources=["post-2"])) is None


def test_a_batch_has_no_limit_and_is_listed() -> None:
    made = content(materials.of_measured([], sources=["bloom-2022"]))
    assert [cell for cell in made.unknown if ", batch " in cell]


def test_the_figure_shows_the_newest_measurement_that_counts_and_not_the_fastest(tmp_path: Path) -> None:
    day = datetime(2026, 11, 1, tzinfo=timezone.utc)
    older, newer, unlike = (
        made_up.MadeUp("gaudi2-8-bloomz", ratio=0.98, packages={"optimum-habana": "0.0.1"}, started=day),
        made_up.MadeUp("gaudi2-8-bloomz", ratio=1.03, started=day + timedelta(days=1)),
        made_up.MadeUp("gaudi2-8-bloomz", ratio=2.5, precision="float32", started=day + timedelta(days=2)),
    )
    made = content(materials.of_files(made_up.write(tmp_path, [older, newer, unlike])))
    (here,) = [near for near in made.newest if near.source is None]
    assert here.latency_s == pytest.approx(3.103 * 1.03, rel=1e-6)
    assert "8 x gaudi2, bloomz: published 58%, here 56%" in floor.figures(made)[0].description


def test_measurements_beyond_the_most_are_left_out_of_the_table_and_counted(tmp_path: Path) -> None:
    many = [
        made_up.MadeUp("gaudi2-8-bloomz", launches=1, packages={"optimum-habana": f"0.0.{number}"})
        for number in range(shown.REQUESTS + 2)
    ]
    of = materials.of_files(made_up.write(tmp_path, many))
    made = content(of)
    assert len([near for near in made.numbers if near.source is None]) == shown.REQUESTS
    assert made.left_out == 2
    assert "2 more requests left out here." in materials.section(floor, of)


@pytest.mark.parametrize("source", ["bloom-2022", "h100-2026"])
def test_numbers_that_a_source_has_of_one_cell_are_told_apart(source: str) -> None:
    made = content(materials.of_measured([], sources=[source]))
    assert len({near.cell for near in made.numbers}) == len(made.numbers) == len(made.newest)


def test_the_page_tells_the_numbers_and_the_sources(eight: Material) -> None:
    html = materials.section(floor, eight)
    assert "2.45 TB/s of one device; 96 GB from" in html
    assert "memory bandwidth unknown; 32 GB" in html
    assert '<td class="number">1.798</td><td class="number">3.103</td><td class="number">58.0%</td>' in html


def test_the_record_is_json(eight: Material) -> None:
    assert json.loads(json.dumps(dataclasses.asdict(content(eight))))["note"] == "made up"
