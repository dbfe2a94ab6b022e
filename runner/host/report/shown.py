"""How much of many results the page shows, and facts that several rows share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.contract.secrets import mask

# Requests whose environment, commands and files are shown, the newest first; files of one request.
REQUESTS, FILES = 50, 3

# Facts of one thing for people: their names, and values as text.
Facts = dict[str, str]


def shared(rows: Sequence[Mapping[str, str]]) -> Facts:
    """Return the facts that all of several rows have alike, in the order of the first row; none for less than two rows."""
    if len(rows) < 2:
        return {}
    return {name: value for name, value in rows[0].items() if all(row.get(name) == value for row in rows[1:])}


def without(row: Mapping[str, str], names: Iterable[str]) -> Facts:
    """Return the facts of a row but those of some names."""
    left_out = set(names)
    return {name: value for name, value in row.items() if name not in left_out}


def foreign(text: str) -> str:
    """Return text of others without the secrets in it: a page is given on."""
    return mask(text)


def joined(values: Iterable[str]) -> str:
    """Return values as one text, each once and sorted."""
    return ", ".join(sorted(set(values)))
