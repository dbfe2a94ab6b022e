"""CSV, one row for each launch: RFC 4180 in UTF-8, with a header, and text that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import fields

from runner.host.exports import conditions
from runner.host.exports.launches import LaunchRecord, records
from runner.host.judging.measured import Measured

COLUMNS = tuple(field.name for field in fields(LaunchRecord))
# Between the items of a cell: checks, published cells and what belongs to them.
SEPARATOR = ";"
# Characters with which a formula begins, the full-width ones of East Asian keyboards too. A spreadsheet whose separator is another one
# begins a cell after each comma or semicolon, inside of quotes too.
_FORMULA = re.compile('(?:^|(?<=[,;"]))(?=[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20])')


def text(measured: Sequence[Measured]) -> str:
    """Return the table of all launches. Numbers are Python's shortest that reads back as the same float; an empty cell is unknown."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(record, column)) for column in COLUMNS] for record in records(measured))
    return table.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEPARATOR.join(_cell(item).replace(SEPARATOR, ",") for item in value)
    return safe(value) if isinstance(value, str) else conditions.word(value)


# launches have most of their texts in common
@functools.lru_cache(maxsize=10_000)
def safe(words: str) -> str:
    """Return text that stays text in a spreadsheet: an apostrophe stands before what would begin a formula.

    The rest is as ``conditions.foreign`` has it.
    """
    return _FORMULA.sub("'", conditions.foreign(words))
