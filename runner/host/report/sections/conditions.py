"""The conditions that what was measured does not share with the published cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from runner.host.figures.svg import Figure
from runner.host.judging.comparison import Row
from runner.host.judging.measured import Measured
from runner.host.report.material import Material

HEADING: str | None = "Conditions that differ"

# Lists of conditions that the page shows, and requests that it names for one list; the newest come first. Of these, how many stand open.
_MOST_LISTS, _MOST_REQUESTS, _MOST_OPEN = 20, 50, 10


@dataclass(frozen=True)
class Condition:
    """A condition that differs: what was found in the result, and each value that cells want with the names of these cells."""

    name: str
    found: str
    wanted: dict[str, list[str]]


@dataclass(frozen=True)
class Compared:
    """A request that was measured, by its id, in words and by its stack; ``like`` names the cells whose conditions it shares."""

    request: str
    measured: str
    stack: str
    like: list[str]


@dataclass(frozen=True)
class Unlike:
    """Requests that differ alike from the same cells: ``cells`` maps the names of these cells to their words and their source.

    ``folded`` holds further requests, and ``left_out`` is how many more there are than both name.
    """

    requests: list[Compared]
    folded: list[Compared]
    left_out: int
    cells: dict[str, str]
    conditions: list[Condition]


@dataclass(frozen=True)
class Conditions:
    """The lists of conditions, the newest request's first; ``left_out`` is how many more lists there are.

    ``alike`` names the requests that share every condition with cells beside them, ``alike_folded`` further ones, and ``alike_left_out``
    counts the rest. A request may be like the cell of one revision, and differ from that of another.
    """

    lists: list[Unlike]
    left_out: int
    alike: list[Compared]
    alike_folded: list[Compared]
    alike_left_out: int


def content(material: Material) -> Conditions | None:
    """Return for all requests beside published cells which conditions differ; None where nothing was measured beside a cell."""
    shown = dict(material.shown_claims())
    alike: list[Compared] = []
    unlike: dict[str, Unlike] = {}
    for measured in material.measured:
        rows = [row for row in measured.rows if row.claim in shown]
        compared = _compared(measured, [row.claim for row in rows if not row.differences])
        if compared.like:
            alike.append(compared)
        differing = [row for row in rows if row.differences]
        if differing:
            cells = {row.claim: f"{row.published} ({shown[row.claim].source})" for row in differing}
            conditions = _differences(differing)
            key = json.dumps([cells, [asdict(each) for each in conditions]])
            unlike.setdefault(key, Unlike([], [], 0, cells, conditions)).requests.append(compared)
    if not alike and not unlike:
        return None
    lists = [
        replace(
            each,
            requests=each.requests[:_MOST_OPEN],
            folded=each.requests[_MOST_OPEN:_MOST_REQUESTS],
            left_out=max(0, len(each.requests) - _MOST_REQUESTS),
        )
        for each in list(unlike.values())[:_MOST_LISTS]
    ]
    return Conditions(
        lists=lists,
        left_out=len(unlike) - len(lists),
        alike=alike[:_MOST_OPEN],
        alike_folded=alike[_MOST_OPEN:_MOST_REQUESTS],
        alike_left_out=max(0, len(alike) - _MOST_REQUESTS),
    )


def figures(content: object) -> list[Figure]:
    """Return no figure: the section is made of tables."""
    return []


def _differences(rows: Sequence[Row]) -> list[Condition]:
    """Return each condition that differs from any of some cells."""
    conditions: dict[tuple[str, str], Condition] = {}
    for row in rows:
        for each in row.differences:
            found = conditions.setdefault((each.condition, each.found), Condition(each.condition, each.found, {}))
            found.wanted.setdefault(each.wanted, []).append(row.claim)
    return list(conditions.values())


def _compared(measured: Measured, like: list[str]) -> Compared:
    request = measured.group.request
    return Compared(request.id, measured.group.words, request.stack.name, like)
