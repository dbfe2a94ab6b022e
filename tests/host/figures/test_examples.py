from __future__ import annotations

import pytest

from runner.host.figures import svg
from tests.host.figures import examples
from tests.support import drawings

NAMES = list(examples.figures())


def test_every_golden_file_is_of_an_example() -> None:
    assert sorted(path.stem for path in examples.GOLDENS.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_its_golden_file(name: str) -> None:
    """``python -m tests.host.figures.examples`` writes the files anew; look at each before it is committed."""
    assert svg.document(examples.figures()[name]) == (examples.GOLDENS / f"{name}.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_no_text_overlaps_another_or_leaves_its_figure(name: str) -> None:
    assert drawings.problems(examples.figures()[name]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_has_a_title_and_a_description_with_numbers(name: str) -> None:
    figure = examples.figures()[name]
    root = drawings.read(figure)
    assert (root[0].tag, root[1].tag) == ("title", "desc")
    assert root[0].text == figure.title
    assert any(character.isdigit() for character in figure.description)


def test_overlapping_texts_and_those_outside_are_found() -> None:
    over = svg.Figure("a", 100, 50, "t", "d", (svg.text(5, 20, "first"), svg.text(10, 22, "second")))
    outside = svg.Figure("a", 100, 50, "t", "d", (svg.text(60, 20, "much too long"),))
    assert drawings.problems(over) == ["'first' over 'second'"]
    assert drawings.problems(outside) == ["'much too long' leaves the figure"]
