"""The section of energy, price and performance: what it says, and foreign text that stays text."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.host.readers.prices import HourlyPrice, Prices
from runner.host.report import templating
from runner.host.report.material import Material
from runner.host.report.sections import costs
from runner.host.report.sections.costs import Costs
from tests.examples.made_up import MadeUp
from tests.support.markup import Element, parsed
from tests.support.materials import made_up_material, material

HOSTILE = "<img src=x onerror=alert(1)>\"'=1+1"
PRICE = HourlyPrice("gaudi2", 8, "10.42", "EUR", "our own room", "2026-11-01", "invoice 7")


def content(made: Material) -> Costs:
    found = costs.content(made)
    assert found is not None
    return found


def html(made: Material) -> Element:
    return parsed(templating.rendered("sections/costs.html", {"content": content(made), "figures": {}}))


def rows(table: Element) -> list[list[str]]:
    return [[cell.text() for cell in (*row.all("th"), *row.all("td"))] for row in table.all("tbody")[0].all("tr")]


def test_without_results_the_published_cells_stand_alone() -> None:
    found = content(material())
    assert (found.source, len(found.costs), found.prices_path) == ("post-3", 8, None)
    page = html(material())
    assert rows(page.all("table")[0])[0] == [
        "8 x gaudi2, bloomz, bfloat16",
        "whose published",
        "time of 100 3.103 s",
        "of a million 31030 s",
        "energy of 100 the source does not tell it",
    ]
    assert "Money: no price was given." in page.text()


def test_a_source_without_cells_and_without_results_makes_no_section() -> None:
    assert costs.content(material(sources=["post-2"])) is None


def test_what_was_measured_stands_below_its_cell(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp("gaudi2-8-bloomz", watts=400), MadeUp("gaudi-1-bloomz-7b1", launches=1))
    shown = rows(html(made).all("table")[0])
    assert shown[1] == [
        "8 x gaudi2, bloomz, bfloat16, optimum-habana",
        "whose here, 5 launches",
        "time of 100 3.103 s (-0.6% to +0.6%)",
        "of a million 31030 s",
        # 8 devices of 400 W for 3.103 s
        "energy of 100 9930 J (-0.6% to +0.6%)",
        "of a million 99.30 MJ",
    ]
    assert shown[-1][1:] == [
        "whose here, 1 launch",
        "time of 100 2.387 s",
        "of a million 23870 s",
        "energy of 100 not measured: no device told its energy",
    ]
    assert content(made).beside == [
        each.group.request.id for each in sorted(made.measured, key=lambda each: -len(each.samples))
    ]


def test_money_stands_in_the_currency_of_its_price_with_both_readings(tmp_path: Path) -> None:
    made = replace(made_up_material(tmp_path, MadeUp("gaudi2-1-bloomz-7b1")), prices=Prices("p.yaml", {"own": PRICE}))
    shown = rows(html(made).all("table")[1])
    one_device = [row for row in shown if row[0].startswith("1 x gaudi2")]
    assert [row[1:3] for row in one_device] == [
        ["whose published", "price own"],
        ["whose here, 5 launches", "price own"],
    ]
    whole, share = one_device[0][4], one_device[0][6]
    assert whole == f"a million {7720 * 10.42 / 3600:.2f} EUR"
    assert share == f"share: a million {7720 * 10.42 / 3600 / 8:.3f} EUR"
    (eight_devices, _) = (row for row in shown if row[0].startswith("8 x gaudi2"))
    assert eight_devices[5:] == ["share: 100 every device works"]


def test_the_request_that_the_page_sets_beside_a_cell_is_shown_and_the_others_are_folded(tmp_path: Path) -> None:
    many = [
        MadeUp("gaudi2-8-bloomz", packages={"torch": torch}, started=datetime(2026, 11, day, tzinfo=timezone.utc))
        for day, torch in ((20, "2.0.0"), (22, "2.0.1"), (21, "2.0.2"))
    ]
    made = replace(made_up_material(tmp_path, *many), prices=Prices("p.yaml", {"own": PRICE}))
    this_run = made.this_run("post-3-gaudi2-8-bloomz")
    assert this_run is not None
    found, page = content(made), html(made)
    assert [cost.name for cost in found.costs if cost.kind == "measured"] == [this_run[0].group.request.id]
    assert len(found.others) == 2
    folded = page.only("details")
    assert "2 other requests: seconds, joules and money" in folded.text()
    assert [len(rows(table)) for table in folded.all("table")] == [2, 2]
    assert all(cost.name in folded.text() for cost in found.others)


def test_of_a_cell_that_nobody_published_the_newest_request_is_shown(tmp_path: Path) -> None:
    made = made_up_material(
        tmp_path, *(MadeUp("cpu-2", latency_s=0.6, packages={"torch": version}) for version in "12")
    )
    made = replace(made, measured=[replace(each, rows=[]) for each in made.measured])
    found = content(made)
    assert [cost.name for cost in found.costs if cost.kind == "measured"] == [made.measured[0].group.request.id]
    assert [cost.name for cost in found.others] == [made.measured[1].group.request.id]
    # no table names them
    assert found.beside == []
    assert all(each.group.request.id in html(made).text() for each in made.measured)


def test_prices_of_other_accelerators_make_no_table_of_money() -> None:
    page = html(material(prices=Prices("p.yaml", {"own": replace(PRICE, product="h200")})))
    assert "none of these prices is of an accelerator above" in page.text()
    assert len(page.all("table")) == 2


def test_numbers_of_one_cell_are_told_apart_by_engine_and_weights() -> None:
    words = [cost.words for cost in content(material(sources=["h100-2026"])).costs]
    assert len(set(words)) == len(words) == 2
    assert all(each.endswith(", dummy weights") for each in words)


def test_each_price_is_shown_with_its_day_and_age() -> None:
    page = html(material(prices=Prices("p.yaml", {"own": PRICE, "day": replace(PRICE, date="2026-11-26")})))
    shown = rows(page.all("table")[2])
    assert shown[0] == [
        "own",
        "instance 8 x gaudi2",
        "an hour 10.42 EUR",
        "region our own room",
        "named on 2026-11-01, 26 days before this page was made",
        "source invoice 7",
    ]
    assert "2026-11-26, 1 day before" in shown[1][4]


def test_an_example_and_a_walk_through_say_what_they_are(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp("cpu-2", latency_s=0.6))
    page = html(made)
    assert "an example of a test" in page.all("caption")[0].text()
    assert "walk-through on a CPU: tells nothing of an accelerator" in page.text()


def test_older_requests_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(costs, "MOST_REQUESTS", 1)
    made = made_up_material(tmp_path, MadeUp("gaudi2-8-bloomz"), MadeUp("gaudi-1-bloomz-7b1"))
    assert content(made).left_out == 1
    assert "1 older request left out." in html(made).text()


def test_a_request_without_a_number_says_why(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp("gaudi2-8-bloomz", emulated=True))
    assert content(made).without == [
        f"8 x gaudi2, bloomz, bfloat16, optimum-habana, {made.measured[0].group.request.id}: something stood in for the"
        " device"
    ]
    assert "These requests tell no number:" in html(made).text()


def test_what_was_found_is_json(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp("gaudi2-8-bloomz", watts=400))
    record = strictjson.loads(
        strictjson.canonical(asdict(content(replace(made, prices=Prices("p", {"own": PRICE}))))), "the record"
    )
    assert isinstance(record, dict)
    assert record["costs"][0]["energy_j"] is None


def test_foreign_text_stays_text() -> None:
    hostile = replace(PRICE, region=HOSTILE, source=HOSTILE + "\u202e")
    page = html(material(prices=Prices(HOSTILE, {"own": hostile})))
    assert page.all("img") == []
    assert page.text().count(HOSTILE) == 3
    assert "\u202e" not in page.text()
