"""Write run against run as Markdown, for the comment of a pull request. Pure: a text comes out.

Names and reasons come from results, locks and images that others may have written. Each stands in a code span, where a forge shows no
HTML, makes no link, and notifies nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.contract.secrets import mask
from runner.contract.text import printable
from runner.host.judging import counts
from runner.host.judging.run_changes import RunChange

# Characters of one name or reason, and names in one cell: a comment of a forge holds 65,536 characters.
_CHARACTERS, _MOST_NAMES = 300, 10
_COLUMNS = (
    "case",
    "before",
    "after",
    "ratio (90% interval)",
    "word",
    "smallest change shown",
    "counts that differ",
    "flags",
    "moved pins",
)


def of_changes(changes: Sequence[RunChange], alone: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return a table with a row for each pair, and below it the reasons of each word and the counts that it rests on.

    ``alone`` maps a side to the ids of its requests that have no counterpart: they come last.
    """
    lines = [row(_COLUMNS), row(["---"] * len(_COLUMNS)), *(row(_cells(change)) for change in changes), ""]
    for change in changes:
        lines.append(f"- {code(change.case)} **{change.word}**, {_launches(change)}")
        of_times = [] if change.times.reason in change.reasons else [f"time: {change.times.reason}"]
        reasons = [*change.reasons, *of_times, *filter(None, [change.confirmation])]
        lines += [f"  - {code(reason)}" for reason in reasons]
        lines += [
            f"  - counts {word}: {_names(names)}"
            for word in counts.WORDS
            if (names := [count.name for count in change.counts if count.word == word])
        ]
    for side, requests in (alone or {}).items():
        if requests:
            lines.append(f"- {len(requests)} of {side} without a counterpart, and not compared: {_names(requests)}")
    return "\n".join(lines) + "\n"


def row(cells: Iterable[str]) -> str:
    """Return a row of a table; each cell is Markdown already."""
    return f"| {' | '.join(cells)} |"


def code(text: str, limit: int = _CHARACTERS) -> str:
    """Return foreign text as a code span of one line, its secrets masked, safe in a cell of a table too.

    A backtick would end the span and a pipe the cell: a quote and a broken bar stand for them.
    """
    shown = printable(mask(text), limit).replace("`", "'").replace("|", "\u00a6").strip()
    return f"`{shown}`" if shown else "-"


def _cells(change: RunChange) -> list[str]:
    times = change.times
    interval = "" if times.interval is None else " ({:.3f} to {:.3f})".format(*times.interval)
    return [
        code(change.case),
        _seconds(times.before_s),
        _seconds(times.after_s),
        "-" if times.ratio is None else f"{times.ratio:.3f}{interval}",
        f"**{change.word}**" + ("" if times.word else ", times not judged"),
        times.smallest_in_words or "-",
        _names(count.name for count in change.counts if count.word == counts.DIFFERS),
        _names(f"{flag.side} {flag.check} ({flag.number})" for flag in change.flags),
        _names(f"{name} {old} -> {new}" for name, (old, new) in change.moved.items()),
    ]


def _seconds(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s:.4g} s"


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    shown = [code(name) for name in listed[:_MOST_NAMES]]
    if len(listed) > _MOST_NAMES:
        shown.append(f"{len(listed) - _MOST_NAMES} more")
    return ", ".join(shown) or "none"


def _launches(change: RunChange) -> str:
    failed = f", {change.failed[0]} and {change.failed[1]} failed" if any(change.failed) else ""
    return f"{change.launches[0]} and {change.launches[1]} launches{failed}"
