"""Open pages in Debian's Chromium and print what was seen, as one line of JSON for each look. Run by the Python of ``.venv/page``.

Standard input holds a list of looks: those of ``looking.py``, as mappings.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
# As root, as in a container, Chromium's sandbox cannot be set up. The pages that are opened are our own.
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"]
SEEN = (Path(__file__).parent / "seen.js").read_text()
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
# Of the elements that Tab reaches, the first are looked at.
_MOST_STOPS = 24

_VIOLATIONS = """async (rules) => {
  const asked = { runOnly: { type: "tag", values: rules }, resultTypes: ["violations"], selectors: false };
  const { violations } = await axe.run(document, asked);
  const where = (nodes) => nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" ");
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${where(nodes)}`);
}"""
_UNFOLDED = """() => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  [...document.querySelectorAll("input[type=radio]")].slice(-1).forEach((radio) => radio.click());
}"""
_STOP = """() => {
  const at = document.activeElement, box = (at.labels && at.labels.length ? at.labels[0] : at).getBoundingClientRect();
  return { tag: at.tagName.toLowerCase(), kind: at.getAttribute("type"), checked: at.checked ?? null, id: at.id,
           box: { x: box.x, y: box.y, width: box.width, height: box.height },
           words: (at.innerText || (at.labels && at.labels.length ? at.labels[0].innerText : "") || "").slice(0, 80) };
}"""
_TABLES = '() => [...document.querySelectorAll("table")].map((table) => table.checkVisibility())'
_COPIED = """() => [...document.querySelectorAll("table")].filter((table) => table.checkVisibility()).map((table) => {
  getSelection().selectAllChildren(table);
  const copied = getSelection().toString();
  getSelection().removeAllRanges();
  return copied;
})"""


def seen(browser: Browser, look: dict[str, Any]) -> dict[str, Any]:
    """Return what one look at one page saw."""
    context = browser.new_context(
        viewport={"width": look["width"], "height": look["height"]},
        color_scheme=look["scheme"],
        forced_colors=look["forced_colors"],
        contrast=look["contrast"],
        # a page that scrolls smoothly is elsewhere when it is looked at
        reduced_motion="reduce",
        java_script_enabled=look["script"],
        offline=True,
    )
    try:
        page = context.new_page()
        requests: list[str] = []
        console: list[str] = []
        page.on("request", lambda request: requests.append(request.url[:200]))
        page.on("console", lambda message: console.append(f"{message.type}: {message.text[:200]}"))
        page.on("pageerror", lambda error: console.append(str(error)[:200]))
        page.emulate_media(media=look["media"])
        began = time.monotonic()
        page.goto(Path(look["page"]).resolve().as_uri() + look["anchor"], wait_until="load", timeout=120_000)
        facts: dict[str, Any] = {"load_s": time.monotonic() - began, "title": page.title()}
        if look["unfolded"]:
            page.evaluate(_UNFOLDED)
        if look["script"]:
            facts.update(page.evaluate(SEEN))
            facts.update(_more(page, look))
        else:
            facts["words"] = page.locator("body").inner_text()
        if "picture" in look:
            page.screenshot(path=look["picture"], full_page=look["full_page"], animations="disabled")
        if "pdf" in look:
            page.pdf(path=look["pdf"], format=look["paper"], tagged=True, prefer_css_page_size=True)
        return {**facts, "requests": requests, "console": console}
    finally:
        context.close()


def _more(page: Page, look: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if look["axe"]:
        # evaluated, not added as an element: the page may forbid scripts
        page.evaluate(AXE)
        facts["violations"] = page.evaluate(_VIOLATIONS, RULES)
    if look["copy"]:
        facts["copied"] = page.evaluate(_COPIED)
    if look["keyboard"]:
        facts.update(_by_keyboard(page))
    return facts


def _by_keyboard(page: Page) -> dict[str, Any]:
    """Press Tab through the first elements, and the arrow keys on the first radio button."""
    stops, switch = [], None
    for _ in range(_MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop["tag"] == "body":
            break
        focused = _pixels(page, stop["box"])
        page.evaluate("() => { window.left = document.activeElement; window.left.blur(); }")
        stop["marked"] = focused != _pixels(page, stop["box"])
        page.evaluate("() => window.left.focus({ focusVisible: true })")
        stops.append(stop)
        if stop["kind"] == "radio" and switch is None:
            before = page.evaluate(_TABLES)
            page.keyboard.press("ArrowRight")
            switch = {"before": before, "after": page.evaluate(_TABLES), "now": page.evaluate(_STOP)}
    return {"stops": stops, "switch": switch}


def _pixels(page: Page, box: dict[str, float]) -> bytes:
    """Return the picture of a box and its surroundings."""
    around, view = 6, page.viewport_size or {"width": 0, "height": 0}
    left, top = max(0, box["x"] - around), max(0, box["y"] - around)
    right = min(view["width"], box["x"] + box["width"] + around)
    bottom = min(view["height"], box["y"] + box["height"] + around)
    # a focused element is scrolled into view
    clip = {"x": left, "y": top, "width": max(1, right - left), "height": max(1, bottom - top)}
    return page.screenshot(clip=clip, animations="disabled", caret="initial")


def main() -> None:
    """Look as standard input says."""
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for look in json.load(sys.stdin):
            print(json.dumps(seen(browser, look)), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
