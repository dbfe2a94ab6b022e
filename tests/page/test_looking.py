"""The looks can fail: a sound page passes all of them, and each planted fault is found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.page import looking
from tests.page.looking import Look, Seen

SOUND = (Path(__file__).parent / "data" / "sound.html").read_text()
USUAL = Look()


@dataclass(frozen=True)
class Fault:
    """A fault of a page: ``old`` becomes ``new`` in the sound one, and the ``way`` of looking finds ``words``."""

    old: str
    new: str
    words: str
    way: Look = USUAL


FAULTS = {
    "a figure without a name": Fault(
        ' aria-labelledby="cell-title"><title id="cell-title">One launch at 0.77 s</title>',
        ">",
        "svg-img-alt",
        Look(axe=True),
    ),
    "a picture without words": Fault(
        "<figcaption>",
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><figcaption>',
        "image-alt",
        Look(axe=True),
    ),
    "a page without a language": Fault(' lang="en"', "", "html-has-lang", Look(axe=True)),
    "faint words": Fault(
        "<p>There",
        '<p style="color:#bbb">Faint</p></details><p style="color:#bbb">There',
        "color-contrast",
        Look(axe=True),
    ),
    "words that are faint in the dark": Fault(
        "color:#e8eaed}svg", "color:#444}svg", "text has a contrast", Look(scheme="dark")
    ),
    "a label that belongs to nothing": Fault('for="first"', 'for="none"', "axe: label", Look(axe=True)),
    "a page that is too wide": Fault(
        "<h1>", '<h1 style="width:500px">', "scrolls sideways", Look(width=looking.NARROW)
    ),
    "a box that spills out of sight": Fault(
        "<h1>", '<h1 style="width:500px;white-space:nowrap">', "beyond the right edge", Look(width=looking.NARROW)
    ),
    "folded words that are too wide": Fault(
        "<p>There", '<p style="width:500px">There', "scrolls sideways", Look(width=looking.NARROW, unfolded=True)
    ),
    "words that are cut off": Fault("<h1>", '<h1 style="overflow:hidden;height:10px">', "cut off"),
    "a file from a network": Fault(
        "<figcaption>", '<img alt="x" src="https://example.invalid/x.png"><figcaption>', "asked for other files"
    ),
    "a script": Fault("</main>", "</main><script>console.log(1)</script>", "the console tells"),
    "texts on each other": Fault('x="280" y="60"', 'x="30" y="62"', "texts overlap"),
    "a text beyond the drawing": Fault('x="280" y="60"', 'x="310" y="60"', "reach out of the drawing"),
    "a text on a bar of its colour": Fault(
        '<text x="20" y="60">',
        '<rect x="10" y="40" width="60" height="30" class="launch"/><text x="20" y="60">',
        "texts are faint",
    ),
    "a small text": Fault('<text x="20"', '<text style="font-size:8px" x="20"', "px high", Look(width=looking.NARROW)),
    "a faint mark": Fault(".launch{fill:#0b4f8a}", ".launch{fill:#cccccc}", "marks are faint"),
    "a mark that is lost in the dark": Fault(
        ".launch{fill:#8cc8ff}", ".launch{fill:#223}", "marks are faint", Look(scheme="dark", forced_colors="active")
    ),
    "a dark scheme that is light": Fault(
        "html{background:#14181d;color:#e8eaed}", "", "the background is", Look(scheme="dark")
    ),
    "a print in the dark scheme": Fault(
        "@media screen and", "@media", "the background is", Look(scheme="dark", media="print")
    ),
    "a revision that is not printed": Fault(
        ".panel{display:block}", "", "print hides 1 of 2 tables", Look(media="print")
    ),
    "details that stay closed in print": Fault(
        "details::details-content{", "x{", "closed details", Look(media="print")
    ),
    "a print that cuts a table": Fault(
        "@media print{", "@media print{table{width:900px}x{}.y{", "print cuts", Look(media="print", width=looking.SHEET)
    ),
    "a switch that does nothing": Fault(",#second:checked~.second", "", "shows no other table", Look(keyboard=True)),
    "a switch that no key reaches": Fault(
        'id="first" checked', 'id="first" checked disabled', "no other table", Look(keyboard=True)
    ),
    "a focus that nobody sees": Fault(
        ":focus-visible{outline:3px solid #0b4f8a}\ntd",
        ":focus-visible{outline:none}\ntd",
        "nothing shows the focus",
        Look(keyboard=True),
    ),
    "a number that copies badly": Fault("0.772", "0.772\N{NO-BREAK SPACE}s", "U+00A0", Look(copy=True)),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    folder, looks = tmp_path_factory.mktemp("planted"), []
    for number, fault in enumerate(FAULTS.values()):
        assert fault.old in SOUND
        page = folder / f"{number}.html"
        page.write_text(SOUND.replace(fault.old, fault.new, 1))
        looks.append(replace(fault.way, page=str(page)))
    return dict(zip(FAULTS, looking.look(looks), strict=True))


@pytest.fixture(scope="module")
def sound() -> list[Seen]:
    return looking.look(looking.every_way(Path(__file__).parent / "data" / "sound.html"))


def test_a_sound_page_has_no_problem_in_any_look(sound: list[Seen]) -> None:
    assert {str(seen.look): looking.problems(seen) for seen in sound} == {str(seen.look): [] for seen in sound}
    assert looking.without_script(sound) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(planted: dict[str, Seen], fault: str) -> None:
    words = FAULTS[fault].words
    assert any(words in problem for problem in looking.problems(planted[fault])), looking.problems(planted[fault])


def test_words_that_only_a_script_writes_are_missed(tmp_path: Path) -> None:
    page = tmp_path / "scripted.html"
    unguarded = SOUND.replace("default-src 'none';", "")
    page.write_text(unguarded.replace("</main>", "</main><script>document.body.append('scripted')</script>"))
    seen = looking.look([Look(str(page)), Look(str(page), script=False)])
    assert looking.without_script(seen) == ["scripted"]


def test_the_pages_of_a_pdf_are_counted(tmp_path: Path) -> None:
    page, pdf = tmp_path / "long.html", tmp_path / "long.pdf"
    page.write_text(SOUND.replace("<h1>", '<h1 style="break-after:page">'))
    looking.look([Look(str(page), media="print", pdf=str(pdf))])
    assert looking.pages_of_pdf(pdf) == 2
