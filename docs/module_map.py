"""The map of the modules of the kit, made from their docstrings: a line for each package and each module."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from docs.markdown import code

ROOT = Path(__file__).resolve().parents[1]
# The column in which the words begin, and the width of a line.
_COLUMN = 28
_WIDTH = 140
# A sentence that takes more than one line is cut at its colon or semicolon, unless too few words would be left.
_LONG = _WIDTH - _COLUMN
_SHORT = 32


def text(package: Path) -> str:
    """Return the map of a package as a fenced block."""
    return code("\n".join(_lines(package, 0)), "text")


def _lines(package: Path, depth: int) -> list[str]:
    """Return the lines of a package: its whole docstring, then its modules, then its packages."""
    lines = _entry(f"{package.relative_to(ROOT) if depth == 0 else package.name}/", _of_package(package), depth)
    for module in sorted(package.glob("*.py")):
        if module.name != "__init__.py":
            lines += _entry(module.stem, _of_module(module), depth + 1)
    for inner in sorted(folder.parent for folder in package.glob("*/__init__.py")):
        lines += _lines(inner, depth + 1)
    return lines


def _entry(name: str, words: str, depth: int) -> list[str]:
    """Return the lines of one entry: its name, and its words in their own column."""
    first, *others = textwrap.wrap(words, _WIDTH - _COLUMN)
    return [f"{'  ' * depth}{name}".ljust(_COLUMN - 1) + f" {first}", *(" " * _COLUMN + line for line in others)]


def _of_package(package: Path) -> str:
    """Return what lives in a package and what may not: the first two sentences of its docstring."""
    return " ".join(_sentences(package / "__init__.py")[:2])


def _of_module(module: Path) -> str:
    """Return the job of a module: the first sentence of its docstring, without details where it is long."""
    first = _sentences(module)[0]
    cut = re.split(r"[:;](?=\s)", first, maxsplit=1)[0].rstrip(".") + "."
    return first if len(first) <= _LONG or len(cut) < _SHORT else cut


def _sentences(module: Path) -> list[str]:
    """Return the sentences of a module's docstring. Raises ``ValueError`` for a module without a docstring."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{module} has no docstring")
    return re.split(r"(?<=\.)\s+", " ".join(docstring.replace("``", "`").split()))
