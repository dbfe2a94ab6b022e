"""Write SVG: elements as text, figures for a page, and figures as files of their own. Every text is escaped.

A figure carries no colour. Its elements have classes, and ``palette.CSS`` gives each class its colours, once for the light and once for
the dark scheme: a page holds this style once, a file of its own holds it inside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from runner.contract.text import printable
from runner.host.figures import palette

_CLASSES = re.compile(r'(?<= class=")[a-z -]+')
_NAMESPACE = "http://www.w3.org/2000/svg"
# Characters of a text in a figure: a foreign name fills no page.
_CHARACTERS = 200


@dataclass(frozen=True)
class Figure:
    """A drawing of ``width`` times ``height`` units, which are pixels where the page is as wide as the figure.

    ``name`` is made of letters, digits, dots, hyphens and _: the figure's id on a page and the name of its file. ``title`` says what the
    figure shows, ``description`` what a reader who does not see it needs to know, with the numbers. ``elements`` are SVG elements as text.
    """

    name: str
    width: float
    height: float
    title: str
    description: str
    elements: tuple[str, ...]


def number(value: float) -> str:
    """Return a coordinate with at most two decimals, always in the same form."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def element(name: str, *content: str, **attributes: float | str | None) -> str:
    """Return one element. ``content`` is SVG already; attributes that are None are left out.

    An underscore in the name of an attribute stands for a hyphen, and one at its end is dropped: ``class_``, ``text_anchor``.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}={_value(value)}"
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def _value(value: float | str) -> str:
    return quoteattr(printable(value, 10_000)) if isinstance(value, str) else f'"{number(value)}"'


def circle(x: float, y: float, radius: float, class_: str, *content: str) -> str:
    """Return a circle around the point ``x``, ``y``; ``content`` may be the ``hint`` that a pointer shows."""
    return element("circle", *content, class_=class_, cx=x, cy=y, r=radius)


def line(x1: float, y1: float, x2: float, y2: float, class_: str, *content: str) -> str:
    """Return a straight line."""
    return element("line", *content, class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def rectangle(x: float, y: float, width: float, height: float, class_: str, *content: str) -> str:
    """Return a rectangle, whose upper left corner is ``x``, ``y``."""
    return element("rect", *content, class_=class_, x=x, y=y, width=width, height=height)


def polygon(points: list[tuple[float, float]], class_: str, *content: str) -> str:
    """Return a closed shape."""
    return element("polygon", *content, class_=class_, points=" ".join(f"{number(x)},{number(y)}" for x, y in points))


def path(data: str, class_: str, *content: str) -> str:
    """Return a path of SVG's path commands."""
    return element("path", *content, class_=class_, d=data)


def text(x: float, y: float, words: str, class_: str = "label", anchor: str = "start") -> str:
    """Return one line of text, whose base line begins, ends or is centred at ``x``, ``y``: ``anchor`` is start, end or middle."""
    return element("text", escaped(words), class_=class_, x=x, y=y, text_anchor=None if anchor == "start" else anchor)


def hint(words: str) -> str:
    """Return the text that a pointer shows over the element around it."""
    return element("title", escaped(words))


def escaped(words: str) -> str:
    """Return foreign text as SVG text: markup escaped, control and direction-changing characters made visible."""
    return escape(printable(words, _CHARACTERS))


def on_page(figure: Figure) -> str:
    """Return a figure as an element of a page, which holds ``palette.CSS``; as wide as its place, and named by title and description."""
    return _drawn(figure, "", class_="figure", aria_labelledby=f"{figure.name}-title {figure.name}-description")


def document(figure: Figure) -> str:
    """Return a figure as an SVG file of its own, which follows the reader's light or dark scheme."""
    return _file(figure, palette.css_of(_classes(figure)))


def light_document(figure: Figure) -> str:
    """Return a figure as an SVG file in the light scheme, without what a program that draws PNG does not know."""
    return _file(figure, palette.light_css_of(_classes(figure)))


def _classes(figure: Figure) -> frozenset[str]:
    """Return the classes of a figure's elements, and that of its ground."""
    named = (classes for part in figure.elements for classes in _CLASSES.findall(part))
    return frozenset({"ground"}.union(*(classes.split() for classes in named)))


def _file(figure: Figure, css: str) -> str:
    ground = rectangle(0, 0, figure.width, figure.height, "ground")
    size = {"width": figure.width, "height": figure.height}
    return _drawn(figure, element("style", escape(css)) + ground, xmlns=_NAMESPACE, **size) + "\n"


def _drawn(figure: Figure, before: str, **attributes: float | str) -> str:
    return element(
        "svg",
        element("title", escaped(figure.title), id=f"{figure.name}-title"),
        element("desc", escape(printable(figure.description, 10_000)), id=f"{figure.name}-description"),
        before,
        *figure.elements,
        id=figure.name,
        viewBox=f"0 0 {number(figure.width)} {number(figure.height)}",
        role="img",
        **attributes,
    )
