"""Draw tables and lines for people with rich, narrow enough for 80 columns. Nothing here knows what is drawn."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.contract.text import printable

# 80 columns hold a row of latencies below 10 s; a longer row stays one line in a file or pipe too, for programs that read it.
_COLUMNS = 100
# Of a cell: no foreign name fills a screen.
_CELL_CHARACTERS = 200


def console(columns: int = _COLUMNS) -> Console:
    """Return a console that prints text as it is: brackets in a foreign name are no markup.

    A file or pipe gets the same lines, of at most ``columns``, whatever COLUMNS says.
    """
    made = Console(markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = columns
    return made


def say(to: Console, text: str) -> None:
    """Print one line of any length; control characters, which a foreign name may hold, are made visible."""
    to.print(Text(printable(text)), soft_wrap=True)


def cell(text: str) -> Text:
    """Return the text of a cell, whose control characters are made visible."""
    return Text(printable(text, _CELL_CHARACTERS))


def plain(*headings: str) -> Table:
    """Return an empty table without lines; columns of seconds and ratios are aligned to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("s", "ratio") else "left", overflow="fold")
    return table
