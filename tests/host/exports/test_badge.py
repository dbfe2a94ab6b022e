from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from runner.host.exports import badge
from runner.host.judging.measured import Measured
from tests.host.exports import made

SVG = "{http://www.w3.org/2000/svg}"
CELL = "post-3-gaudi2-1-bloomz-7b1"


def read(measured: list[Measured]) -> ElementTree.Element:
    return ElementTree.fromstring(badge.text(measured))


def words(drawn: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in drawn.iter(f"{SVG}text")]


def test_it_tells_cell_verdict_and_day_and_is_named_by_them() -> None:
    drawn = read(made.of(made.gaudi2()))
    assert words(drawn) == ["8 x gaudi2, bloomz: 3.103 s", "REPRODUCED", "2026-11-22"]
    title = drawn.findtext(f"{SVG}title")
    assert title == "8 x gaudi2, bloomz: 3.103 s, REPRODUCED, 2026-11-22"
    assert drawn.get("role") == "img" and drawn.get("aria-label") == title


def test_a_walk_through_says_so_instead_of_a_verdict() -> None:
    drawn = words(read(made.of(made.cpu())))
    assert drawn[0].startswith("1 x gaudi2, bloomz-7b1") and drawn[1] == "walk-through"


def test_a_comparable_result_stands_before_a_newer_one_that_is_not() -> None:
    newer, request = made.stand_in()
    newer["attempt"]["id"] = "20261125T100000Z-0123abcd"
    measured = made.of((newer, replace(request, launches=7)), made.gaudi2())
    assert [found.rows[0].verdict.word for found in measured] == ["NOT-COMPARABLE", "REPRODUCED"]
    assert words(read(measured))[1:] == ["REPRODUCED", "2026-11-22"]


def test_each_text_lies_in_its_box_and_the_boxes_fill_the_picture() -> None:
    drawn = read(made.of(made.gaudi2()))
    boxes = list(drawn.iter(f"{SVG}rect"))
    right = 0.0
    for box, label in zip(boxes, drawn.iter(f"{SVG}text"), strict=True):
        left, wide = float(box.get("x", "nan")), float(box.get("width", "nan"))
        start, long = float(label.get("x", "nan")), float(label.get("textLength", "nan"))
        assert left == pytest.approx(right, abs=0.02)
        assert start - left == pytest.approx(left + wide - start - long, abs=0.02) and start > left
        right = left + wide
    assert float(drawn.get("width", "nan")) == pytest.approx(right, abs=0.02)


def test_white_text_can_be_read_on_every_colour() -> None:
    for colour in {badge._CELL, badge._DAY, badge._OPEN, *badge._COLOURS.values()}:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5


def test_it_needs_no_network_and_no_script() -> None:
    text = badge.text(made.of(made.gaudi2()))
    assert text.count("http") == 1 and "script" not in text and "href" not in text and "url(" not in text


def test_rows_of_several_cells_are_refused() -> None:
    with pytest.raises(ValueError):
        badge.text(made.of(made.cpu(), made.gaudi2()))


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_is_text_alone(name: str) -> None:
    drawn = read(made.hostile(name))
    assert {element.tag for element in drawn.iter()} == {SVG + tag for tag in ("svg", "title", "g", "rect", "text")}
    assert all(character.isprintable() for text in words(drawn) for character in text)
