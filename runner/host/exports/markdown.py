"""Markdown for a pull request or a README: a table of published cells with the verdict on each, and the reasons below it.

Foreign names stand in code spans, as in ``judging.markdown``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.host.exports import conditions
from runner.host.figures.words import digits
from runner.host.judging.comparison import Row
from runner.host.judging.markdown import code, row
from runner.host.judging.measured import Measured

# A comment of a forge holds 65,536 characters; requests without a published cell that are named.
_MOST_CHARACTERS, _MOST_NAMES = 60_000, 20
_COLUMNS = (
    "published cell",
    "published",
    "measured",
    "ratio (90% interval)",
    "margin",
    "verdict",
    "launches",
    "measured on",
)


def text(measured: Sequence[Measured]) -> str:
    """Return a table with a row for each published cell beside each request, the newest request first, and the reasons of each verdict."""
    pairs = [(of_request, cell) for of_request in measured for cell in of_request.rows]
    rows, reasons, characters = [row(_COLUMNS), row(["---"] * len(_COLUMNS))], [], 0
    shown = 0
    for pair in pairs:
        told, why = row(_cells(*pair)), list(_reasons(*pair))
        characters += sum(len(line) + 1 for line in (told, *why))
        if characters > _MOST_CHARACTERS:
            break
        rows.append(told)
        reasons += why
        shown += 1
    if shown < len(pairs):
        reasons.append(f"- {len(pairs) - shown} more rows are left out; the format csv has all launches")
    without = [of_request.group.request.id for of_request in measured if not of_request.rows]
    reasons += [f"- {code(name)} has no published cell beside it" for name in without[:_MOST_NAMES]]
    if len(without) > _MOST_NAMES:
        reasons.append(f"- {len(without) - _MOST_NAMES} more requests have no published cell beside them")
    return "\n".join([*rows, "", *reasons]) + "\n"


def _cells(measured: Measured, cell: Row) -> list[str]:
    verdict, request = cell.verdict, measured.group.request
    interval = "" if verdict.interval is None else " ({:.3f} to {:.3f})".format(*verdict.interval)
    return [
        code(cell.published),
        f"{cell.published_s} s",
        "-" if verdict.ratio is None else f"{digits(verdict.ratio * float(cell.published_s))} s",
        "-" if verdict.ratio is None else f"{verdict.ratio:.3f}{interval}",
        "-" if verdict.margin is None else f"{verdict.margin * 100:.3g}%",
        f"**{word(measured, cell)}**",
        str(verdict.launches),
        code(
            f"{cell.measured}, {request.weights.kind} weights, {request.workload.precision}, {request.stack.name},"
            f" {request.protocol.name}"
        ),
    ]


def word(measured: Measured, cell: Row) -> str:
    """Return the verdict's word, or that this is a walk-through and no reproduction."""
    return "walk-through, not a reproduction" if measured.walk_through else cell.verdict.word


def _reasons(measured: Measured, cell: Row) -> Iterator[str]:
    yield f"- {code(cell.claim)} beside {code(cell.request)}: **{word(measured, cell)}**"
    said = {f"{difference.condition} differs" for difference in cell.differences}
    reasons = [reason for reason in cell.verdict.reasons if reason not in said]
    yield from (f"  - {code(reason)}" for reason in [*conditions.notes(measured), *reasons])
    if cell.differences:
        differences = [
            f"{code(each.condition)} {code(each.found)}, not {code(each.wanted)}" for each in cell.differences
        ]
        yield f"  - differs: {'; '.join(differences)}"
