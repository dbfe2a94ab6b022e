from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import replace

from runner.contract.records import JsonObject
from runner.contract.request import Accelerator
from runner.host.judging.groups import Group
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.report import page
from runner.host.report.material import Material
from runner.host.report.sections import history
from tests.support import drawings
from tests.support.groups import group

STEADY, SLOWER = (3.10, 3.11, 3.09, 3.10, 3.12), (3.50, 3.51, 3.49, 3.50, 3.52)
_tables = functools.cache(catalog.read)


def at(day: int, *latencies_s: float, **changes: object) -> Group:
    return group(*latencies_s, attempt_id=f"202611{day:02}T100000Z-0123abcd", **changes)  # type: ignore[arg-type]


def material(*groups: Group, example: str | None = None) -> Material:
    return Material(_tables(), list(map(Measured, groups)), ["post-1", "post-3"], "2026-11-27", example=example)


def filled(of: Material) -> page.FilledSection:
    """Return the section without the others, which look at files and samples too."""
    content = history.content(of)
    assert content is not None
    return page.FilledSection(
        "history", history.HEADING, content, {each.name: each for each in history.figures(content)}
    )


def test_a_change_is_named_with_its_bump_in_record_figure_and_page() -> None:
    of = material(at(1, *STEADY), at(8, *SLOWER, torch="2.14.0"), at(9, *reversed(SLOWER), torch="2.15.0"))
    section = filled(of)
    content = section.content
    assert isinstance(content, history.Histories)
    (measured,) = content.measured
    (change,) = measured.changes
    assert (change.number, change.before, change.after) == (1, "2026-11-01", "2026-11-08")
    assert (change.size, change.moved) == ("+12.9%, p < 0.0001", "torch 2.13.0 to 2.14.0")
    assert measured.counted == "2 steps: 1 CHANGED, 1 UNCHANGED"
    figure = section.figures["history-1-gaudi2-8-bloomz"]
    assert "1: +12.9%, p < 0.0001: torch 2.13.0 to 2.14.0." in figure.description
    assert len(drawings.of_class(drawings.read(figure), "change")) == 1
    html = " ".join(page.html(of, [section]).split())
    assert "<li>2026-11-01 to 2026-11-08: a change of +12.9% is beyond" in html
    assert "Moved: <bdi>torch 2.13.0 to 2.14.0</bdi>.</li>" in html
    assert (
        json.loads(json.dumps(dataclasses.asdict(content)))["measured"][0]["history"]["steps"][0]["word"] == "CHANGED"
    )


def test_neighbours_that_cannot_be_told_apart_have_their_reasons() -> None:
    content = filled(material(at(1, 3.1), at(2, 3.5, torch="2.14.0"))).content
    assert isinstance(content, history.Histories)
    (measured,) = content.measured
    assert measured.changes == []
    assert measured.unsure == ["2026-11-01 to 2026-11-02: at least two launches are needed on each side"]


def test_sets_of_pins_of_one_day_are_numbered() -> None:
    content = filled(material(at(1, *STEADY), at(1, *STEADY, torch="2.14.0"), at(3, *SLOWER, torch="2.15.0"))).content
    assert isinstance(content, history.Histories)
    assert content.measured[0].changes[0].before == "2026-11-01 (2)"


def test_many_moved_pins_are_cut_in_words_and_whole_in_the_record() -> None:
    newer = at(2, *SLOWER)
    packages = {**newer.request.stack.packages, **{f"package-{number}": "1.0" for number in range(9)}}
    newer.request = replace(newer.request, stack=replace(newer.request.stack, packages=packages))
    content = filled(material(at(1, *STEADY), newer)).content
    assert isinstance(content, history.Histories)
    (measured,) = content.measured
    assert measured.changes[0].moved.endswith("package-5 none to 1.0, 3 more")
    assert len(measured.history.steps[0].moved) == 9


def test_counts_of_a_walk_through_are_judged_and_its_figure_says_what_it_is() -> None:
    host = {"accelerator": Accelerator("cpu", "cpu", None, None)}

    def other_tokens(body: JsonObject) -> None:
        for launch in body["launches"]:
            launch["tokens"]["outputs_sha256"] = ["f" * 64] * 5

    section = filled(material(at(1, *STEADY, **host), at(2, *STEADY, torch="2.14.0", spoil=other_tokens, **host)))
    figure = section.figures["history-1-gaudi2-8-bloomz"]
    notes = [element.text for element in drawings.of_class(drawings.read(figure), "note")]
    assert notes == ["walk-through on a CPU: reproduces no published cell"]
    content = section.content
    assert isinstance(content, history.Histories)
    assert [change.number for change in content.measured[0].changes] == [1]


def test_published_series_are_drawn_without_any_result_and_without_changes() -> None:
    section = filled(material(example=None))
    content = section.content
    assert isinstance(content, history.Histories)
    assert (content.measured, len(content.published)) == ([], len(section.figures))
    for each in content.published:
        assert (each.changes, each.unsure, each.counted) == ([], [], "")
        figure = section.figures[each.figure]
        assert "single numbers: their variation is assumed" in figure.description
        assert drawings.problems(figure) == []


def test_a_published_series_of_a_cell_that_the_page_does_not_show_is_left_out() -> None:
    assert history.content(replace(material(), sources=["h100-2026"])) is None
    shown = filled(material()).content
    measured = filled(replace(material(at(1, *STEADY)), sources=["h100-2026"])).content
    assert isinstance(shown, history.Histories) and isinstance(measured, history.Histories)
    assert not any("gaudi3" in each.history.what for each in shown.published)
    assert [each.history.what for each in measured.published] == ["published by ci: 8 x gaudi2, bloomz"]


def test_every_figure_of_an_example_says_so_and_none_of_published_numbers() -> None:
    section = filled(
        material(at(1, *STEADY), at(2, *SLOWER, torch="2.14.0"), example="an example: nobody measured these")
    )
    published = {name for name in section.figures if name.startswith("history-published-")}
    assert published and published < {*section.figures}
    for name, figure in section.figures.items():
        notes = [element.text for element in drawings.of_class(drawings.read(figure), "note")]
        assert notes == ([] if name in published else ["an example: nobody measured these"])


def test_the_newest_cases_are_drawn_and_the_others_are_counted() -> None:
    names = [f"case-{number}" for number in range(history.MOST_CASES + 2)]
    section = filled(
        material(*(at(1 + day, *STEADY, case=name, torch=f"2.{day}.0") for name in names for day in (0, 1)))
    )
    content = section.content
    assert isinstance(content, history.Histories)
    assert [each.history.what.partition(":")[0] for each in content.measured] == names[: history.MOST_CASES]
    assert content.left_out == 2
    assert '<p class="note">2 older cases are not drawn.</p>' in page.html(material(), [section])


def test_without_any_series_there_is_no_section() -> None:
    assert history.content(replace(material(), catalog=replace(_tables(), claims={}))) is None
