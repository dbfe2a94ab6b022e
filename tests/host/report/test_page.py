from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from runner.host.figures import palette
from runner.host.judging import verdict
from runner.host.judging.verdict import Verdict
from runner.host.report import page
from runner.host.report.material import Material
from runner.host.report.sections import ORDER
from tests.examples import made_up
from tests.support.markup import Element, parsed
from tests.support.materials import CELLS, made_up_material, material, row, tables

HOSTILE = "</style><script>alert(1)</script><b onclick='x'>{{ 7 * 7 }} \u202egnp.exe\x1b[31m"
CSS = Path(page.__file__).with_name("templates") / "page.css"


def made(of: Material) -> tuple[str, Element]:
    text = page.html(of, page.filled(of))
    return text, parsed(text)


@pytest.fixture(scope="module", params=["published", "example", "walk-through"])
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Element:
    """Return a page without results, one of made-up results with every verdict, and one of a walk-through."""
    if request.param == "published":
        return made(material(sources=["post-1", "post-2", "bloom-2022", "post-3"]))[1]
    many = list(made_up.EIGHT_CELLS.values()) if request.param == "example" else [made_up.MadeUp("cpu-2")]
    return made(made_up_material(tmp_path_factory.mktemp("results"), *many))[1]


def test_ids_are_unique_and_what_refers_to_one_finds_it(tree: Element) -> None:
    ids = Counter(each.attributes["id"] for each in tree.all() if "id" in each.attributes)
    assert [name for name, number in ids.items() if number > 1] == []
    for each in tree.all():
        named = [each.attributes.get(name, "") for name in ("for", "aria-labelledby", "aria-describedby")]
        local = [
            each.attributes["href"][1:]
            for href in [each.attributes.get("href", "")]
            if href.startswith("#") and each.tag == "a"
        ]
        assert set(" ".join([*named, *local]).split()) <= set(ids)


def test_headings_are_in_order(tree: Element) -> None:
    levels = [int(each.tag[1]) for each in tree.all() if re.fullmatch("h[1-6]", each.tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_landmarks_and_what_has_no_text_have_names(tree: Element) -> None:
    assert [len(tree.all(tag)) for tag in ("header", "main", "footer")] == [1, 1, 1]
    for each in tree.all("nav") + tree.all("section") + tree.all(role="region") + tree.all("svg"):
        assert each.attributes.get("aria-label") or each.attributes.get("aria-labelledby")
    for table in tree.all("table"):
        assert table.all("caption")
        assert all("scope" in heading.attributes for heading in table.all("th"))
    for button in tree.all("input"):
        assert len(tree.all("label", for_=button.attributes["id"])) == 1


def test_the_navigation_leads_to_every_section_with_a_heading(tree: Element) -> None:
    leads = [each.attributes["href"] for each in tree.only("nav").all("a")]
    headed = [each.attributes["id"] for each in tree.all("section") if each.all("h2")]
    assert leads == [f"#{name}" for name in headed]
    assert headed == [name for name in ORDER if name in headed]


def test_the_page_needs_no_network_and_no_script(tree: Element) -> None:
    assert not tree.all("script") + tree.all("link") + tree.all("img") + tree.all("iframe") + tree.all("form")
    assert not [name for each in tree.all() for name in each.attributes if name.startswith("on")]
    css = " ".join(each.text() for each in tree.all("style"))
    assert "url(" not in css
    assert "@import" not in css
    assert all(set(each.attributes).isdisjoint({"src", "srcset", "action"}) for each in tree.all())
    (policy,) = [each.attributes["content"] for each in tree.all("meta") if "http-equiv" in each.attributes]
    assert policy.split("; ")[0] == "default-src 'none'"
    assert "script-src" not in policy


def test_an_example_says_so_in_its_title_and_above_all_else() -> None:
    _, tree = made(material(example="made up for a test"))
    assert tree.only("head").only("title").text().startswith("Example: ")
    assert tree.only(class_="example").text() == "made up for a test"
    assert tree.only("main").all()[0] is tree.only(class_="example")
    _, plain = made(material())
    assert not plain.all(class_="example")
    assert not plain.only("head").only("title").text().startswith("Example")


def test_the_question_and_the_answer_come_first() -> None:
    _, tree = made(material())
    assert tree.only("h1").text() == "Does the published number hold?"
    assert tree.all("section")[0].only(class_="answer").text().startswith("This page shows 8 published cells")


def test_foreign_text_stays_text() -> None:
    catalog = tables()
    source = replace(catalog.claim_sources["post-3"], title=HOSTILE, place=HOSTILE, note=HOSTILE, table_stack=HOSTILE)
    claims = {**catalog.claims, CELLS[0]: replace(catalog.claims[CELLS[0]], model=HOSTILE, accelerator=HOSTILE)}
    changed = replace(
        catalog,
        claim_sources={**catalog.claim_sources, "post-3": source},
        claims=claims,
        accelerator_rows={**catalog.accelerator_rows, HOSTILE: catalog.accelerator_rows["gaudi2"]},
        models={**catalog.models, HOSTILE: catalog.models["bloomz"]},
    )
    hostile = replace(
        row(CELLS[0], "NOT-COMPARABLE", HOSTILE),
        published=HOSTILE,
        request=HOSTILE,
        measured=HOSTILE,
        verdict=Verdict("SLOWER", [HOSTILE], 5, p_slower=0.001),
    )
    unlike = row(CELLS[1], "NOT-COMPARABLE", HOSTILE)
    of = replace(material(hostile, unlike, example=HOSTILE, refused=[HOSTILE]), catalog=changed, made_utc=HOSTILE)
    text, tree = made(of)
    assert not tree.all("script") + tree.all("b")
    assert tree.text().count("<script>alert(1)</script>") >= 10
    assert "{{ 7 * 7 }}" in tree.text()
    assert not set("\u202e\x1b") & set(text)


def test_no_section_calls_a_text_markup() -> None:
    for template in CSS.with_name("sections").glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape", template.read_text()), template.name


def test_numbers_can_be_copied(tmp_path: Path) -> None:
    text, _ = made(made_up_material(tmp_path, *made_up.EIGHT_CELLS.values()))
    assert not set("\u00a0\u2009\u202f\u00ad\u2212") & set(text)
    assert not re.search("&(nbsp|thinsp|shy|minus);", text)


def test_the_page_of_the_published_table_is_small(tmp_path: Path) -> None:
    text, _ = made(made_up_material(tmp_path, *made_up.EIGHT_CELLS.values()))
    assert len(text.encode()) < 1_000_000


def test_the_same_material_makes_the_same_page() -> None:
    assert made(material(row(CELLS[0])))[0] == made(material(row(CELLS[0])))[0]


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_the_paper_in_both_schemes(scheme: int) -> None:
    holds = re.findall("--holds:(#[0-9a-f]{6})", CSS.read_text())
    paper = palette.COLOURS["paper"][scheme]
    for colour in (holds[scheme], *(palette.COLOURS[name][scheme] for name in ("ink", "quiet", "ours", "theirs"))):
        lighter, darker = sorted((_luminance(colour), _luminance(paper)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_every_verdict_has_a_sign_of_its_own() -> None:
    """Words of one question are told apart without a colour; a word that decides nothing has the sign that all words begin with."""
    signs = {
        word: sign
        for words, sign in re.findall(r'\.verdict(\S*)::before\{content:"([^"]+)"', CSS.read_text())
        for word in re.findall(r"data-word=([A-Z-]+)", words)
    }
    changes = {verdict.CHANGED, verdict.UNCHANGED, verdict.INCONCLUSIVE}
    for words in (set(get_args(verdict.VerdictWord)) - {verdict.NO_RESULT}, changes):
        assert words <= set(signs)
        assert len({signs[word] for word in words}) == len(words)


def test_the_dark_scheme_is_for_the_screen_alone() -> None:
    text, _ = made(material())
    assert len(re.findall("prefers-color-scheme:dark", text)) == len(
        re.findall(r"@media screen and \(prefers-color-scheme:dark", text)
    )
