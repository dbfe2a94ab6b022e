"""The colours of figures, by the class of an element. Meaning is never carried by colour alone: shapes and line styles differ too."""

from __future__ import annotations

import re

# name: light scheme, dark scheme. tests/host/figures holds them against the paper, against each other for colour-blind people and in grey.
COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#14181d"),
    "ink": ("#1c2126", "#e8eaed"),
    "quiet": ("#5a636d", "#a3acb7"),
    "grid": ("#d9dee4", "#343b44"),
    # what was measured here
    "ours": ("#083f73", "#a9d6ff"),
    # what was published
    "theirs": ("#b84f00", "#d97f2e"),
    # the margin within which a number holds
    "band": ("#dfe9f3", "#22364a"),
}

_RULES = """
.ground{{fill:{paper}}}
svg text{{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans","DejaVu Sans",sans-serif;font-size:12px;fill:{ink}}}
svg text.small{{font-size:11px}}
svg text.quiet,svg text.tick{{fill:{quiet};font-size:11px}}
svg text.strong{{font-weight:600}}
svg text.note{{fill:{ink};font-size:11px;font-style:italic}}
.axis{{stroke:{quiet};stroke-width:1}}
.grid{{stroke:{grid};stroke-width:1}}
.launch{{fill:{ours};stroke:{paper};stroke-width:.75}}
.launch-flagged{{fill:{paper};stroke:{ours};stroke-width:1.5}}
.interval{{stroke:{ours};stroke-width:5}}
.prediction{{stroke:{ours};stroke-width:1}}
.mean{{fill:{ours}}}
.ours{{fill:{ours}}}
.ours-line{{fill:none;stroke:{ours};stroke-width:2}}
.theirs{{fill:{theirs}}}
.theirs-line{{fill:none;stroke:{theirs};stroke-width:2;stroke-dasharray:5 3}}
.theirs-range{{stroke:{theirs};stroke-width:3}}
.theirs-square{{fill:{paper};stroke:{theirs};stroke-width:1.5}}
.ours-end{{stroke:{ours};stroke-width:2}}
.theirs-end{{stroke:{theirs};stroke-width:2}}
.ours-thin{{stroke:{ours};stroke-width:1}}
.theirs-thin{{stroke:{theirs};stroke-width:1}}
.change{{stroke:{ink};stroke-width:1;stroke-dasharray:2 2}}
.change-number{{fill:{paper};stroke:{ink};stroke-width:1}}
.range{{stroke:{quiet};stroke-width:2}}
.theirs-mark{{fill:none;stroke:{theirs};stroke-width:1.25}}
.rounding{{fill:{theirs};fill-opacity:.3}}
.band{{fill:{band}}}
.band-edge{{fill:none;stroke:{quiet};stroke-width:1;stroke-dasharray:2 3}}
.limit{{stroke:{ink};stroke-width:1}}
.mark-ground{{stroke:{paper};stroke-width:3.5}}
.mark{{stroke:{ink};stroke-width:1}}
.bar{{fill:{ours}}}
.bar-theirs{{fill:{theirs}}}
.bar-rest{{fill:{grid}}}
"""
# The classes that a rule is for; a rule without any is for all text.
_CLASS = re.compile(r"\.([a-z][a-z-]*)(?=[{,])")


def _rules(scheme: int, classes: frozenset[str] | None = None) -> str:
    colours = {name: pair[scheme] for name, pair in COLOURS.items()}
    of_rules = {rule: frozenset(_CLASS.findall(rule)) for rule in _RULES.split("\n")}
    kept = [rule for rule, named in of_rules.items() if classes is None or not named or named & classes]
    return "".join(kept).format(**colours)


LIGHT_CSS = _rules(0)
DARK_CSS = _rules(1)
CSS = f"{LIGHT_CSS}@media screen and (prefers-color-scheme:dark){{{DARK_CSS}}}"


def light_css_of(classes: frozenset[str]) -> str:
    """Return the rules of elements of these classes in the light scheme."""
    return _rules(0, classes)


def css_of(classes: frozenset[str]) -> str:
    """Return the rules of elements of these classes, in both schemes."""
    return f"{_rules(0, classes)}@media screen and (prefers-color-scheme:dark){{{_rules(1, classes)}}}"
