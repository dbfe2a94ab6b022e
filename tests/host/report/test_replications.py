from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from runner.contract.request import Accelerator
from runner.host.judging.groups import Group
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.report import page
from runner.host.report.material import Material
from runner.host.report.sections import replications
from tests.support import drawings
from tests.support.groups import CLAIM, group

FIVE, OTHERS = (3.10, 3.11, 3.09, 3.10, 3.12), (3.20, 3.22, 3.19, 3.21, 3.20)
_tables = functools.cache(catalog.read)


def material(*ours: Group, laboratories: Mapping[str, Group] | None = None, **changes: object) -> Material:
    others = {name: [Measured(of)] for name, of in (laboratories or {}).items()}
    told: dict[str, object] = {"laboratories": others, "sources": ["post-1", "post-3"], **changes}
    return Material(_tables(), list(map(Measured, ours)), made_utc="2026-11-27", **told)  # type: ignore[arg-type]


def filled(of: Material) -> page.FilledSection:
    """Return the section without the others, which look at files and samples too."""
    content = replications.content(of)
    assert content is not None
    return page.FilledSection(
        "replications", replications.HEADING, content, {each.name: each for each in replications.figures(content)}
    )


def test_each_cell_with_two_measurements_has_a_figure_whose_name_is_in_its_record() -> None:
    section = filled(material(group(*FIVE), laboratories={"elsewhere": group(*OTHERS)}))
    content = section.content
    assert isinstance(content, replications.Forests)
    assert list(section.figures) == [forest.figure for forest in content.forests]
    assert len(set(section.figures)) == len(content.forests) > 4
    figure = section.figures["replications-gaudi2-8-bloomz-1"]
    for told in (
        "post-3, 1% assumed: 3.103 s",
        "these runs, 5 launches: 3.104 s",
        "elsewhere, 5 launches: 3.204 s",
        "3 together",
    ):
        assert told in figure.description
    assert drawings.problems(figure) == []
    assert json.loads(json.dumps(dataclasses.asdict(content)))["forests"][0]["cell"] == "8 x gaudi2, bloomz"


def test_a_page_says_what_was_merged_and_what_is_in_no_forest() -> None:
    host = group(*FIVE, accelerator=Accelerator("cpu", "cpu", None, None))
    of = material(group(*FIVE), host, laboratories={"<b>elsewhere</b>": group(*OTHERS)})
    html = page.html(of, [filled(of)])
    assert "3 of equal conditions together" in " ".join(html.split())
    assert "1 request in no forest: a walk-through on a CPU measures no published cell." in html
    assert "<b>elsewhere</b>" not in html and "&lt;b&gt;elsewhere" in html


def test_every_figure_of_an_example_says_so_and_none_of_published_numbers() -> None:
    section = filled(material(group(*FIVE), example="an example: nobody measured these results"))
    of_launches = "replications-gaudi2-8-bloomz-1"
    assert of_launches in section.figures and len(section.figures) > 1
    for name, figure in section.figures.items():
        texts = [element.text for element in drawings.of_class(drawings.read(figure), "note")]
        assert texts == (["an example: nobody measured these results"] if name == of_launches else [])


def test_cells_and_reasons_beyond_the_most_are_counted() -> None:
    others = [
        group(*FIVE, accelerator=Accelerator(f"device-{number}", "cuda", 141 * 10**9, None), engine=engine)
        for number in range(replications.MOST_CELLS)
        for engine in ("plain", "kernel-injection")
    ]
    # each of them beyond its memory in its own words
    beyond = [group(number / 1e5, number / 1e5) for number in range(1, 15)]
    section = filled(material(*others, *beyond))
    content = section.content
    assert isinstance(content, replications.Forests)
    assert len(section.figures) == len(content.forests) == replications.MOST_CELLS
    assert content.cells_left_out == len(filled(material()).figures)
    assert (len(content.left_out), content.left_out_otherwise) == (10, 4)
    html = page.html(material(), [section])
    assert f"{content.cells_left_out} more cells are not drawn." in html
    assert "4 more in no forest, for other reasons." in html


def test_public_numbers_alone_make_forests_without_diamonds() -> None:
    section = filled(material())
    assert "replications-gaudi2-8-bloomz-1" in section.figures
    assert not any("together" in figure.description for figure in section.figures.values())


def test_only_cells_of_the_shown_publications_and_those_that_were_measured_have_a_forest() -> None:
    h100 = Accelerator("h100", "cuda", 80 * 10**9, None)
    assert set(filled(material(sources=["h100-2026"])).figures) == {"replications-h100-1-bloomz-7b1-1"}
    measured = material(group(3.1, 3.2, accelerator=h100), laboratories={"a": group(*FIVE)}, sources=["h100-2026"])
    assert set(filled(measured).figures) == {"replications-h100-1-bloomz-7b1-1", "replications-gaudi2-8-bloomz-1"}


def test_no_cell_with_two_measurements_is_no_section() -> None:
    one = replace(_tables(), claims={CLAIM: _tables().claims[CLAIM]})
    assert replications.content(replace(material(), catalog=one)) is None


@pytest.mark.parametrize("seconds", [1e-3, 0.5, 1e5])
def test_far_apart_measurements_are_drawn(seconds: float) -> None:
    others = Accelerator("h200", "cuda", 141 * 10**9, None)
    of = material(
        group(3.1, 3.2, accelerator=others), laboratories={"a": group(seconds, seconds * 1.5, accelerator=others)}
    )
    figure = filled(of).figures["replications-h200-8-bloomz-1"]
    assert drawings.problems(figure) == []
