from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import cell, svg
from runner.host.figures.cell import CellFigure, OtherNumber
from runner.host.figures.strip import Bar, Dot
from tests.host.figures.examples import a_cell
from tests.support import drawings

LATENCIES = st.lists(st.floats(0.01, 1000), min_size=1, max_size=30)
# A place has two decimals, of some 336 units: what the axis tells is right within its own precision.
WITHIN = 2e-3


def near(shown: float, number: float, figure: CellFigure) -> bool:
    ends = [*figure.range_s(), *figure.band_s, *(figure.prediction_s or ()), *(figure.interval_s or ())]
    return math.isclose(shown, number, rel_tol=WITHIN, abs_tol=WITHIN * (max(ends) - min(ends)))


@given(LATENCIES)
def test_every_dot_stands_over_its_launch(latencies_s: list[float]) -> None:
    told = a_cell(*latencies_s)
    root = drawings.read(cell.draw(told))
    shown = [drawings.value_at(root, *drawings.numbers(dot, "cx")) for dot in drawings.of_class(root, "launch")]
    assert len(shown) == len(latencies_s)
    assert all(near(one, other, told) for one, other in zip(shown, latencies_s, strict=True))


@given(st.floats(0.5, 20), st.floats(0.001, 0.4), st.floats(0.001, 0.8))
def test_mean_intervals_band_rounding_and_the_published_number_stand_where_they_are(
    mean_s: float, near_by: float, far: float
) -> None:
    interval, ahead = (mean_s * (1 - near_by), mean_s * (1 + near_by)), (mean_s * (1 - far), mean_s * (1 + far))
    told = a_cell(mean_s, mean_s=mean_s, interval_s=interval, prediction_s=ahead)
    root = drawings.read(cell.draw(told))

    def shown(class_: str, *names: str) -> tuple[float, ...]:
        return tuple(drawings.value_at(root, x) for x in drawings.numbers(drawings.of_class(root, class_)[0], *names))

    points = [float(point.split(",")[0]) for point in drawings.of_class(root, "mean")[0].attrib["points"].split()]
    assert near(drawings.value_at(root, (min(points) + max(points)) / 2), mean_s, told)
    for class_, pair in {"interval": interval, "prediction": ahead}.items():
        assert all(near(one, other, told) for one, other in zip(shown(class_, "x1", "x2"), pair, strict=True)), class_
    assert near(shown("theirs-line", "x1")[0], 3.103, told)
    for class_, (low, high) in {"band": told.band_s, "rounding": told.rounding_s}.items():
        left, width = drawings.numbers(drawings.of_class(root, class_)[0], "x", "width")
        assert near(drawings.value_at(root, left), low, told), class_
        assert near(drawings.value_at(root, left + width), high, told), class_


@given(LATENCIES, st.sampled_from(["REPRODUCED", "NOT-COMPARABLE", None]), st.text(max_size=300), st.text(max_size=100))
def test_no_data_and_no_words_make_texts_overlap(
    latencies_s: list[float], word: str | None, note: str, title: str
) -> None:
    mean_s = math.exp(sum(map(math.log, latencies_s)) / len(latencies_s))
    others = (OtherNumber("2023-03-28", "3.717"), OtherNumber("ci-1.7.5", "0.02"))
    figure = cell.draw(
        a_cell(
            *latencies_s, word=word, note=note, title=title, mean_s=mean_s, interval_s=(mean_s, mean_s), others=others
        )
    )
    assert drawings.problems(figure) == []


@pytest.mark.parametrize("number", [1, 5, 40, 120])
def test_equal_launches_are_all_seen(number: int) -> None:
    root = drawings.read(cell.draw(a_cell(*[3.1] * number)))
    places = {drawings.numbers(dot, "cx", "cy") for dot in drawings.of_class(root, "launch")}
    assert len(places) == number
    assert len({x for x, _ in places}) == 1


def test_flagged_launches_are_hollow_and_counted() -> None:
    dots = (Dot(3.1, "one"), Dot(3.11, "two; flagged: idle_before", flagged=True))
    figure = cell.draw(a_cell(dots=dots, failed=2))
    root = drawings.read(figure)
    (hollow,) = drawings.of_class(root, "launch-flagged")
    assert len(drawings.of_class(root, "launch")) == 1
    assert hollow[0].text == "two; flagged: idle_before"
    assert "2 launches, 1 flagged (hollow), 2 failed" in [box.text for box in drawings.boxes(root)]
    assert "1 flagged, 2 failed" in figure.description


def test_bins_hold_every_launch_and_stand_where_they_are() -> None:
    bars = (Bar(3.0, 3.1, 400, 100), Bar(3.1, 3.2, 100, 0))
    told = a_cell(bars=bars)
    figure = cell.draw(told)
    root = drawings.read(figure)
    (hollow,) = drawings.of_class(root, "launch-flagged")
    heights: dict[float, float] = {}
    for bar in [hollow, *drawings.of_class(root, "launch")]:
        x, width, height = drawings.numbers(bar, "x", "width", "height")
        heights[round(drawings.value_at(root, x), 2)] = heights.get(round(drawings.value_at(root, x), 2), 0) + height
        assert near(drawings.value_at(root, x + width) - drawings.value_at(root, x), 0.1, told)
    assert heights[3.0] == pytest.approx(4 * heights[3.1])
    assert drawings.numbers(hollow, "height")[0] == pytest.approx(heights[3.0] / 4)
    assert "500 launches from 3.000 to 3.200 s" in figure.description
    assert "500 launches in 2 bins, 100 flagged (hollow)" in [box.text for box in drawings.boxes(root)]


def test_a_rare_launch_far_away_is_seen_beside_a_hundred_thousand() -> None:
    bars = tuple(
        Bar(3 + place / 100, 3 + (place + 1) / 100, count) for place, count in enumerate([99_999, *[0] * 18, 1])
    )
    figure = cell.draw(a_cell(bars=bars))
    drawn = drawings.of_class(drawings.read(figure), "launch")
    assert [drawings.numbers(bar, "height")[0] >= 1 for bar in drawn] == [True, True]
    assert len(svg.on_page(figure)) < 20_000


@pytest.mark.parametrize(("earlier", "held"), [("3.2", True), ("3.717", False), ("0.9", False)])
def test_another_number_stands_in_its_place_or_points_to_it(earlier: str, held: bool) -> None:
    root = drawings.read(cell.draw(a_cell(3.1, 3.12, others=(OtherNumber("2023-03-28", earlier),))))
    (triangle,) = drawings.of_class(root, "theirs-mark")
    xs = [float(point.split(",")[0]) for point in triangle.attrib["points"].split()]
    if held:
        assert drawings.value_at(root, sum(xs) / 3) == pytest.approx(float(earlier), rel=WITHIN)
    else:
        assert (min(xs) < 20) == (float(earlier) < 3)
        assert (max(xs) > 340) == (float(earlier) > 3)
    assert f"published 2023-03-28: {earlier} s" in [box.text for box in drawings.boxes(root)]


def test_a_far_launch_keeps_the_band_in_sight() -> None:
    root = drawings.read(cell.draw(a_cell(0.5912)))
    (band,) = drawings.of_class(root, "band")
    (dot,) = drawings.of_class(root, "launch")
    assert drawings.numbers(band, "width")[0] > 20
    assert drawings.numbers(dot, "cx")[0] < drawings.numbers(band, "x")[0] - 100


def test_where_nothing_was_compared_there_is_no_mean() -> None:
    root = drawings.read(cell.draw(a_cell(3.1, word="INVALID")))
    assert not [class_ for class_ in ("mean", "interval", "prediction") if drawings.of_class(root, class_)]
    assert not [box for box in drawings.boxes(root) if box.text.startswith("here")]


@given(st.floats(0.5, 20), st.floats(0.001, 0.4))
def test_lines_reach_the_axis_but_where_the_words_of_the_mean_stand(mean_s: float, near_by: float) -> None:
    root = drawings.read(cell.draw(a_cell(mean_s, mean_s=mean_s, interval_s=(mean_s * (1 - near_by), mean_s))))
    (here,) = [box for box in drawings.boxes(root) if box.text.startswith("here")]
    bottom = sum(drawings.numbers(drawings.of_class(root, "band")[0], "y", "height"))
    lines: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for class_ in ("theirs-line", "band-edge"):
        for line in drawings.of_class(root, class_):
            x, top, end = drawings.numbers(line, "x1", "y1", "y2")
            lines.setdefault((class_, x), []).append((top, end))
    assert len(lines) == 3
    for (_, x), stretches in lines.items():
        assert max(end for _, end in stretches) == pytest.approx(bottom, abs=0.02)
        under = here.left < x < here.right
        assert not under or all(end <= here.top or top >= here.bottom for top, end in stretches)
        # what stands beside the words is not interrupted
        assert len(stretches) == 1 or here.left - 3 < x < here.right + 3


def test_a_number_that_several_publications_print_has_their_dates() -> None:
    figure = cell.draw(a_cell(3.1, dates=("2022-03-28", "2023-03-28")))
    words = "published 3.103 s (2022-03-28 and 2023-03-28)"
    assert words in [box.text for box in drawings.boxes(drawings.read(figure))]
    assert figure.description.startswith(words.capitalize())
    assert drawings.problems(figure) == []


def test_the_note_is_in_the_drawing() -> None:
    root = drawings.read(cell.draw(a_cell(0.59, word=None, note="walk-through on a CPU: reproduces no published cell")))
    assert [element.text for element in drawings.of_class(root, "note")] == [
        "walk-through on a CPU: reproduces no published cell"
    ]


def test_the_same_numbers_are_the_same_bytes() -> None:
    assert cell.draw(a_cell(3.1, 3.2)) == cell.draw(a_cell(3.1, 3.2))
