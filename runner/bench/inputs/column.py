"""Read one column of texts from a local file: every cell as the file writes the cell, without guessing types.

Readers of tables guess the type of a column from its first rows: ``007`` becomes 7, ``NA`` becomes no value, a title of four digits
becomes a year. This module guesses nothing. The bytes that are read are the bytes that are hashed: a file is opened once, by its path
and never by a pattern, and every byte of the file goes through the hash on its way to the reader.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Iterable, Iterator, NamedTuple

from runner.contract import files
from runner.contract.errors import InputError, Unsupported
from runner.contract.file_kinds import HEAD_BYTES, Encoding, FileKind, encoding_of, kind_of
from runner.contract.request import Dataset
from runner.contract.text import first_line, printable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from pyarrow import DataType

# How many characters of a foreign cell or name a message shows.
_SHOWN = 80
# How many columns a message names.
_NAMED = 20

# Python's csv refuses a cell of more than 128 KiB by default. The size of the file bounds a cell enough.
_LARGEST_CELL = 2**31 - 1

# The advice for a file of another kind or encoding than its name says.
_OTHER_KINDS: dict[FileKind, str] = {
    "git-lfs pointer": "it is a pointer of git-lfs, not the file itself; run `git lfs pull` in its folder",
    "gzip": "it is compressed by gzip; unpack it",
    "zip": "it is a zip archive, as spreadsheets are; export the column",
    "zstd": "it is compressed by zstd; unpack it",
    "xz": "it is compressed by xz; unpack it",
    "bzip2": "it is compressed by bzip2; unpack it",
    "parquet": "it is Parquet; name it .parquet",
}
_OTHER_ENCODINGS: dict[Encoding, str] = {
    "UTF-32": "it is UTF-32; save it as UTF-8",
    "UTF-16": "it is UTF-16; save it as UTF-8",
}

# The separators that spreadsheets write instead of commas.
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class _Cell(NamedTuple):
    """One cell; ``position`` says in words on which line the cell stands, where the form of the file has lines."""

    position: str
    value: Any


class _Bare(str):
    """A number of JSON, as the file writes the number: JSON writes no quotes around it, so it is no text."""


class _Twice:
    """Stands for the value of a key that one JSON object has twice."""


def read(path: str, dataset: Dataset) -> list[str]:
    """Return the texts of the request's column, at most ``dataset.rows`` of them.

    Raises ``InputError`` for another file than the request was made for, for a damaged file, for a file that has no such column or
    has the column twice, and for a cell that is no text. Raises ``Unsupported`` for Parquet where the stack cannot read Parquet.
    """
    with _hashed(path, dataset) as file:
        _refuse_other_form(file, path, dataset.format or "")
        cells = _READERS[dataset.format or ""](file, path, dataset.column)
        return _texts(path, dataset.column, itertools.islice(cells, dataset.rows))


def texts(where: str, column: str, values: Iterable[Any]) -> list[str]:
    """Return the values of a column that another reader has read. Raises ``InputError`` for a value that is no text."""
    return _texts(where, column, (_Cell("", value) for value in values))


def _texts(where: str, column: str, cells: Iterable[_Cell]) -> list[str]:
    column_texts = [_text(cell, row, where, column) for row, cell in enumerate(cells)]
    if not column_texts:
        raise InputError(f"{where} holds no rows. Give a dataset with at least one.")
    return column_texts


class _Hashing(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        block = self._file.read(len(view))
        view[: len(block)] = block
        self.digest.update(block)
        return len(block)


@contextmanager
def _hashed(path: str, dataset: Dataset) -> Iterator[io.BufferedReader]:
    """Yield the file, opened once. Raises ``InputError`` at the end where the hash of its bytes is not the request's."""
    try:
        with files.open_regular(path) as file:
            hashing = _Hashing(file)
            reader: io.BufferedReader = io.BufferedReader(hashing, 1 << 20)
            try:
                yield reader
            # Where the bytes are others than the request's, the user must read that, and not what the reader found in them.
            finally:
                while reader.read(1 << 20):
                    pass
                if hashing.digest.hexdigest() != dataset.sha256:
                    raise InputError(
                        f"{path} is not the {dataset.name} that the request was made for: its sha256 differs. Make the"
                        " request again."
                    ) from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {files.reason(problem)}. Check --dataset-file.") from None


def _text(cell: _Cell, row: int, path: str, column: str) -> str:
    """Return the text of a cell. Raises ``InputError`` for a value that is no text, and for a text of blanks alone."""
    value = cell.value
    if isinstance(value, str) and not isinstance(value, _Bare) and value.strip():
        try:
            value.encode()
        # JSON can write half of a surrogate pair, which no file in UTF-8 can hold.
        except UnicodeEncodeError:
            raise InputError(
                f"{path}{cell.position}: row {row} of column {column!r} holds half of a surrogate pair, which is no text."
            ) from None
        return value
    if value is _Twice:
        raise InputError(f"{path}{cell.position}: {column!r} stands twice in row {row}. Leave one of them.")
    shown = value if isinstance(value, _Bare) else repr(value)
    raise InputError(
        f"{path}{cell.position}: row {row} of column {column!r} is {printable(shown, _SHOWN)};"
        " only non-empty text can be completed."
    )


def no_column(where: str, column: str, names: list[str]) -> InputError:
    """Return the error that names the columns that a table has instead of ``column``."""
    # A name of blanks, or with blanks around it, shows only between quotes.
    shown = (name if name == name.strip() and name else repr(name) for name in map(str, names[:_NAMED]))
    named = ", ".join(printable(name, _SHOWN) for name in shown) or "none"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return InputError(f"{where} has no column {column!r}; it has {named}{more}. Name one with --column.")


def _check_header(path: str, column: str, names: list[str]) -> None:
    """Raise ``InputError`` unless ``names`` has the column exactly once."""
    if column not in names:
        raise no_column(path, column, names)
    if names.count(column) > 1:
        raise InputError(
            f"{path} has {names.count(column)} columns called {column!r}, and cannot say which is meant. Rename them."
        )


def _damaged(path: str, form: str, problem: str) -> InputError:
    """Return the error of a file that is not of a form, ``csv``, ``json`` or ``parquet``."""
    return InputError(f"{path} cannot be read as {form}: {problem}. Check --dataset-file and its format.")


def _refuse_other_form(file: io.BufferedReader, path: str, form: str) -> None:
    head = file.peek(HEAD_BYTES)
    kind, encoding = kind_of(head), encoding_of(head)
    if kind in _OTHER_KINDS and kind != form:
        raise _damaged(path, form, _OTHER_KINDS[kind])
    if encoding in _OTHER_ENCODINGS:
        raise _damaged(path, form, _OTHER_ENCODINGS[encoding])


def _lines(file: io.BufferedReader, path: str, form: str) -> Iterator[tuple[int, str]]:
    """Yield number (from 1) and text of each line, its end kept; a byte order mark of UTF-8 is no part of the text."""
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            raise _damaged(path, form, f"line {number} is not UTF-8 ({problem.reason}); save it as UTF-8") from None
        if "\0" in text:
            raise _damaged(path, form, f"line {number} holds a NUL byte, which no text does")
        yield number, text


def _csv(file: io.BufferedReader, path: str, column: str) -> Iterator[_Cell]:
    """Yield the column's cells of comma-separated values with a header; lines end as on Unix, Windows or old Macs."""
    csv.field_size_limit(_LARGEST_CELL)
    pieces = (piece for _, line in _lines(file, path, "csv") for piece in _cut_at_old_mac_ends(line))
    reader = csv.reader(pieces, strict=True)
    header: list[str] | None = None
    index = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as problem:
            words = {"unexpected end of data": "a quote is opened and never closed"}.get(str(problem), str(problem))
            raise _damaged(path, "csv", f"the row that begins in line {line} is broken: {words}") from None
        if cells is None:
            return
        # An empty line is no row.
        if not cells:
            continue
        if header is None:
            header = cells
            _refuse_other_separator(path, column, header)
            _check_header(path, column, header)
            index = header.index(column)
        elif len(cells) != len(header):
            raise _damaged(path, "csv", f"line {line} has {len(cells)} cells and the header has {len(header)}")
        else:
            yield _Cell(f", line {line}", cells[index])


def _refuse_other_separator(path: str, column: str, header: list[str]) -> None:
    """Raise ``InputError`` for a header of one cell that lacks the column and holds another separator than the comma."""
    for separator, called in _OTHER_SEPARATORS.items():
        if len(header) == 1 and separator in header[0] and column != header[0]:
            raise _damaged(path, "csv", f"its cells are separated by {called}; save it with commas")


def _cut_at_old_mac_ends(line: str) -> list[str]:
    """Cut a line after each carriage return that stands alone, as lines ended on old Macs; every piece keeps its end."""
    return re.split(r"(?<=\r)(?!\n|$)", line) if "\r" in line[:-2] else [line]


def _json(file: io.BufferedReader, path: str, column: str) -> Iterator[_Cell]:
    """Yield the key's values of JSON Lines (an object on each line), or of one array of objects."""
    lines = ((number, text) for number, text in _lines(file, path, "json") if text.strip())
    first = next(lines, None)
    if first is None:
        return
    if first[1].lstrip().startswith("["):
        whole = first[1] + "".join(text for _, text in lines)
        rows = (("", value) for value in _parsed(whole, path, column, first[0]))
    else:
        rows = (
            (f", line {number}", _parsed(text, path, column, number))
            for number, text in itertools.chain([first], lines)
        )
    for row, (position, value) in enumerate(rows):
        if not isinstance(value, dict):
            raise _damaged(path, "json", f"row {row}{position} is no object with the key {column!r}")
        if row == 0 and column not in value:
            raise no_column(path, column, list(value))
        yield _Cell(position, value.get(column))


def _parsed(text: str, path: str, column: str, line: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return a JSON value with its numbers as the file writes them; ``line`` is the number of the line in which ``text`` begins."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object in which the column's key, if it stands twice, has no value of its own."""
        members = dict(pairs)
        if len(members) < len(pairs) and sum(key == column for key, _ in pairs) > 1:
            members[column] = _Twice
        return members

    try:
        return json.loads(text, object_pairs_hook=once, parse_int=_Bare, parse_float=_Bare, parse_constant=_Bare)
    except json.JSONDecodeError as problem:
        words = {"Extra data": "something follows the whole value"}.get(problem.msg, problem.msg)
        reason = f"line {line + problem.lineno - 1} is no JSON: {words}, from its column {problem.colno} on"
        raise _damaged(path, "json", reason) from None
    except RecursionError:
        raise _damaged(path, "json", f"line {line} is nested too deeply") from None


def _parquet(file: io.BufferedReader, path: str, column: str) -> Iterator[_Cell]:
    """Yield the cells of a Parquet file's column of texts; no other column is read."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise Unsupported(
            f"{path} is Parquet, and this stack has no package pyarrow to read it with. Convert it to JSON Lines."
        ) from None
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(file.read()))
        schema = table.schema_arrow
    # pyarrow raises a dozen classes for damaged files.
    except Exception as problem:
        raise _damaged(path, "parquet", first_line(problem)) from None
    _check_header(path, column, schema.names)
    kind = schema.field(column).type
    if not _is_text(pyarrow, kind):
        raise InputError(
            f"{path}: the column {column!r} holds {printable(str(kind), _SHOWN)}; only text can be completed."
        )
    try:
        for batch in table.iter_batches(columns=[column]):
            for value in batch.column(batch.schema.get_field_index(column)).to_pylist():
                yield _Cell("", value)
    # The classes are those of above, and UnicodeDecodeError.
    except Exception as problem:
        raise _damaged(path, "parquet", first_line(problem)) from None


def _is_text(pyarrow: ModuleType, kind: DataType) -> bool:
    """Return whether a column's type is text, plain or kept as a dictionary of its values."""
    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    # pyarrow has views of strings since release 16.
    is_view = getattr(pyarrow.types, "is_string_view", lambda _: False)
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or is_view(kind))


_READERS: dict[str, Callable[[io.BufferedReader, str, str], Iterator[_Cell]]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
}
