"""Write a report into a folder: the page, its figures and its data.

Each file is written whole or not at all, and the page is the last: an interruption leaves the earlier page or the new one. A folder is
not exchanged as a whole, since it may hold files of others. The data is the first file, for ``check`` knows a report's folder by it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from runner import __version__
from runner.contract import files, strictjson
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
    whole = strictjson.pretty({**facts, "files": listed}).encode()
    for name, content in {DATA: whole, **written}.items():
        # a report can be made again: only the page waits for the disk, once for all files
        writing.write_bytes(folder / name, content, _ADVICE, lasts=name == PAGE)
    _remove(folder, {name: sha256 for name, sha256 in earlier.items() if name not in listed})
    return sum(map(len, (whole, *written.values())))


def _earlier(folder: Path) -> dict[str, str] | None:
    """Return the files of an earlier report with their sha256, None where a folder holds none."""
    try:
        told = strictjson.read(folder / DATA)
    except InputError:
        return None
    if not isinstance(told, dict) or told.get("kind") != KIND:
        return None
    listed = told.get("files")
    return listed if isinstance(listed, dict) else {}


def _remove(folder: Path, stale: Mapping[str, str]) -> None:
    for name, sha256 in stale.items():
        # a file that somebody changed, or that is gone, stays as it is
        with contextlib.suppress(OSError):
            if _OWN.fullmatch(name) and files.sha256_of_file(folder / name) == sha256:
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
