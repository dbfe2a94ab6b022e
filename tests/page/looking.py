"""Look at pages in Chromium, and say in words what is wrong with what was seen."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "page" / "bin" / "python"
BROWSER = Path(__file__).parent / "browser.py"
# Pixels: a phone, a tablet, a laptop, a large screen.
NARROW, TABLET, LAPTOP, WIDE = 360, 800, 1280, 2560
# The width of a sheet of A4 within margins of 15 mm, in pixels of CSS.
SHEET = 680

# What an element shows of the data must be told from the paper at 3:1 (WCAG 2.2, 1.4.11). These help to read, and may be fainter.
HELPERS = re.compile(r"\.(grid|band|band-edge|rounding|bar-rest|ground|mark-ground|axis)\b")
_LEAST_MARK = 3.0
# A number that copies badly: blanks that are none, hyphens that are none, letters that change the direction.
_NOT_PLAIN = re.compile("[\u00a0\u00ad\u2000-\u200f\u2010-\u2012\u202a-\u202f\u2060-\u2069\u2212\ufeff]")
# The least size of a letter in a figure, in pixels.
_LEAST_TEXT = 9.5


@dataclass(frozen=True)
class Look:
    """One look at one page, or at its part ``anchor``: how wide, in which scheme and medium, and what else is looked at.

    ``unfolded`` opens what is folded, and chooses the last of the switchable parts. ``picture`` and ``pdf`` name files to write.
    """

    page: str = ""
    anchor: str = ""
    width: int = LAPTOP
    height: int = 900
    scheme: str = "light"
    media: str = "screen"
    script: bool = True
    forced_colors: str = "none"
    contrast: str = "no-preference"
    unfolded: bool = False
    axe: bool = False
    keyboard: bool = False
    copy: bool = False
    picture: str | None = None
    full_page: bool = True
    pdf: str | None = None
    paper: str = "A4"

    def __str__(self) -> str:
        """The look without the page, for the name of a test."""
        chosen = (
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)[5:]
            if getattr(self, field.name) != field.default
        )
        return " ".join([str(self.width), self.scheme, *chosen])


@dataclass(frozen=True)
class Seen:
    """A look and what was seen: the facts that ``browser.py`` prints."""

    look: Look
    facts: dict[str, Any]


# A page is looked at in all these ways.
WAYS = (
    *(Look(width=width, scheme=scheme, axe=True) for width in (NARROW, LAPTOP, WIDE) for scheme in ("light", "dark")),
    Look(width=TABLET, keyboard=True, copy=True),
    Look(width=1440),
    Look(width=NARROW, unfolded=True, axe=True),
    Look(unfolded=True),
    Look(width=SHEET, media="print"),
    Look(width=SHEET, media="print", scheme="dark"),
    Look(width=NARROW, scheme="dark", forced_colors="active"),
    Look(forced_colors="active"),
    Look(contrast="more"),
    Look(script=False),
)


def every_way(page: Path) -> list[Look]:
    """Return all looks at a page."""
    return [dataclasses.replace(way, page=str(page)) for way in WAYS]


def look(looks: Sequence[Look]) -> list[Seen]:
    """Look, all in one Chromium, and return what was seen. Raises ``AssertionError`` where Chromium does not run."""
    asked = [{key: value for key, value in dataclasses.asdict(each).items() if value is not None} for each in looks]
    done = subprocess.run([PYTHON, BROWSER], input=json.dumps(asked), capture_output=True, text=True, timeout=900)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == len(looks), f"Chromium: {done.stderr[-2000:]}"
    return [Seen(each, json.loads(line)) for each, line in zip(looks, lines, strict=True)]


def problems(seen: Seen) -> list[str]:
    """Return everything that is wrong with one look, in words; nothing where all is well."""
    return [*_always(seen), *(_in_layout(seen) if seen.look.script else ()), *_asked_for(seen)]


def _always(seen: Seen) -> Iterator[str]:
    facts = seen.facts
    if len(facts["requests"]) != 1:
        yield f"the page asked for other files: {facts['requests'][1:4]}"
    if facts["console"]:
        yield f"the console tells: {facts['console'][:3]}"
    if not facts["title"].strip() or not facts["words"].strip():
        yield "the page has no title, or no words"


def _in_layout(seen: Seen) -> Iterator[str]:
    facts, printed = seen.facts, seen.look.media == "print"
    if facts["scroll_width"] > facts["width"]:
        yield f"the page scrolls sideways: {facts['scroll_width']} px in {facts['width']} px"
    if facts["spilling"]:
        yield f"beyond the right edge: {facts['spilling'][:5]}"
    if facts["cut"]:
        yield f"cut off: {facts['cut'][:5]}"
    dark = seen.look.scheme == "dark" and not printed
    if (sum(facts["background"]) < 3 * 80) != dark or (printed and facts["background"] != [255, 255, 255]):
        yield f"the background is {facts['background']} in the {seen.look.scheme} scheme, {seen.look.media}"
    if facts["ink"] < 7:
        yield f"text has a contrast of {facts['ink']:.1f}"
    if printed:
        yield from _in_print(facts)
    for figure in facts["figures"]:
        yield from (f"figure {figure['name']}: {words}" for words in _in_figure(figure))


def _in_print(facts: dict[str, Any]) -> Iterator[str]:
    if not all(facts["tables"]):
        yield f"print hides {facts['tables'].count(False)} of {len(facts['tables'])} tables"
    if facts["closed"]:
        yield f"print hides what is in {facts['closed']} closed details"
    if facts["scrolling"]:
        yield f"print cuts what scrolls on a screen: {facts['scrolling'][:5]}"


def _in_figure(figure: dict[str, Any]) -> Iterator[str]:
    if figure["overlapping"]:
        yield f"texts overlap: {figure['overlapping'][:3]}"
    if figure["outside"]:
        yield f"texts reach out of the drawing: {figure['outside'][:3]}"
    if figure["faint"]:
        yield f"texts are faint: {figure['faint'][:3]}"
    if figure["least_text"] is not None and figure["least_text"] < _LEAST_TEXT:
        yield f"a text is {figure['least_text']:.1f} px high"
    faint = {
        name: round(ratio, 2)
        for name, ratio in figure["marks"].items()
        if ratio < _LEAST_MARK and not HELPERS.search(name)
    }
    if faint:
        yield f"marks are faint: {faint}"


def _asked_for(seen: Seen) -> Iterator[str]:
    facts = seen.facts
    yield from (f"axe: {words}" for words in facts.get("violations", ()))
    for copied in facts.get("copied", ()):
        bad = _NOT_PLAIN.search(copied)
        if bad:
            yield f"copied text holds U+{ord(bad.group()):04X}: {copied[max(0, bad.start() - 20) : bad.end() + 20]!r}"
    if seen.look.copy and not facts["copied"]:
        yield "there is no table to copy from"
    if seen.look.keyboard:
        yield from _by_keyboard(facts)


def _by_keyboard(facts: dict[str, Any]) -> Iterator[str]:
    switch = facts["switch"]
    for stop in facts["stops"]:
        if not stop["marked"]:
            yield f"nothing shows the focus on {stop['tag']} {stop['words']!r}"
    if switch is None:
        if facts["switches"]:
            yield "Tab reaches no switch"
    elif not _shows_another(switch["before"], switch["after"]) or not switch["now"]["checked"]:
        yield "an arrow key on the switch shows no other table"


def _shows_another(before: list[bool], after: list[bool]) -> bool:
    return any(now and not then for then, now in zip(before, after, strict=True))


def without_script(seen: Sequence[Seen]) -> list[str]:
    """Return what a reader without script misses, of looks at one page of the same width."""
    (bare,) = [each for each in seen if not each.look.script]
    (full,) = [each for each in seen if each.look.script and _same_but_for_script(each.look, bare.look)]
    return sorted(set(full.facts["words"].split()) - set(bare.facts["words"].split()))


def _same_but_for_script(one: Look, other: Look) -> bool:
    return dataclasses.replace(one, script=False, axe=False) == other


def pages_of_pdf(path: Path) -> int:
    """Return the number of pages of a PDF file that Chromium wrote."""
    return len(re.findall(rb"/Type ?/Page\b(?!s)", path.read_bytes()))
