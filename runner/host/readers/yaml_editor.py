"""Add rows, and items of lists, to a file of strict YAML in place, without touching comments or order; nothing is written here.

``lock_editor`` changes single values of versions.lock, and writes them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from runner.contract.errors import InputError
from runner.host.readers import strictyaml
from runner.host.readers.strictyaml import Value

# The keys that lead to a value, such as ("sets", "gaudi2", "cases").
Keys = tuple[str, ...]

_INDENT = "  "


def scalar(text: str) -> str:
    """Return a text on one line as a file writes it behind a key: plain where YAML reads the plain text as this text, else in quotes.

    Raises ``InputError`` for a text that has no form on one line.
    """
    for written in (text, "'" + text.replace("'", "''") + "'"):
        if _reads(f"key: {written}\n") == {"key": text}:
            return written
    raise InputError(f"{text[:200]!a} cannot be written as a text on one line. Write it without line breaks.")


def with_row(before: bytes, table: Keys, after: str, name: str, row: Value, where: str) -> bytes:
    """Return a file in which the row ``name`` follows the row ``after`` of a table.

    ``row`` is the row's value: text, a list of texts, or a mapping of such. ``where`` names the file in messages. Comments keep their
    places: a comment above the row that comes next stays above that row. Raises ``InputError`` where the table has no row ``after``, has
    a row ``name`` already, or is no table in lines.
    """
    document = strictyaml.loads(before, where)
    rows = _at(document, table)
    if not isinstance(rows, strictyaml.Mapping) or after not in rows or rows.lines[after] == _line_of(document, table):
        raise InputError(f"{where} has no row {after} in lines of {'.'.join(table)}. Restore it with `git checkout`.")
    if name in rows:
        raise InputError(f"{where} has a row {name} in {'.'.join(table)} already. Choose another name.")
    text = before.decode("utf-8")
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    end = _end_of_row(lines, rows.lines[after] - 1)
    if not lines[end - 1].endswith(("\n", "\r")):
        lines[end - 1] += newline
    depth = len(lines[rows.lines[after] - 1]) - len(lines[rows.lines[after] - 1].lstrip(" "))
    added = [f"{' ' * depth}{line}{newline}" for line in _written(name, row)]
    result = "".join([*lines[:end], *added, *lines[end:]]).encode("utf-8")
    wanted = copy.deepcopy(document)
    _mapping(wanted, table)[name] = row
    return _checked(result, wanted, where)


def with_items(before: bytes, keys: Keys, items: Sequence[str], where: str) -> bytes:
    """Return a file in which ``items`` end a list in brackets. Raises ``InputError`` where no such list stands at ``keys``."""
    document = strictyaml.loads(before, where)
    mapping = _at(document, keys[:-1])
    listed = mapping.get(keys[-1]) if isinstance(mapping, strictyaml.Mapping) else None
    if not isinstance(mapping, strictyaml.Mapping) or not isinstance(listed, list) or keys[-1] not in mapping.spans:
        raise InputError(f"{where} has no list in brackets at {'.'.join(keys)}. Restore it with `git checkout`.")
    text = before.decode("utf-8")
    close = mapping.spans[keys[-1]][1] - 1
    added = ", ".join(map(_item, items))
    # a comma behind the last item may stand there already
    begins = text[:close].rstrip()
    between = "" if not listed else " " if begins.endswith(",") else ", "
    result = (begins + between + added + text[close:]).encode("utf-8") if items else before
    wanted = copy.deepcopy(document)
    _mapping(wanted, keys[:-1])[keys[-1]] = [*listed, *items]
    return _checked(result, wanted, where)


def _checked(result: bytes, wanted: Value, where: str) -> bytes:
    """Return a new text of a file. Raises ``InputError`` where the text reads otherwise than ``wanted``."""
    if strictyaml.loads(result, where) != wanted:
        raise InputError(f"{where} was not written: a row would have changed more than its own place.")
    return result


def _end_of_row(lines: Sequence[str], first: int) -> int:
    """Return the number of lines up to the end of a row that begins on line ``first``, from 0: behind its last line with content.

    A comment that stands deeper than the row's key belongs to the row.
    """
    depth = len(lines[first]) - len(lines[first].lstrip(" "))
    end = first + 1
    for number, line in enumerate(lines[first + 1 :], start=first + 1):
        content = line.strip()
        is_deeper = len(line) - len(line.lstrip(" ")) > depth
        if not content or (content.startswith("#") and not is_deeper):
            continue
        if not is_deeper:
            break
        end = number + 1
    return end


def _written(key: str, value: Value) -> list[str]:
    """Return the lines of a key and its value, without indentation of their own."""
    if isinstance(value, str):
        return [f"{scalar(key)}: {scalar(value)}"]
    if isinstance(value, list):
        return [f"{scalar(key)}: [{', '.join(_item(str(item)) for item in value)}]"]
    if not value:
        return [f"{scalar(key)}: {{}}"]
    return [f"{scalar(key)}:", *(_INDENT + line for entry in value.items() for line in _written(*entry))]


def _item(text: str) -> str:
    """Return a text as an item of a list in brackets, where more signs have a meaning than behind a key."""
    plain = scalar(text)
    return plain if _reads(f"key: [{plain}]\n") == {"key": [text]} else "'" + text.replace("'", "''") + "'"


def _reads(text: str) -> Value | None:
    """Return what a text reads as, None where it is no strict YAML."""
    try:
        return strictyaml.loads(text.encode("utf-8"), "a value")
    except InputError:
        return None


def _at(document: Value, keys: Keys) -> Value | None:
    """Return the value that keys lead to, None where there is none."""
    value: Value | None = document
    for key in keys:
        value = value.get(key) if isinstance(value, strictyaml.Mapping) else None
    return value


def _mapping(document: Value, keys: Keys) -> strictyaml.Mapping:
    """Return the mapping that keys lead to; the caller knows that there is one."""
    value = _at(document, keys)
    assert isinstance(value, strictyaml.Mapping)
    return value


def _line_of(document: Value, keys: Keys) -> int | None:
    """Return the line on which the key of a value stands, None for the document itself."""
    above = _at(document, keys[:-1]) if keys else None
    return above.lines[keys[-1]] if isinstance(above, strictyaml.Mapping) else None


def as_mapping(entries: Mapping[str, Value]) -> strictyaml.Mapping:
    """Return entries as a mapping of strict YAML that has no place in any file."""
    mapping = strictyaml.Mapping()
    mapping.update(entries)
    return mapping
