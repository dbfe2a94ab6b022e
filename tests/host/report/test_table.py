from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.host.report import templating
from runner.host.report.material import Material
from runner.host.report.sections import table
from runner.host.report.sections.table import Publication
from tests.examples import made_up
from tests.support.markup import Element, parsed
from tests.support.materials import CELLS, made_up_material, material, row, tables


def publications(made: Material) -> list[Publication]:
    found = table.content(made)
    assert found is not None
    return found.publications


def html(made: Material) -> Element:
    return parsed(templating.rendered("sections/table.html", {"content": table.content(made), "figures": {}}))


def shown_cells(page: Element, source: str = "post-3") -> list[list[str]]:
    """Return the texts of a table's rows, without the labels of narrow screens."""
    panel = next(each for each in page.all("div", class_="panel") if each.all("input", id=f"shown-{source}"))
    rows = panel.all("tbody")[0].all("tr")
    return [[_text(cell) for cell in (*row.all("th"), *row.all("td"))] for row in rows]


def _text(cell: Element) -> str:
    labels = cell.all(class_="label")
    return " ".join(part.text() for part in cell.content if isinstance(part, Element) and part not in labels) or (
        cell.text()
    )


def test_the_table_has_the_form_of_the_published_one() -> None:
    found = publications(material())[0]
    assert found.accelerators == ["gaudi2", "a100-80gb", "gaudi"]
    assert [(each.model, each.devices) for each in found.rows] == [
        ("bloomz", 8),
        ("bloomz-7b1", 8),
        ("bloomz-7b1", 1),
    ]
    assert found.rows[0].claims["gaudi"] is None
    cells = shown_cells(html(material()))
    assert cells[0][1:] == ["3.103 s published not measured", "4.402 s published not measured", "no number published"]
    assert cells[2][1:] == [f"{value} s published not measured" for value in ("0.772", "2.119", "2.387")]


def test_a_cell_shows_published_and_measured_time_ratio_interval_and_verdict() -> None:
    cell = row(CELLS[0], "REPRODUCED", ratio=1.012, interval=(1.0081, 1.0159), margin=0.05, attained_margin=0.0159)
    page = html(material(cell))
    assert shown_cells(page)[0][1] == ("3.103 s published here 3.140 s ratio 1.012 (1.008 to 1.016) verdict REPRODUCED")
    card = page.only(class_="card").text()
    assert card == (
        "8 x gaudi2, bloomz REPRODUCED a reason Attained margin 1.59%, margin 5%, on 5 launches of 8 x a device, a model ,"
        " stack gaudi-1.10 ; request a-request-0123456789ab"
    )


def test_every_reason_of_every_made_up_verdict_stands_on_the_page(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, *made_up.EIGHT_CELLS.values())
    page = html(made)
    assert {each.attributes["data-word"] for each in page.all(class_="verdict")} == {
        word.split(",")[0] for word in made_up.EIGHT_CELLS
    }
    cards = " ".join(card.text() for card in page.all(class_="card"))
    for each in made.measured:
        for judged in (found.verdict for found in each.rows):
            assert all(reason in cards for reason in judged.reasons)


def test_the_last_publication_is_shown_first() -> None:
    page = html(material())
    buttons = page.all("input", type="radio")
    assert [each.attributes["id"] for each in buttons] == ["shown-post-3", "shown-post-1"]
    assert ["checked" in each.attributes for each in buttons] == [True, False]
    assert len({each.attributes["name"] for each in buttons}) == 1
    assert [each.attributes["for"] for each in page.all("label")] == ["shown-post-3", "shown-post-1"]


def test_one_publication_needs_no_switch() -> None:
    page = html(material(sources=["post-3"]))
    assert not page.all("input")
    assert len(page.all("table")) == 1


def test_a_publication_that_was_not_found_says_so() -> None:
    page = html(material(sources=["post-2"]))
    assert "This publication was not found." in page.text()
    assert "pre-release of 1.9" in page.text()
    assert not page.all("table")


def test_a_number_of_dummy_weights_says_so() -> None:
    (found,) = publications(material(sources=["h100-2026"]))
    assert {cell.weights for cell in found.cells.values()} == {"dummy"}
    assert all(
        "dummy weights" in line.text() for line in html(material(sources=["h100-2026"])).all("tbody")[0].all("tr")
    )


@pytest.mark.parametrize("source", ["bloom-2022", "ci-1.7.5"])
def test_numbers_that_form_no_table_are_listed_as_printed(source: str) -> None:
    made = material(sources=[source])
    (found,) = publications(made)
    assert (found.accelerators, found.rows) == ([], [])
    rows = html(made).all("tbody")[0].all("tr")
    assert len(rows) == len(found.cells)
    for line, cell in zip(rows, found.cells.values(), strict=True):
        assert f"{cell.published} {cell.unit}" in line.text()
        assert f"{cell.published_s:.3f} s" in line.text()
        assert "not measured" in line.text()


def test_two_numbers_for_one_place_form_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {name: tables().claims[name] for name in CELLS}
    claims["again"] = replace(claims[CELLS[0]], value="3.2")
    monkeypatch.setattr("runner.host.report.material.Material.claims_of", lambda *_: claims)
    (found,) = publications(material(sources=["post-3"]))
    assert found.rows == []
    assert len(found.cells) == 9


def test_a_walk_through_has_its_word_and_no_reasons() -> None:
    page = html(material(row(CELLS[0], "NOT-COMPARABLE", "accelerator", walk_through=True, ratio=0.2)))
    assert [each.text() for each in page.all(class_="verdict")] == ["walk-through"]
    assert not page.all(class_="card")
    assert "beside 1 cell and reproduces none" in page.text()


def test_a_comparable_request_stands_before_others_beside_the_same_cell() -> None:
    many = [row(CELLS[0], "NOT-COMPARABLE", "stack") for _ in range(12)] + [row(CELLS[0], "FASTER", ratio=0.5)]
    cell = publications(material(*many))[0].cells[CELLS[0]]
    assert cell.run is not None
    assert cell.run.verdict == "FASTER"
    assert (len(cell.others), cell.left_out) == (10, 2)
    assert "12 more requests beside this cell" in html(material(*many)).only("details").text()


def test_a_walk_through_stands_behind_what_ran_on_an_accelerator() -> None:
    walk = row(CELLS[0], "NOT-COMPARABLE", "accelerator", walk_through=True)
    cell = publications(material(walk, row(CELLS[0], "NOT-COMPARABLE", "stack")))[0].cells[CELLS[0]]
    assert cell.run is not None
    assert [cell.run.verdict, *(run.verdict for run in cell.others)] == ["NOT-COMPARABLE", "walk-through"]


def test_what_cannot_be_compared_attains_no_margin() -> None:
    unlike = row(CELLS[0], "NOT-COMPARABLE", "stack", ratio=1.6, interval=(1.5, 1.7), margin=0.05, attained_margin=0.7)
    assert "margin" not in html(material(unlike)).only(class_="card").text()


def test_a_verdict_without_a_ratio_shows_no_number() -> None:
    page = html(material(row(CELLS[0], "NO-RESULT")))
    assert shown_cells(page)[0][1] == "3.103 s published verdict NO-RESULT"
    assert "margin" not in page.only(class_="card").text()


def test_the_record_is_what_json_can_hold(tmp_path: Path) -> None:
    found = table.content(made_up_material(tmp_path, *made_up.EIGHT_CELLS.values()))
    assert found is not None
    assert strictjson.canonical(asdict(found))
