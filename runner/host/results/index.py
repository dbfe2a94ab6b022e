"""Remember what was read of results, so that a folder of a hundred thousand is read once and not at every comparison.

The index is an SQLite file below ``build``. It is a memory and no source: an entry counts only for a file whose place, size,
inode and times are what they were when the file was read, and only for the version of the kit that read it. The file can be
deleted at any time; a damaged or foreign one is made again, and where none can be written everything is read as without it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from runner.host import paths

PLACE = paths.BUILD / "results.index"

# Two changes of a file within one tick of the file system's clock leave the same times: what changed so lately is not
# remembered. Ticks are 10 ms on Linux's own file systems, 2 s on FAT and some network's.
SETTLED_S = 2.0
MAX_ENTRIES = 1_000_000  # of about 1 kB; beyond, the index begins anew
_TOGETHER = 1000  # entries that are written at once
_HERE = "\0"  # stands for the path in a refusal: the same file may be named in another way next time

_TABLES = """
create table if not exists kit (version text primary key);
create table if not exists requests (id text primary key, content blob, sum blob);
create table if not exists results (path blob primary key, facts text, text text, refusal blob, sum blob);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one file: an attempt as text, or the refusal."""

    text: str
    refusal: str | None


class Index:
    """The index in the file ``place``; with None, one that knows nothing and keeps nothing. Used as a context manager."""

    def __init__(self, place: Path | None) -> None:
        self._database = _open(place) if place is not None else None
        self._waiting = 0
        self._kept: set[str] = set()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *problem: object) -> None:
        with self._forgiving():
            if self._database is not None:
                self._database.commit()
                self._database.close()

    def get(self, path: str) -> Entry | None:
        """Return what is known of a file that is as it was when it was read; None of any other."""
        if self._database is None:
            return None
        with self._forgiving():
            place = _place(path)
            row = self._database.execute(
                "select facts, text, refusal, sum from results where path = ?", (place,)
            ).fetchone()
            # a file that was replaced, written to or linked anew since has other facts; stat follows links, as reading does
            if row is not None and row[0] == _facts(os.stat(path)) and row[3] == _sum(place, *row[:3]):
                refusal = None if row[2] is None else row[2].decode("utf-8", "surrogatepass").replace(_HERE, path)
                return Entry(row[1], refusal)
        return None

    def request(self, name: str) -> bytes:
        """Return the canonical bytes of a request. Raises ``LookupError`` where they are not known."""
        if self._database is not None:
            with self._forgiving():
                row = self._database.execute("select content, sum from requests where id = ?", (name,)).fetchone()
                if row is not None and row[1] == _sum(name, row[0]):
                    return row[0]
        raise LookupError(name)

    def put(self, path: str, facts: os.stat_result, text: str, request: str, content: Callable[[], bytes]) -> None:
        """Remember an attempt that was read of ``path``; ``facts`` are those of the file before it was read."""
        if self._database is not None and request not in self._kept:
            with self._forgiving():
                told = content()
                self._database.execute(
                    "insert or replace into requests values (?, ?, ?)", (request, told, _sum(request, told))
                )
                self._kept.add(request)
        self._put(path, facts, text, None)

    def put_refusal(self, path: str, facts: os.stat_result, refusal: str) -> None:
        """Remember that what ``path`` held was refused, and why."""
        self._put(path, facts, "", refusal.replace(path, _HERE).encode("utf-8", "surrogatepass"))

    def _put(self, path: str, before: os.stat_result, text: str, refusal: bytes | None) -> None:
        if self._database is None:
            return
        with self._forgiving():
            facts = _facts(before)
            if abs(time.time() - before.st_ctime) < SETTLED_S or _facts(os.stat(path)) != facts:
                return
            place = _place(path)
            row = (place, facts, text, refusal, _sum(place, facts, text, refusal))
            self._database.execute("insert or replace into results values (?, ?, ?, ?, ?)", row)
            self._waiting += 1
            if self._waiting % _TOGETHER == 0:
                self._database.commit()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on without an index where the index cannot be used: it is full, locked by another comparison, damaged."""
        try:
            yield
        except OSError:  # of the file of a result: who reads the file says so
            pass
        except _sqlite().Error:
            database, self._database = self._database, None
            with contextlib.suppress(_sqlite().Error):
                if database is not None:
                    database.close()


def _open(place: Path) -> Any:
    """Return a connection to the index of this version of the kit, made anew where it is not one; None where it cannot be made."""
    sqlite = _sqlite_or_none()
    if sqlite is None:
        return None
    for _ in range(2):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists() and not stat.S_ISREG(place.lstat().st_mode):
                return None
            database = sqlite.connect(place, timeout=0, isolation_level="DEFERRED")
            try:
                return _ours(database)
            except sqlite.OperationalError:  # locked or read-only
                database.close()
                return None
            except sqlite.DatabaseError:  # damaged, or another program's
                database.close()
                place.unlink()
        except (OSError, sqlite.Error):
            return None
    return None


def _ours(database: Any) -> Any:
    # what a loss of power damages is read again, and each row carries its own checksum
    database.execute("pragma synchronous = off")
    database.executescript(_TABLES)
    (rows,) = database.execute("select count(*) from results").fetchone()
    if database.execute("select version from kit").fetchall() != [(_version(),)] or rows > MAX_ENTRIES:
        for table in ("kit", "requests", "results"):
            database.execute(f"delete from {table}")  # noqa: S608 - names of this module
        database.execute("insert into kit values (?)", (_version(),))
        database.commit()
    return database


def _facts(facts: os.stat_result) -> str:
    return f"{facts.st_dev} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def _place(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _sum(*parts: Any) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).digest()


@functools.cache
def _version() -> str:
    """Return the sha256 of the kit's own files: what one version took another may refuse."""
    digest = hashlib.sha256()
    for path in sorted(paths.PACKAGE.rglob("*")):
        if path.suffix in (".py", ".json") and path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _sqlite_or_none() -> ModuleType | None:
    try:
        import sqlite3
    except ImportError:  # a Python that was built without it
        return None
    return sqlite3


def _sqlite() -> Any:
    return _sqlite_or_none()
