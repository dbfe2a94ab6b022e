"""Read a page of HTML back as a tree, and refuse one whose elements are not closed in the order in which they were opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

# Elements of HTML that have no end tag.
_VOID = {"meta", "link", "input", "br", "hr", "img", "wbr"}


@dataclass
class Element:
    """An element: its tag, its attributes, and in their order the texts and elements in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[Element | str] = field(default_factory=list)

    def all(self, tag: str | None = None, **attributes: str) -> list[Element]:
        """Return the elements below this one with a tag, and with attributes whose words hold those given; ``class_`` is class."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            each
            for each in self._below()
            if tag in (None, each.tag)
            and all(value in each.attributes.get(name, "").split() for name, value in wanted.items())
        ]

    def only(self, tag: str | None = None, **attributes: str) -> Element:
        """Return the one element that ``all`` finds."""
        (found,) = self.all(tag, **attributes)
        return found

    def text(self) -> str:
        """Return the text of the element and of those in it, with single blanks."""
        return " ".join("".join(part if isinstance(part, str) else f"{part.text()} " for part in self.content).split())

    def _below(self) -> Iterator[Element]:
        for part in self.content:
            if isinstance(part, Element):
                yield part
                yield from part._below()


def parsed(text: str) -> Element:
    """Return a page as a tree. Raises ``AssertionError`` for an element that is closed too early, too late or never."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert [each.tag for each in reader.open] == ["page"]
    return reader.open[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} stands twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].content.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"{tag} ends within {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)
