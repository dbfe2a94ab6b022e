from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.host.judging import measured as measurements
from runner.host.judging.comparison import Difference, Row
from runner.host.report import templating
from runner.host.report.material import Material
from runner.host.report.sections import conditions
from runner.host.report.sections.conditions import Conditions
from runner.host.results import result_files
from runner.host.results.index import Index
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support.markup import Element, parsed
from tests.support.materials import CELLS, made_up_material, material, row, tables


def found(made: Material) -> Conditions:
    content = conditions.content(made)
    assert content is not None
    return content


def html(made: Material) -> Element:
    return parsed(templating.rendered("sections/conditions.html", {"content": found(made), "figures": {}}))


def lines(page: Element) -> list[list[str]]:
    return [[cell.text() for cell in (*line.all("th"), *line.all("td"))] for line in page.all("tbody")[0].all("tr")]


def test_without_anything_beside_a_shown_cell_there_is_no_section() -> None:
    assert conditions.content(material()) is None
    assert conditions.content(material(row(CELLS[0]), sources=["post-1"])) is None


def test_each_condition_stands_once_with_what_each_cell_wants() -> None:
    made = material(row(CELLS[0], "NOT-COMPARABLE"))
    first, second = (
        replace(row(claim), differences=[Difference("stack", "cpu", wanted), Difference("weights", "dummy", "hub")])
        for claim, wanted in ((CELLS[0], "gaudi-1.10"), (CELLS[1], "cuda-2023"))
    )
    made = replace(made, measured=[replace(made.measured[0], rows=[first, second])])
    assert lines(html(made)) == [
        ["stack", "cpu", "gaudi-1.10 (1 cell) , cuda-2023 (1 cell)"],
        ["weights", "dummy", "hub"],
    ]


def test_requests_that_differ_alike_share_one_list() -> None:
    alike = [row(CELLS[0], "NOT-COMPARABLE", "stack") for _ in range(12)]
    content = found(material(*alike, row(CELLS[0], "NOT-COMPARABLE", "weights")))
    assert [(len(each.requests), len(each.folded), each.left_out) for each in content.lists] == [(10, 2, 0), (1, 0, 0)]
    folded = html(material(*alike)).only("details")
    assert "2 more requests" in folded.text() and len(folded.all("li")) == 2
    assert "not shown" not in folded.text()


def test_very_many_requests_are_counted() -> None:
    alike = [row(CELLS[0], "NOT-COMPARABLE", "stack") for _ in range(53)]
    (list_,) = found(material(*alike)).lists
    assert (len(list_.requests), len(list_.folded), list_.left_out) == (10, 40, 3)
    assert "3 more requests are not shown" in html(material(*alike)).text()


def test_lists_beyond_the_most_are_counted() -> None:
    many: list[Row] = [row(CELLS[0], "NOT-COMPARABLE", f"condition {number}") for number in range(23)]
    content = found(material(*many))
    assert (len(content.lists), content.left_out) == (20, 3)
    assert "3 more lists of earlier requests are not shown" in html(material(*many)).text()


def test_a_request_that_shares_every_condition_is_named_as_such(tmp_path: Path) -> None:
    content = found(made_up_material(tmp_path, MadeUp("gaudi2-8-bloomz")))
    assert content.lists == []
    assert [each.measured for each in content.alike] == ["8 x gaudi2, bloomz"]


def test_a_request_is_like_the_cell_of_one_revision_and_differs_from_that_of_another(tmp_path: Path) -> None:
    paths = made_up.write(tmp_path, [MadeUp("gaudi2-8-bloomz")])
    with Index(None) as index:
        read = result_files.read_whole(map(str, paths), index, [])
        measured = measurements.of_results(read, tables(), sources=["post-1", "post-3"])
    made = replace(material(), measured=measured)
    content = found(made)
    assert [each.like for each in content.alike] == [["post-3-gaudi2-8-bloomz"]]
    assert [each.cells for each in content.lists] == [{"post-1-gaudi2-8-bloomz": "8 x gaudi2, bloomz (post-1)"}]
    assert lines(html(made)) == [["stack", "gaudi-1.10", "gaudi-1.8"], ["protocol", "gaudi-1.10", "gaudi-1.8"]]
    assert "; like post-3-gaudi2-8-bloomz" in html(made).text()


def test_a_made_up_result_of_another_precision_differs_in_it_alone(tmp_path: Path) -> None:
    page = html(made_up_material(tmp_path, MadeUp("gaudi-8-bloomz-7b1", precision="float32")))
    assert lines(page) == [["precision", "float32", "bfloat16"]]
    assert page.only("h3").text() == "8 x gaudi, bloomz-7b1: 1 condition differs"
