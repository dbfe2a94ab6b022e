"""Draw a figure as a PNG picture, with resvg, which knows SVG without a browser and without system libraries.

resvg leaves words out, without a word of it, where the host has no fonts. The font therefore comes from the package index too: Open Sans,
whose pictures are the same on every host.
"""

from __future__ import annotations

import importlib.resources
import importlib.util

from runner.host.figures import svg
from runner.host.figures.svg import Figure

# Pixels for each unit of a figure: sharp on paper.
_ZOOM = 2
_FONT_PACKAGE, _FONT_FAMILY = "fontpkg_open_sans", "Open Sans"


def available() -> bool:
    """Return whether resvg and the font are installed."""
    return all(importlib.util.find_spec(module) is not None for module in ("resvg_py", _FONT_PACKAGE))


def drawn(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, in the light scheme. Raises ``ImportError`` where resvg or its font is not installed."""
    import resvg_py

    with importlib.resources.as_file(importlib.resources.files(_FONT_PACKAGE) / "files") as fonts:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=svg.light_document(figure),
                zoom=_ZOOM,
                skip_system_fonts=True,
                font_dirs=[str(fonts)],
                sans_serif_family=_FONT_FAMILY,
            )
        )
