"""Write the generated parts of the pages, the picture, and the notebook's outputs: ``python -m docs.generate [--check]``.

A generated part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; all else on a page is written by hand. With
``--check`` nothing is written, and the exit code is 1 if a part differs from what would be written.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docs import blocks, notebooks, pictures

ROOT = blocks.ROOT
PICTURE = ROOT / "docs" / "images" / "compare.svg"
_PART = re.compile(r"(?P<begin><!-- begin (?P<name>[a-z-]+) -->\n).*?(?P<end>\n<!-- end (?P=name) -->)", re.DOTALL)


def pages() -> list[Path]:
    """Return every page that may hold generated parts."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def written(page: str) -> str:
    """Return the text of a page with its generated parts made anew. Raises ``KeyError`` for a part that nothing makes."""
    return _PART.sub(lambda part: f"{part['begin']}\n{blocks.BLOCKS[part['name']]()}\n{part['end']}", page)


def stale() -> dict[Path, str]:
    """Return the files that differ from what would be written, each with the text that it should have."""
    wanted = {page: written(page.read_text(encoding="utf-8")) for page in pages()}
    wanted[PICTURE] = pictures.terminal(
        "make bench",
        blocks.comparison().split("\n\nwhat differs")[0],
        "What make bench prints: each launch, its checks, and a verdict for each published number",
    )
    wanted[notebooks.NOTEBOOK] = notebooks.executed(notebooks.NOTEBOOK)
    return {
        path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main(arguments: list[str]) -> int:
    """Write what is out of date, or with ``--check`` only name it; return the exit code."""
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m docs.generate [--check]", file=sys.stderr)
        return 2
    files = stale()
    for path, text in files.items():
        print(f"{path.relative_to(ROOT)} {'is out of date: run `python -m docs.generate`' if check else 'is written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return 1 if check and files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
