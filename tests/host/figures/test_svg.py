from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.figures import palette, svg
from runner.host.figures.svg import Figure
from tests.support import drawings

HOSTILE = [
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "]]><!--",
    "</title></svg>",
    "&lt;b&gt; &#60;",
    "\u202egnp.exe",
    "a\u0000b\x1b[31mred",
    "\ud800 alone",
    "{{ 7 * 7 }}",
    "=1+1",
]


def of_words(words: str) -> Figure:
    parts = (svg.text(10, 20, words), svg.circle(1, 2, 3, "launch", svg.hint(words)), svg.element("g", id=words))
    return Figure("a-figure", 100, 50, words, words, parts)


def shape(figure: Figure) -> list[str]:
    return [element.tag for element in drawings.read(figure).iter()]


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words(words: str) -> None:
    figure = of_words(words)
    assert shape(figure) == shape(of_words("plain"))
    for text in (svg.on_page(figure), svg.document(figure), svg.light_document(figure)):
        assert "<script" not in text
        assert not set(text) & set("\u202e\u0000\x1b\ud800")


@given(st.text(max_size=60))
def test_any_words_stay_words(words: str) -> None:
    assert shape(of_words(words)) == shape(of_words("plain"))


def test_words_read_back_as_they_were() -> None:
    root = drawings.read(of_words("a < b & c"))
    assert [element.text for element in root.iter("text")] == ["a < b & c"]
    assert root[0].text == root[1].text == "a < b & c"


def test_a_long_word_is_cut() -> None:
    (text,) = drawings.read(of_words("x" * 5000)).iter("text")
    assert len(text.text or "") < 300


def test_a_figure_on_a_page_is_named_by_its_title_and_description() -> None:
    root = ElementTree.fromstring(svg.on_page(of_words("words")))
    named = [root.find(f".//*[@id='{name}']") for name in root.attrib["aria-labelledby"].split()]
    assert root.attrib["role"] == "img"
    assert [element.tag for element in named if element is not None] == ["title", "desc"]


def test_a_file_holds_its_colours_and_a_figure_on_a_page_none() -> None:
    figure = of_words("words")
    assert "prefers-color-scheme" in svg.document(figure)
    assert "prefers-color-scheme" not in svg.light_document(figure)
    assert "<style" not in svg.on_page(figure)
    assert "#" not in svg.on_page(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1 + 0.2, "0.3"),
        (-0.001, "0"),
        (12.345, "12.35"),
        (100.0, "100"),
        (1e6, "1000000"),
        (-2.5, "-2.5"),
    ],
)
def test_coordinates_have_one_form(value: float, text: str) -> None:
    assert svg.number(value) == text


def test_names_of_attributes_and_those_without_a_value() -> None:
    assert svg.element("g", class_="a", text_anchor="end", id=None) == '<g class="a" text-anchor="end"/>'


def test_shapes_read_back() -> None:
    parts = (
        svg.line(1, 2, 3, 4, "axis"),
        svg.rectangle(1, 2, 3, 4, "band"),
        svg.polygon([(1, 2), (3, 4.5)], "mean"),
        svg.path("M0 0L1 1", "ours-line"),
    )
    root = drawings.read(Figure("a", 10, 10, "t", "d", parts))
    line, band, mean, path = (drawings.of_class(root, name)[0] for name in ("axis", "band", "mean", "ours-line"))
    assert drawings.numbers(line, "x1", "y1", "x2", "y2") == (1, 2, 3, 4)
    assert drawings.numbers(band, "x", "y", "width", "height") == (1, 2, 3, 4)
    assert (mean.attrib["points"], path.attrib["d"]) == ("1,2 3,4.5", "M0 0L1 1")


def test_a_file_holds_the_rules_of_its_own_classes_alone() -> None:
    text = svg.document(Figure("a", 10, 10, "t", "d", (svg.text(1, 2, "words", "quiet"), svg.circle(1, 2, 3, "mean"))))
    for scheme in (0, 1):
        for rule in (
            ".ground{fill:{}}",
            ".mean{fill:{}}",
            "svg text.quiet,svg text.tick{fill:{};font-size:11px}",
            "svg text{font",
        ):
            name = {".g": "paper", ".m": "ours"}.get(rule[:2], "quiet")
            assert rule.replace("{}", palette.COLOURS[name][scheme]) in text
    assert ".band{" not in text
    assert ".interval{" not in text
