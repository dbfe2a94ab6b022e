from __future__ import annotations

import struct
import zlib

import pytest

from runner.host.figures import png, svg
from runner.host.figures.svg import Figure
from tests.host.figures import examples


def pixels(picture: bytes) -> tuple[int, int, bytes]:
    """Return width, height and the raw lines of a PNG picture."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    place, data, size = 8, b"", (0, 0)
    while place < len(picture):
        length, kind = struct.unpack(">I4s", picture[place : place + 8])
        chunk = picture[place + 8 : place + 8 + length]
        size = struct.unpack(">II", chunk[:8]) if kind == b"IHDR" else size
        data += chunk if kind == b"IDAT" else b""
        place += length + 12
    return size[0], size[1], zlib.decompress(data)


def test_a_picture_is_twice_as_wide_and_high_as_its_figure() -> None:
    figure = examples.figures()["cell"]
    width, height, _ = pixels(png.drawn(figure))
    assert (width, height) == (2 * figure.width, 2 * figure.height)


def test_words_are_drawn_without_a_font_of_the_host() -> None:
    without = Figure("a", 100, 30, "t", "d", ())
    with_words = Figure("a", 100, 30, "t", "d", (svg.text(5, 20, "3.103 s"),))
    assert pixels(png.drawn(without)) != pixels(png.drawn(with_words))


def test_the_same_figure_is_the_same_picture() -> None:
    figure = examples.figures()["floor"]
    assert png.drawn(figure) == png.drawn(figure)


def test_without_the_font_no_picture_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_FONT_PACKAGE", "no_such_font_package")
    assert not png.available()
    with pytest.raises(ImportError):
        png.drawn(examples.figures()["floor"])
