"""Draw a figure as a PNG picture, with resvg, which knows SVG without a browser and without system libraries."""

from __future__ import annotations

import importlib.util

from runner.host.figures import svg
from runner.host.figures.svg import Figure

# Pixels for each unit of a figure: sharp on paper.
_ZOOM = 2


def available() -> bool:
    """Return whether resvg is installed."""
    return importlib.util.find_spec("resvg_py") is not None


def drawn(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, in the light scheme. Raises ``ImportError`` where resvg is not installed."""
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg.light_document(figure), zoom=_ZOOM))
