"""Read figures back: what a reader sees of an SVG, in the numbers of its axis, and where its texts stand."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from runner.host.figures import svg, words
from runner.host.figures.svg import Figure

_NAMESPACE = "{http://www.w3.org/2000/svg}"
# The sizes of text by class, as palette's rules give them; all other text is of the greater size.
_SMALL = {"small", "quiet", "tick", "note"}


@dataclass(frozen=True)
class Box:
    """The room of one line of text, as wide as in the widest font."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Return whether two texts overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def read(figure: Figure) -> Element:
    """Return the root of a figure's own file, which a parser that knows no HTML has read."""
    root = ElementTree.fromstring(svg.document(figure))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_NAMESPACE)
    return root


def of_class(root: Element, class_: str) -> list[Element]:
    """Return all elements of a class."""
    return [element for element in root.iter() if class_ in element.get("class", "").split()]


def numbers(element: Element, *names: str) -> tuple[float, ...]:
    """Return attributes as numbers."""
    return tuple(float(element.attrib[name]) for name in names)


def value_at(root: Element, place: float, *, along: str = "x1") -> float:
    """Return the number at a place, told from the texts and the places of the axis's ticks alone; ``along`` is y1 for a vertical axis."""
    ticks = ticks_of(root, along)
    (low, start), (high, end) = ticks[0], ticks[-1]
    if along == "x1" and logarithmic(root):
        return low * math.exp((place - start) / (end - start) * math.log(high / low))
    return low + (place - start) / (end - start) * (high - low)


def logarithmic(root: Element) -> bool:
    """Return whether equal numbers of the ticks are unlike far apart, as on a logarithmic axis."""
    ticks = ticks_of(root)
    steps = [(b - a) / (right - left) for (a, left), (b, right) in itertools.pairwise(ticks)]
    return max(steps) > 1.5 * min(steps)


def ticks_of(root: Element, along: str = "x1") -> list[tuple[float, float]]:
    """Return the numbers of the ticks, each with its place; ``along`` is y1 for a vertical axis."""
    texts = [element.text or "" for element in of_class(root, "tick")]
    places = [numbers(mark, along)[0] for mark in of_class(root, "tick-mark")]
    assert len(texts) == len(places)
    return sorted((float(text), place) for text, place in zip(texts, places, strict=True))


def boxes(root: Element) -> list[Box]:
    """Return the room of each text, in the widest font."""
    made = []
    for element in root.iter("text"):
        class_ = element.get("class", "")
        size = words.SMALL if class_ in _SMALL else words.SIZE
        wide = words.width(element.text or "", size, strong=class_ == "strong")
        x, y = numbers(element, "x", "y")
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[element.get("text-anchor", "start")]
        made.append(Box(element.text or "", left, y - 0.76 * size, left + wide, y + 0.2 * size))
    return made


def problems(figure: Figure) -> list[str]:
    """Return in words which texts overlap or leave the figure, which elements share an id, and which numbers are none."""
    root = read(figure)
    texts = boxes(root)
    found = [f"{one.text!r} over {two.text!r}" for one, two in itertools.combinations(texts, 2) if one.meets(two)]
    found += [
        f"{box.text!r} leaves the figure"
        for box in texts
        if box.left < 0 or box.top < 0 or box.right > figure.width or box.bottom > figure.height
    ]
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    found += [f"two elements are {name}" for name in ids if ids.count(name) > 1]
    values = [value for element in root.iter() for key, value in element.attrib.items() if key != "aria-labelledby"]
    return found + [f"no number: {value}" for value in values if value in ("nan", "inf", "-inf")]
