"""Settings of Sphinx, the generator of the site. `make docs` runs it; the site needs no network, neither to build nor to read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]


def _version() -> str:
    """Return the version of the kit, read from its one place without importing the kit."""
    text = (ROOT / "runner" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('runner/__init__.py holds no line __version__ = "..."')
    return found[1]


project = "bloomz-bench"
version = release = _version()
# no author and no year: the site of one commit is the same whenever it is built
copyright = "the authors of bloomz-bench, Apache-2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist"]
# Pages link to headings as GitHub names them, so that a link works on the site and in the repository.
myst_heading_anchors = 3
nitpicky = True
# Pages show commands: two dashes stay two dashes, and quotes stay as they are typed.
smartquotes = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

html_theme = "furo"
html_title = f"bloomz-bench {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []


def setup(app: Sphinx) -> None:
    """Let links to pages and notebooks outside this folder lead to the files themselves: they are no pages of the site."""
    app.connect("source-read", _link_to_files)


def _link_to_files(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.(?:md|ipynb))", r"](path:\1", source[0])
