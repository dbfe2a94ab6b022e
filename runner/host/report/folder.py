"""Write a report into a folder: the page, its figures and its data.

Each file is written whole or not at all. A folder is not exchanged as a whole, since it may hold files of others, so the order is:

1. ``report.json`` as a list alone of what the folder may hold from now on: by it ``check`` knows a report's folder, and the next report
   what to remove, wherever this one is cut off. Data that would describe files which are not there yet is not in the folder meanwhile.
2. The files beside the page, then the page: a reader has the earlier page or the new one, and each page finds its files.
3. What the earlier report alone had is removed, then ``report.json`` is written with the data: who finds data finds a whole report.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from runner import __version__
from runner.contract import files, patterns, strictjson
from runner.contract.errors import InputError
from runner.contract.records import Json, JsonObject
from runner.contract.text import printable
from runner.host import writing
from runner.host.figures import png, svg
from runner.host.figures.svg import Figure
from runner.host.report import shown
from runner.host.report.material import Material
from runner.host.report.page import FilledSection
from runner.host.report.sections import repeat
from runner.host.workers import Mapped, in_turn

KIND, SCHEMA = "report", 1
PAGE, DATA, FIGURES = "index.html", "report.json", "figures"
_FIGURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
# The files that a report has: nothing else is ever removed, whatever a foreign report.json lists.
_OWN = re.compile(
    rf"{re.escape(PAGE)}|[a-z-]+\.csv|{FIGURES}/{_FIGURE.pattern}\.(svg|png)|{repeat.REQUESTS}[\w.-]{{1,200}}\.json"
)
# In place of the data while a report is written: each file that may be there, with every sha256 that it may have.
_UNFINISHED = "unfinished"
_ADVICE = "Name another folder with --out."


def check(folder: Path) -> None:
    """Raise ``InputError`` for a folder that a report cannot go into: no folder, not writable, or with files of others and no report."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{_shown(nearest)} is no folder. {_ADVICE}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{_shown(nearest)} may not be written to by user {os.geteuid()}. {_ADVICE}")
    if nearest != folder.absolute():
        return
    try:
        is_empty = next(iter(folder.iterdir()), None) is None
    except OSError as problem:
        raise InputError(f"{_shown(folder)} cannot be read: {files.reason(problem)}. {_ADVICE}") from None
    if not is_empty and _earlier(folder) is None:
        raise InputError(
            f"{_shown(folder)} holds files, and no {DATA} of an earlier report: they may be replaced by none of this kit's."
            f" {_ADVICE}"
        )


def data(material: Material, parts: Iterable[FilledSection]) -> JsonObject:
    """Return the data of a report as a JSON object: what every section holds, without its figures."""
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "kit_version": __version__,
        "made_utc": material.made_utc,
        "example": _json(material.example),
        "sources": material.sources,
        "sections": {part.name: _json(part.content) for part in parts},
    }


def pictures(parts: Iterable[FilledSection], with_png: bool, mapped: Mapped = in_turn) -> Iterator[tuple[str, bytes]]:
    """Return path and bytes of each figure as SVG, and as PNG too ``with_png``: ``mapped`` begins to draw those at once where it can.

    Raises ``ValueError`` for a name that is no file's.
    """
    figures = [figure for part in parts for figure in part.figures.values()]
    stems = [_stem(figure) for figure in figures]
    drawn = mapped(png.drawn, figures if with_png else [])
    svgs = (svg.document(figure).encode("utf-8", "backslashreplace") for figure in figures)
    return itertools.chain(
        zip((f"{stem}.svg" for stem in stems), svgs, strict=True),
        zip((f"{stem}.png" for stem in stems), drawn, strict=with_png),
    )


def _stem(figure: Figure) -> str:
    if not _FIGURE.fullmatch(figure.name):
        raise ValueError(f"a figure is named {figure.name!r}, which can be no file's name")
    return f"{FIGURES}/{figure.name}"


def requests(material: Material) -> dict[str, bytes]:
    """Return path and bytes of the file of each request that the page shows: whoever gives it to ``bench`` measures the same."""
    asked = [measured.group.request for measured in material.measured[: shown.REQUESTS]]
    return {f"{repeat.REQUESTS}{request.id}.json": strictjson.pretty(request.to_json()).encode() for request in asked}


def write(folder: Path, facts: JsonObject, beside: Mapping[str, bytes], page: bytes) -> int:
    """Write a report, ``facts`` as ``report.json`` with the sha256 of every other file, and return the bytes of all files.

    Files of an earlier report that this one has not are removed, where nobody has changed them. Raises ``InputError``.
    """
    earlier = _earlier(folder) or {}
    written = {**beside, PAGE: page}
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    may_be_there = {**earlier, **{name: [*earlier.get(name, []), sha256] for name, sha256 in listed.items()}}
    begun = {"kind": KIND, "schema": SCHEMA, "kit_version": __version__, _UNFINISHED: may_be_there}
    whole = strictjson.pretty({**facts, "files": listed}).encode()
    # a report can be made again: only the page and the data, which come last, wait for the disk
    for name, content in {DATA: strictjson.pretty(begun).encode(), **written}.items():
        writing.write_bytes(folder / name, content, _ADVICE, lasts=name == PAGE)
    _remove(folder, {name: hashes for name, hashes in earlier.items() if name not in listed})
    writing.write_bytes(folder / DATA, whole, _ADVICE, lasts=True)
    return sum(map(len, (whole, *written.values())))


def _earlier(folder: Path) -> dict[str, list[str]] | None:
    """Return the files of an earlier report, each with every sha256 that it may have; None where a folder holds no report."""
    try:
        told = strictjson.read(folder / DATA)
    except InputError:
        return None
    if not isinstance(told, dict) or told.get("kind") != KIND:
        return None
    listed = told.get(_UNFINISHED, told.get("files"))
    if not isinstance(listed, dict):
        return {}
    return {name: _hashes(value) for name, value in listed.items() if _OWN.fullmatch(name)}


def _hashes(value: Json) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, str) and patterns.LOCKED_SHA256.fullmatch(each)]


def _remove(folder: Path, stale: Mapping[str, Sequence[str]]) -> None:
    for name, hashes in stale.items():
        # a file that somebody changed, or that is gone, stays as it is
        with contextlib.suppress(OSError):
            if files.sha256_of_file(folder / name) in hashes:
                (folder / name).unlink()


def _json(value: object) -> Json:
    """Return a section's record as JSON. A half surrogate, as in a path that is no text, is written as Python writes it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(_json(str(key))): _json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(part) for part in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"a section holds a {type(value).__name__}, which JSON cannot hold")


def _shown(folder: Path) -> str:
    return printable(os.fspath(folder))
