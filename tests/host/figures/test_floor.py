from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import floor
from runner.host.figures.floor import FloorFigure, FloorRow, Share
from tests.support import drawings

SHARES = st.lists(st.floats(0.001, 1.4), min_size=1, max_size=6)


def of_shares(shares: list[float], note: str | None = None, title: str = "8 x gaudi2, bloomz") -> FloorFigure:
    rows = [
        FloorRow(title, "suggests: memory or host", (Share("published", share, True), Share("here", share / 2, False)))
        for share in shares
    ]
    return FloorFigure("memory-floor", "Share of each time that memory needs", note, tuple(rows))


@given(SHARES)
def test_every_bar_is_as_long_as_its_share(shares: list[float]) -> None:
    root = drawings.read(floor.draw(of_shares(shares)))
    for class_, wanted in {"bar-theirs": shares, "bar": [share / 2 for share in shares]}.items():
        ends = [sum(drawings.numbers(bar, "x", "width")) for bar in drawings.of_class(root, class_)]
        assert [drawings.value_at(root, end) / 100 for end in ends] == pytest.approx(wanted, abs=2e-4)


@given(SHARES, st.text(max_size=200), st.text(max_size=60))
def test_no_words_overlap(shares: list[float], note: str, title: str) -> None:
    assert drawings.problems(floor.draw(of_shares(shares, note, title))) == []


def test_an_impossible_share_ends_at_the_edge_and_is_told() -> None:
    figure = floor.draw(of_shares([60.0]))
    root = drawings.read(figure)
    (bar,) = drawings.of_class(root, "bar-theirs")
    assert drawings.value_at(root, sum(drawings.numbers(bar, "x", "width"))) == pytest.approx(150, abs=0.1)
    assert "6000% published" in [box.text for box in drawings.boxes(root)]


def test_the_limit_stands_at_a_hundred_percent() -> None:
    root = drawings.read(floor.draw(of_shares([0.5, 1.2])))
    limits = [drawings.numbers(line, "x1")[0] for line in drawings.of_class(root, "limit")]
    assert [drawings.value_at(root, x) for x in limits] == pytest.approx([100, 100], abs=0.1)


def test_published_and_measured_differ_by_shape_too() -> None:
    root = drawings.read(floor.draw(of_shares([0.5])))
    (theirs,), (ours,) = drawings.of_class(root, "bar-theirs"), drawings.of_class(root, "bar")
    assert drawings.numbers(theirs, "height")[0] < drawings.numbers(ours, "height")[0]


def test_the_description_has_every_number() -> None:
    description = floor.draw(of_shares([0.58, 0.038])).description
    assert description.startswith("8 x gaudi2, bloomz: published 58%, here 29%; suggests: memory or host.")
    assert "published 3.8%, here 1.9%" in description
