"""Print findings as a table of 80 columns: each area under a heading, each remedy below what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.text import Text

from runner.contract.text import printable
from runner.host import tables
from runner.host.doctor.findings import Finding, State

COLUMNS = 80
# A sentence and its remedy; no foreign name fills a screen.
_CHARACTERS = 600
# The words of the last line, in this order.
_STATES: dict[State, str] = {
    "ready": "ready",
    "warning": "with a warning",
    "not ready": "not ready",
    "cannot be told": "cannot be told",
    "not looked at": "not looked at",
}


def show(findings: Sequence[Finding]) -> None:
    """Print all findings, those of an area together, and how many there are of each state."""
    console = tables.console(COLUMNS)
    table = tables.plain("what", "state", "found, and what to do")
    for number, (area, of_area) in enumerate(groupby(findings, key=lambda finding: finding.area)):
        if number:
            table.add_row()
        table.add_row(Text(area, style="bold"))
        for finding in of_area:
            table.add_row(*_row(finding))
    console.print(table)
    console.print()
    tables.say(console, counted(findings))


def counted(findings: Sequence[Finding]) -> str:
    """Return in one sentence how many findings there are of each state."""
    counts = Counter(finding.state for finding in findings)
    return f"{', '.join(f'{counts[state]} {words}' for state, words in _STATES.items() if counts[state]) or 'nothing'}."


def _row(finding: Finding) -> tuple[Text, Text, Text]:
    # a terminal shows the two kinds that want something of the reader
    style = "bold" if finding.state in ("warning", "not ready") else ""
    words = finding.finding if finding.remedy is None else f"{finding.finding}\n-> {finding.remedy}"
    lines = "\n".join(printable(line, _CHARACTERS) for line in words.split("\n"))
    return Text(f"  {printable(finding.what, 60)}"), Text(finding.state, style=style), Text(lines)
