"""Choose the rows of versions.lock that a run of the workflow bumps, from what ``bump --json`` lists as newer.

A row ``actions/...`` is left out: it moves workflows, and the token of a workflow may not write workflows. A person carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.contract import files, patterns, strictjson
from runner.contract.errors import InputError, UsageError
from runner.contract.text import printable
from tools.workflow.change import ROW

# A forge makes at most 256 jobs of a matrix; so many bumps at once would be read by nobody.
MAX_ROWS = 20
FOR_A_PERSON = "actions/"


@dataclass(frozen=True)
class Chosen:
    """The rows to bump, each once, and those that are left to a person, with the reason."""

    rows: list[str]
    left_out: list[str]


def newer(listing: Path) -> list[str]:
    """Return the names of the rows that a listing says are newer, in its order. Raises ``InputError`` for what is no listing."""
    names: list[str] = []
    for number, line in enumerate(files.read_bytes(listing, 8 * 1024 * 1024).splitlines(), 1):
        if not line.strip():
            continue
        event = strictjson.loads(line, f"{listing}, line {number}")
        if not isinstance(event, dict):
            raise InputError(f"{listing}, line {number}, is no event. Make the listing with `bump --json`.")
        if event.get("event") != "newer":
            continue
        name = event.get("name")
        if not isinstance(name, str) or not ROW.fullmatch(name):
            raise InputError(f"{listing}, line {number}, names no row. Make the listing with `bump --json`.")
        if name not in names:
            names.append(name)
    return names


def choose(found: Sequence[str], named: str) -> Chosen:
    """Return what to bump: the row ``named``, else every row of ``found`` that a workflow may bump, at most ``MAX_ROWS`` of them.

    Raises ``UsageError`` for a name of another form, and for a row that a workflow may not bump.
    """
    if named:
        problem = patterns.problem(ROW, named)
        if problem:
            raise UsageError(f"the name of the row {problem}.")
        if named.startswith(FOR_A_PERSON):
            raise UsageError(
                f"{named} moves workflows, which the token of a workflow may not write. Run `make bump NAME={named}` yourself."
            )
        return Chosen([named], [])
    may = [name for name in found if not name.startswith(FOR_A_PERSON)]
    left_out = [
        f"{printable(name, 200)}: it moves workflows; run `make bump NAME={name}`" for name in found if name not in may
    ]
    # the next run lists the same rows first, until their bumps are merged
    left_out += [
        f"{name}: more than {MAX_ROWS} at once; merge the bumps of the others first, or start the workflow with this row"
        for name in may[MAX_ROWS:]
    ]
    return Chosen(may[:MAX_ROWS], left_out)


def as_matrix(chosen: Chosen) -> str:
    """Return the rows as the JSON list that a matrix includes: each with its name in a form that the name of an artefact may hold.

    An artefact's name has no slash, and no row has a plus sign.
    """
    return json.dumps([{"row": row, "artefact": row.replace("/", "+")} for row in chosen.rows])
