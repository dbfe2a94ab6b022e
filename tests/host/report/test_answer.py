from __future__ import annotations

from typing import Any

import pytest

from runner.host.judging.comparison import Row
from runner.host.report.sections import answer
from tests.support import materials
from tests.support.materials import CELLS, material, row


def sentence(*rows: Row, **changes: Any) -> str:
    return answer.content(material(*rows, **changes)).sentence


def test_without_any_result_the_page_shows_published_cells_alone() -> None:
    found = answer.content(material())
    assert found.sentence == "This page shows 8 published cells, and no result beside them."
    assert (found.published, found.verdicts) == (8, {"not measured": 8})
    assert [fact.name for fact in found.facts] == ["Published", "Page made"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["REPRODUCED", "REPRODUCED", "SLOWER"],
            "3 were measured here: 2 hold within their margins, 1 is slower; 5 were not measured.",
        ),
        (["REPRODUCED"], "1 was measured here: 1 holds within its margin; 7 were not measured."),
        (["FASTER"] * 7, "7 were measured here: 7 are faster; 1 was not measured."),
        (["SLOWER"] * 8, "8 were measured here: 8 are slower."),
        (["NO-RESULT"], "none was measured here; for 1 no launch is complete."),
        (
            ["INCONCLUSIVE", "INVALID", "NO-RESULT", "PROVISIONAL"] * 2,
            "6 were measured here: 2 need more launches, 2 have a single launch each, which decides nothing, 2 are invalid; for 2 no"
            " launch is complete.",
        ),
        (
            ["INCONCLUSIVE", "INVALID", "NO-RESULT", "PROVISIONAL"],
            "3 were measured here: 1 needs more launches, 1 has a single launch, which decides nothing, 1 is invalid; for 1 no launch"
            " is complete; 4 were not measured.",
        ),
    ],
)
def test_the_sentence_counts_cells_by_their_verdicts(words: list[Any], told: str) -> None:
    rows = [row(claim, word) for claim, word in zip(CELLS, words, strict=False)]
    assert sentence(*rows) == f"Of 8 published cells, {told}"


def test_what_cannot_be_compared_is_told_with_the_condition_that_forbids_it_most_often() -> None:
    rows = [row(CELLS[0], "NOT-COMPARABLE", "weights", "stack"), row(CELLS[1], "NOT-COMPARABLE", "stack")]
    assert sentence(*rows) == (
        "Of 8 published cells, none was measured here; beside 2 stand measurements that cannot be compared, most often because the"
        " stack differs."
    )


def test_the_only_condition_that_differs_is_the_reason() -> None:
    assert sentence(row(CELLS[0]), row(CELLS[1], "NOT-COMPARABLE", "precision")) == (
        "Of 8 published cells, 1 was measured here: 1 holds within its margin; beside 1 stands a measurement that cannot be compared,"
        " because the precision differs; 6 were not measured."
    )


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("precision", "the precision differs"),
        ("weights", "the weights differ"),
        ("emulated", "something stood in for the device"),
    ],
)
def test_the_reason_is_told_in_words(condition: str, words: str) -> None:
    assert sentence(row(CELLS[0], "NOT-COMPARABLE", condition)).endswith(f" cannot be compared, because {words}.")


def test_results_beside_no_shown_cell_leave_all_cells_not_measured() -> None:
    assert sentence(row("post-1-gaudi2-8-bloomz")) == "Of 8 published cells, none was measured here."


def test_a_walk_through_reproduces_no_cell() -> None:
    rows = [row(claim, "NOT-COMPARABLE", "accelerator", walk_through=True) for claim in CELLS[:5]]
    assert sentence(*rows) == (
        "Of 8 published cells, none was measured here; beside 5 stands a walk-through on a CPU, which reproduces no cell."
    )


def test_an_example_says_so_in_the_sentence() -> None:
    found = sentence(row(CELLS[0], "FASTER"), example="made up")
    assert found.startswith("An example, not a measurement: of 8 published cells, 1 was measured here: 1 is faster;")


def test_a_publication_of_one_cell_is_told_in_the_singular(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {CELLS[0]: materials.tables().claims[CELLS[0]]}
    monkeypatch.setattr("runner.host.report.material.Material.claims_of", lambda *_: one)
    assert sentence() == "This page shows 1 published cell, and no result beside it."
    assert sentence(row(CELLS[1])) == "The published cell was not measured here."
    assert sentence(row(CELLS[0])) == "Of 1 published cell, 1 was measured here: 1 holds within its margin."


def test_a_publication_without_cells_has_nothing_to_compare() -> None:
    assert "nothing to compare" in sentence(sources=["post-2"])
    assert "nothing to compare" in sentence(sources=[])


def test_other_publications_have_a_sentence_only_where_something_was_measured_beside_them() -> None:
    old, new = row("post-1-gaudi2-8-bloomz", "SLOWER"), row(CELLS[0])
    assert answer.content(material(new)).others == []
    assert answer.content(material(new, old)).others == [
        "Of 8 published cells of post-1, 1 was measured here: 1 is slower; 7 were not measured."
    ]


def test_the_headline_names_the_cells_that_are_slower_together() -> None:
    rows = [
        row(CELLS[0], "SLOWER", p_slower=0.001),
        row(CELLS[1], "SLOWER", p_slower=0.03),
        row(CELLS[2], "REPRODUCED", p_slower=0.9),
    ]
    assert answer.content(material(*rows)).headline == (
        f"Slower than published, corrected for looking at 3 cells (Holm's rule): {rows[0].published}."
    )


def test_the_headline_says_that_no_cell_stays_slower() -> None:
    rows = [row(CELLS[0], "SLOWER", p_slower=0.03), row(CELLS[1], "REPRODUCED", p_slower=0.9)]
    found = answer.content(material(*rows)).headline
    assert found == "Corrected for looking at 2 cells (Holm's rule), no cell may be called slower."


def test_without_a_slower_cell_there_is_no_headline() -> None:
    assert answer.content(material(row(CELLS[0], "FASTER", p_slower=1.0))).headline is None


def test_facts_tell_what_was_measured_and_when() -> None:
    facts = {fact.name: fact.values for fact in answer.content(material(row(CELLS[0]), refused=["x"])).facts}
    assert facts["Measured"] == ["8 x gaudi2, bloomz"]
    assert facts["Stacks"] == ["gaudi-1.10"]
    assert facts["Launches"] == ["0 timed in 1 result"]
    assert facts["Begun"] == ["2026-11-22 10:00 UTC"]
    assert facts["Refused"] == ["1 file"]
    assert facts["Page made"] == ["2026-11-27"]
