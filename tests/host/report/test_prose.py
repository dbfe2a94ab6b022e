"""The section of the claims in words: what it says, its figures read back, and foreign text that stays text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.host.figures.svg import Figure
from runner.host.readers.prices import HourlyPrice, Prices
from runner.host.report import templating
from runner.host.report.material import Material
from runner.host.report.sections import prose
from runner.host.report.sections.prose import Prose
from tests.examples.made_up import MadeUp
from tests.support import drawings
from tests.support.markup import Element, parsed
from tests.support.materials import made_up_material, material

HOSTILE = "<script>alert(1)</script>\"'=1+1"
MEASURED = (
    MadeUp("a100-8-bloomz"),
    MadeUp("gaudi2-8-bloomz"),
    MadeUp("a100-1-bloomz-7b1", launches=1),
    MadeUp("gaudi2-8-bloomz-7b1"),
    MadeUp("gaudi2-1-bloomz-7b1", ratio=0.8),
    MadeUp("gaudi-1-bloomz-7b1"),
)


def content(made: Material) -> Prose:
    found = prose.content(made)
    assert found is not None
    return found


def figures(made: Material) -> dict[str, Figure]:
    return {figure.name: figure for figure in prose.figures(content(made))}


def html(made: Material) -> Element:
    return parsed(templating.rendered("sections/prose.html", {"content": content(made), "figures": figures(made)}))


def users_prices(region: str = "here", path: str = "prices.yaml") -> Prices:
    a100 = HourlyPrice("a100-80gb", 8, "20", "EUR", region, "2026-11-01", "an invoice")
    gaudi = HourlyPrice("gaudi", 1, "2", "EUR", region, "2026-11-01", "an invoice")
    return Prices(path, {"own-a100": a100, "own-gaudi": gaudi})


def test_the_claims_of_the_source_shown_first_stand_first() -> None:
    found = content(material())
    assert [factor.claimed.name for factor in found.factors] == ["post-3-176b", "post-3-7b", "post-1-176b", "post-1-7b"]
    assert [price.claimed.name for price in found.prices] == ["post-3", "post-1"]


def test_sources_without_claims_in_words_make_no_section() -> None:
    assert prose.content(material(sources=["ci-1.9.0"])) is None


def test_what_was_found_is_json(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, *MEASURED)
    assert strictjson.loads(strictjson.canonical(asdict(content(made))), "the record")


def test_the_table_shows_each_factor_as_published_like_for_like_and_measured(tmp_path: Path) -> None:
    table = html(made_up_material(tmp_path, *MEASURED)).all("table")[0]
    rows = [[cell.text() for cell in row.all("td")] for row in table.all("tbody")[0].all("tr")]
    assert rows[0][1:3] == ["published 4.402 s / 3.103 s", "factor 1.419"]
    assert [row[0] for row in rows[1:4]] == [
        "latencies as published: 1 x a100-80gb over 8 x gaudi2, bloomz-7b1",
        "latencies like for like: 1 x a100-80gb over 1 x gaudi2, bloomz-7b1",
        "latencies like for like: 8 x a100-80gb over 8 x gaudi2, bloomz-7b1",
    ]
    assert [row[2] for row in rows[1:4]] == ["factor 2.887", "factor 2.745", "factor 3.293"]
    assert [row[3] for row in rows[1:4]] == ["here 2.887", "here 3.431", "here no launches that count"]
    assert rows[1][5] == "launches 1 and 5"


@pytest.mark.parametrize("which", ["factor-post-3-7b", "price-post-3"])
def test_figures_show_the_numbers_of_the_record(tmp_path: Path, which: str) -> None:
    made = made_up_material(tmp_path, *MEASURED)
    found = content(made)
    if which.startswith("factor"):
        claimed = found.factors[1].claimed
        numbers = [(each.published, each.measured) for each in (claimed.quotient, *claimed.like_for_like)]
    else:
        cost = found.prices[0].claimed.at_published
        numbers = [(cost.published, cost.measured)]
    root = drawings.read(figures(made)[which])
    shown = []
    for diamond in drawings.of_class(root, "theirs-mark"):
        xs = [float(point.split(",")[0]) for point in diamond.attrib["points"].split()]
        shown.append(drawings.value_at(root, (min(xs) + max(xs)) / 2))
    assert shown == pytest.approx([published for published, _ in numbers], rel=2e-3)
    dots = [drawings.value_at(root, *drawings.numbers(dot, "cx")) for dot in drawings.of_class(root, "launch")]
    assert dots == pytest.approx([measured.value for _, measured in numbers if measured is not None], rel=2e-3)


def test_a_verdict_stands_with_its_reasons(tmp_path: Path) -> None:
    captions = [each.text() for each in html(made_up_material(tmp_path, *MEASURED)).all("figcaption")]
    assert captions[0].startswith("HOLDS 1.42 times (post-3, 2023-06-24): the interval ")
    assert captions[1].startswith(
        "PROVISIONAL 2.89 times (post-3, 2023-06-24): one launch of 1 x a100-80gb, bloomz-7b1; "
    )
    assert ", devices: 1 against 8, precision: float16 against bfloat16, graphs: no against yes, " in captions[1]
    assert captions[2].startswith("PROVISIONAL 1 x gaudi, bloomz-7b1 at a better price than 1 x a100-80gb (post-3, ")


def test_a_claim_of_an_earlier_revision_that_was_not_measured_stands_in_the_table_alone(tmp_path: Path) -> None:
    assert list(figures(material())) == ["factor-post-3-176b", "factor-post-3-7b", "price-post-3"]
    page = html(material())
    assert len(page.all("table")[0].all("tbody")[0].all("tr")) == 8
    notes = [note.text() for note in page.all("p", class_="note")]
    assert notes[0].startswith(
        "1.2 times (post-1, 2023-03-28) is not judged: nothing was measured beside 8 x a100-80gb, bloomz of post-1; "
    )
    assert list(figures(material(sources=["post-1"]))) == ["factor-post-1-176b", "factor-post-1-7b", "price-post-1"]


def test_every_figure_of_an_example_says_so(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, *MEASURED)
    for figure in figures(made).values():
        assert "an example of a test" in [box.text for box in drawings.boxes(drawings.read(figure))]


def test_a_walk_through_marks_nothing_as_measured(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp("cpu-2", latency_s=0.6))
    for figure in figures(made).values():
        assert drawings.of_class(drawings.read(figure), "launch") == []
    assert "stands only a walk-through on a CPU" in html(made).text()


def test_prices_of_the_user_stand_beside_those_of_the_words() -> None:
    page = html(material(prices=users_prices()))
    rows = [[cell.text() for cell in row.all("td")] for row in page.all("table")[1].all("tbody")[0].all("tr")]
    assert rows[0][1:3] == ["prices an hour 30 and 13 USD (of post-3)", "paid for whole or share, which are equal"]
    assert rows[1][1:4] == [
        "prices an hour 20 and 2 EUR (yours: own-a100, own-gaudi)",
        "paid for whole instances",
        f"published {2.119 * 20 / (2.387 * 2):.3f}",
    ]
    assert rows[2][2] == "paid for share of the instances"


def test_without_prices_the_page_says_whose_prices_stand_there() -> None:
    assert "no other prices were given" in html(material()).text()
    assert "no other prices were given" not in html(material(prices=users_prices())).text()


def test_no_pair_of_prices_is_said() -> None:
    only = Prices("mine.yaml", {"own": users_prices().rows["own-a100"]})
    assert "mine.yaml has no prices of a100-80gb and of gaudi in one currency." in html(material(prices=only)).text()


def test_foreign_text_stays_text() -> None:
    page = html(material(prices=Prices(HOSTILE, {"own": users_prices().rows["own-a100"]}), example=HOSTILE + "\u202e"))
    assert page.all("script") == []
    assert HOSTILE in page.text() and "\\u202e" in page.text() and "\u202e" not in page.text()


def test_the_claims_about_images_are_shown_with_what_the_ledger_finds() -> None:
    found = content(material())
    assert [(image.says, image.kind) for image in found.images] == [
        ("2.2", "ratio of unlike conditions"),
        ("2.37", "ratio without a cell"),
    ]
    page = html(material()).all("table")[-1]
    assert "The kit measures no images." in page.text()
    assert "2.63 / 1.19 = 2.210" in page.text()
