"""Tables and fenced blocks in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown. A pipe inside a cell is escaped."""
    lines = [[cell.replace("|", r"\|") for cell in row] for row in [head, *rows]]
    written = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([written[0], "|" + " --- |" * len(lines[0]), *written[1:]])


def code(text: str, language: str) -> str:
    """Return a fenced block."""
    return f"```{language}\n{text.rstrip()}\n```"
