from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import history, svg
from runner.host.figures.history import HistoryMark
from tests.host.figures.examples_together import a_history
from tests.support import drawings


@given(st.lists(st.floats(0.1, 500), min_size=1, max_size=70))
def test_points_stand_at_their_values_in_their_order(values: list[float]) -> None:
    figure = history.draw(a_history(*values))
    root = drawings.read(figure)
    points = [drawings.numbers(each, "cx", "cy") for each in drawings.of_class(root, "ours") if each.tag == "circle"]
    span = max(values) - min(values) + 0.05
    expected = [pytest.approx(value, abs=2e-3 * span + 1e-3 * max(values)) for value in values]
    if len(drawings.ticks_of(root, "y1")) > 1:
        assert [drawings.value_at(root, y, along="y1") for _, y in points] == expected
    places = [x for x, _ in points]
    assert places == sorted(places) and len(set(places)) == len(values)
    assert drawings.problems(figure) == []


def test_intervals_reach_from_end_to_end() -> None:
    root = drawings.read(history.draw(a_history(3.1, 3.2, 3.15, 3.3)))
    drawn = [drawings.numbers(line, "y1", "y2") for line in drawings.of_class(root, "ours-line")]
    values = [tuple(round(drawings.value_at(root, y, along="y1"), 3) for y in ends) for ends in drawn]
    assert values == [pytest.approx((3.18, 3.23), abs=2e-3), pytest.approx((3.28, 3.33), abs=2e-3)]


def test_a_change_stands_between_its_neighbours_and_is_named_below() -> None:
    marks = (HistoryMark(1, 1, "+6.5%: torch 2.0 to 2.1"), HistoryMark(0, None, "more launches would tell"))
    root = drawings.read(history.draw(a_history(3.1, 3.1, 3.3, marks=marks)))
    points = [drawings.numbers(each, "cx")[0] for each in drawings.of_class(root, "ours") if each.tag == "circle"]
    short, whole = drawings.of_class(root, "change")
    assert points[1] < drawings.numbers(whole, "x1")[0] < points[2]
    assert points[0] < drawings.numbers(short, "x1")[0] < points[1]
    texts = [element.text for element in root.iter("text")]
    assert {"1", "?", "1: +6.5%: torch 2.0 to 2.1"} <= set(texts)
    assert [element.text for element in short.iter("title")] == ["more launches would tell"]


def test_of_many_changes_the_first_are_named_and_the_others_counted() -> None:
    marks = tuple(HistoryMark(number, number + 1, "torch") for number in range(40))
    figure = history.draw(a_history(*(3.0 + number for number in range(60)), marks=marks))
    root = drawings.read(figure)
    assert len(drawings.of_class(root, "change")) == 40, "every change has its line"
    texts = [element.text for element in root.iter("text")]
    assert "8: torch" in texts and "9: torch" not in texts and "32 more changes" in texts
    assert "40: torch." in figure.description
    assert drawings.problems(figure) == []


def test_a_long_title_stands_on_two_lines_whole() -> None:
    title = "a100-8-bloomz-7b1-compiled: 8 x a100-80gb, bloomz-7b1, float16, batch of 8"
    figure = history.draw(replace(a_history(3.1, 3.2), title=title))
    lines = [element.text or "" for element in drawings.of_class(drawings.read(figure), "strong")]
    assert len(lines) == 2 and " ".join(lines) == title
    assert drawings.problems(figure) == []


def test_published_points_are_hollow_squares() -> None:
    root = drawings.read(history.draw(a_history(3.1, 3.2, published=True)))
    assert len(drawings.of_class(root, "theirs-square")) == 2
    assert not list(root.iter("circle"))


def test_first_and_last_label_are_drawn_and_no_two_labels_meet() -> None:
    root = drawings.read(history.draw(a_history(*(3.0 + number for number in range(50)))))
    texts = [element.text for element in root.iter("text")]
    assert "2026-01-01" in texts and "2026-02-22" in texts


def test_foreign_text_stays_text() -> None:
    hostile = "<script>alert(1)</script> \u202e ]]> &"
    marks = (HistoryMark(0, 1, hostile),)
    figure = history.draw(a_history(3.1, 3.2, marks=marks, title=hostile, note=hostile, lines=(hostile,)))
    root = drawings.read(figure)
    assert not list(root.iter("script"))
    assert "\u202e" not in svg.document(figure)
    assert drawings.problems(figure) == []
