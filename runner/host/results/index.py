"""Remember the summaries of results, so that a folder of a hundred thousand results is read once and not at every comparison.

The index is an SQLite file below ``build``, and only a cache: an entry counts for a file whose path, size, inode and times have not
changed since the file was read, and only for the version of the kit that read it. The index can be deleted at any time; a damaged or
foreign one is made again, and where no index can be written all results are read.
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
from typing import TYPE_CHECKING

from runner.host import paths

if TYPE_CHECKING:
    import sqlite3

PATH = paths.BUILD / "results.index"

# Two changes of a file within one tick of the file system's clock leave the same times: a file that changed so lately is not
# remembered. Ticks are 10 ms on Linux's own file systems, 2 s on FAT and some network file systems.
SETTLED_S = 2.0
# Of about 1 kB each; a larger index begins anew.
MAX_ENTRIES = 1_000_000
# Entries that are written in one transaction.
_TOGETHER = 1000
# Stands for the path in a refusal: the same file may be named by another path next time.
_HERE = "\0"

_TABLES = """
create table if not exists kit (version text primary key);
create table if not exists requests (id text primary key, content blob, sum blob);
create table if not exists results (path blob primary key, facts text, text text, refusal blob, sum blob);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry of one file: a summary as text, or the refusal."""

    text: str
    refusal: str | None


class Index:
    """The index in the file ``path``; with None an index without entries that keeps none. Used as a context manager.

    No method fails where the index cannot be used: there it has no entries.
    """

    def __init__(self, path: Path | None) -> None:
        self._database = _open(path) if path is not None else None
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
        """Return the entry of a file that has not changed since it was read; None for any other file."""
        if self._database is None:
            return None
        with self._forgiving():
            key = _key(path)
            row = self._database.execute(
                "select facts, text, refusal, sum from results where path = ?", (key,)
            ).fetchone()
            # a file that was replaced, written to or linked anew has other facts; stat follows links, as reading does
            if row is not None and row[0] == _facts(os.stat(path)) and row[3] == _sum(key, *row[:3]):
                refusal = None if row[2] is None else row[2].decode("utf-8", "surrogatepass").replace(_HERE, path)
                return Entry(row[1], refusal)
        return None

    def request(self, request_id: str) -> bytes:
        """Return the canonical bytes of a request. Raises ``LookupError`` where the index does not hold them."""
        if self._database is not None:
            with self._forgiving():
                row = self._database.execute("select content, sum from requests where id = ?", (request_id,)).fetchone()
                if row is not None and row[1] == _sum(request_id, row[0]):
                    content: bytes = row[0]
                    return content
        raise LookupError(request_id)

    def put(self, path: str, facts: os.stat_result, text: str, request_id: str, request: Callable[[], bytes]) -> None:
        """Remember the summary ``text`` of the result in the file ``path``; ``facts`` are those of the file before it was read.

        ``request`` returns the canonical bytes of the result's request; it is called once for each request.
        """
        if self._database is not None and request_id not in self._kept:
            with self._forgiving():
                content = request()
                self._database.execute(
                    "insert or replace into requests values (?, ?, ?)",
                    (request_id, content, _sum(request_id, content)),
                )
                self._kept.add(request_id)
        self._put(path, facts, text, None)

    def put_refusal(self, path: str, facts: os.stat_result, refusal: str) -> None:
        """Remember that the file ``path`` was refused, and why; ``facts`` are those of the file before it was read."""
        self._put(path, facts, "", refusal.replace(path, _HERE).encode("utf-8", "surrogatepass"))

    def _put(self, path: str, before: os.stat_result, text: str, refusal: bytes | None) -> None:
        if self._database is None:
            return
        with self._forgiving():
            facts = _facts(before)
            if abs(time.time() - before.st_ctime) < SETTLED_S or _facts(os.stat(path)) != facts:
                return
            key = _key(path)
            row = (key, facts, text, refusal, _sum(key, facts, text, refusal))
            self._database.execute("insert or replace into results values (?, ?, ?, ?, ?)", row)
            self._waiting += 1
            if self._waiting % _TOGETHER == 0:
                self._database.commit()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on without an index where the index cannot be used: it is full, locked by another comparison, damaged."""
        try:
            yield
        # of the file of a result: the reader of the file reports it
        except OSError:
            pass
        except _sqlite().Error:
            database, self._database = self._database, None
            with contextlib.suppress(_sqlite().Error):
                if database is not None:
                    database.close()


def _open(path: Path) -> sqlite3.Connection | None:
    """Return a connection to the index of this version of the kit; None where there is none and none can be made."""
    sqlite = _sqlite_or_none()
    if sqlite is None:
        return None
    for _ in range(2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not stat.S_ISREG(path.lstat().st_mode):
                return None
            database: sqlite3.Connection = sqlite.connect(path, timeout=0, isolation_level="DEFERRED")
            try:
                _prepare(database)
                return database
            # locked or read-only
            except sqlite.OperationalError:
                database.close()
                return None
            # damaged, or another program's
            except sqlite.DatabaseError:
                database.close()
                path.unlink()
        except (OSError, sqlite.Error):
            return None
    return None


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables, and empty them where they are too large or another version's. Raises an error of ``sqlite3``."""
    # no syncing: a row that a loss of power damages fails its checksum, and its file is read again
    database.execute("pragma synchronous = off")
    database.executescript(_TABLES)
    (rows,) = database.execute("select count(*) from results").fetchone()
    if database.execute("select version from kit").fetchall() != [(_version(),)] or rows > MAX_ENTRIES:
        for table in ("kit", "requests", "results"):
            # the names are this module's
            database.execute(f"delete from {table}")  # noqa: S608
        database.execute("insert into kit values (?)", (_version(),))
        database.commit()


def _facts(facts: os.stat_result) -> str:
    return f"{facts.st_dev} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _sum(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).digest()


@functools.cache
def _version() -> str:
    """Return the sha256 of the kit's own files: a result that one version accepted another may refuse."""
    digest = hashlib.sha256()
    for path in sorted(paths.PACKAGE.rglob("*")):
        if path.suffix in (".py", ".json") and path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _sqlite_or_none() -> ModuleType | None:
    try:
        import sqlite3
    # a Python that was built without it
    except ImportError:
        return None
    return sqlite3


def _sqlite() -> ModuleType:
    """Return ``sqlite3`` where a connection was opened before."""
    sqlite = _sqlite_or_none()
    assert sqlite is not None
    return sqlite
