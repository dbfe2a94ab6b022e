"""Keep every launch of an attempt as the launch ends, so that a kill loses the launch that runs and no other.

The journal of an attempt is the file ``.ATTEMPT.unfinished`` beside the result to come: a line for the attempt, and a line for each
launch that ended, each with its own sha256 and synced. The writer holds a lock on the journal, which the kernel releases however the
writer ends. From the journal of a killed writer a result with the status ``interrupted`` can be made: ``take_up`` publishes that
result, ``left`` only reads it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from typing import BinaryIO, Iterator, Mapping

from runner.contract import files, publish, result, strictjson
from runner.contract.errors import DamagedResult, KitError, PublishFailed
from runner.contract.records import JsonObject, Outputs

NAME = re.compile(rf"\.({result.ATTEMPT.pattern})\.unfinished")
# The errors of flock where another process holds the lock; any other error says that the file system has no locks.
_HELD = (BlockingIOError, PermissionError)


class Journal:
    """The journal of one attempt that runs."""

    def __init__(self, path: str, head: Mapping[str, object]) -> None:
        """Make the journal of the result that will be ``path``, and its folder. Raises ``OSError``.

        ``head`` is the result without its launches, and ``rows``: whether ranks write rows of a dataset beside the result.
        """
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._path = _journal_path(path)
        handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._file = os.fdopen(handle, "wb", buffering=0)
        # without locks a reader cannot tell whether the attempt still runs, and says so
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.add(head)

    def add(self, value: Mapping[str, object]) -> None:
        """Append one line and sync it. Raises ``OSError``; then a reader passes over the line.

        The line of a launch holds the ``launch``, and the ``attempt`` as a result would hold it if the attempt ended now.
        """
        text = strictjson.canonical(value)
        # the newline before the line parts it from a line that was cut by a full disk
        line = b"\n" + hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        # a file system that cannot sync may have kept the line all the same
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())

    def close(self, discard: bool = True) -> None:
        """Remove the journal, since the result is published, or leave it for ``take_up``."""
        if discard:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        with contextlib.suppress(OSError):
            self._file.close()


@dataclass(frozen=True)
class Left:
    """The remains of an attempt whose process is gone: the bytes of a sealed result, and the rows that the attempt completed.

    ``path`` is where the result belongs, ``launches`` their number; ``published`` says that a whole result is at ``path`` already.
    """

    attempt: str
    path: str
    content: bytes
    launches: int
    rows: bytes | None
    published: bool

    @property
    def measured(self) -> bool:
        """Whether a launch or a row was completed."""
        return bool(self.launches or self.rows)


def rows_path(path: str) -> str:
    """Return where the rows of a result lie when the result is published."""
    return os.path.splitext(path)[0] + ".jsonl"


def part_path(path: str) -> str:
    """Return where the rows of a result lie while ranks still write them."""
    return rows_path(path) + ".part"


def whole_lines(content: bytes) -> bytes:
    """Return bytes up to the last newline: a rank may have been stopped within a line."""
    return content[: content.rfind(b"\n") + 1]


def outputs(path: str, rows: bytes) -> Outputs:
    """Return the record of the completed rows that the result at ``path`` holds; ``rows`` are the bytes of their file."""
    name = os.path.basename(rows_path(path)) if rows else None
    return {"file": name, "rows": rows.count(b"\n"), "sha256": hashlib.sha256(rows).hexdigest()}


def left(folder: str) -> Iterator[Left | KitError]:
    """Yield what attempts below ``folder`` left whose processes are gone, in the order of their journals; nothing is changed.

    Yields an error for a journal that cannot be read, and for one on a file system without locks: its attempt may still run.
    """
    for path in _journals(folder):
        try:
            with files.open_regular(path) as file:
                if _runs(file, path):
                    continue
                content = file.read(strictjson.MAX_BYTES + 1)
            # an empty journal was made by its writer this very moment
            if not content:
                continue
            remains = _read(path, content)
        except OSError as problem:
            yield DamagedResult(
                f"{path} holds the launches of an attempt that was cut off, and cannot be read: {files.reason(problem)}."
                " Check its owner and mode."
            )
        except KitError as problem:
            yield problem
        else:
            yield remains


def take_up(folder: str) -> Iterator[Left | KitError]:
    """Publish what ``left`` yields as interrupted results, remove the journals, and yield what was published.

    Yields the errors of ``left`` too, and a ``PublishFailed`` for a result that cannot be written, whose journal stays. The journal of
    an attempt that measured nothing is removed without a word.
    """
    for remains in left(folder):
        if not isinstance(remains, Left):
            yield remains
            continue
        try:
            if remains.measured and not remains.published:
                if remains.rows and not os.path.exists(rows_path(remains.path)):
                    publish.publish(rows_path(remains.path), remains.rows)
                publish.publish(remains.path, remains.content)
                yield remains
            for path in (part_path(remains.path), _journal_path(remains.path)):
                with contextlib.suppress(OSError):
                    os.unlink(path)
        except PublishFailed as problem:
            yield problem


def _journal_path(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{os.path.splitext(name)[0]}.unfinished")


def _journals(folder: str) -> list[str]:
    """Return the paths of journals: results lie in a folder for each request."""
    paths = []
    for subfolder in sorted(_folders(folder)):
        with contextlib.suppress(OSError), os.scandir(subfolder) as entries:
            paths += sorted(entry.path for entry in entries if NAME.fullmatch(entry.name))
    return paths


def _folders(folder: str) -> list[str]:
    folders = [folder]
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return folders


def _runs(file: BinaryIO, path: str) -> bool:
    """Return whether the writer of a journal still runs. Raises ``DamagedResult`` where that cannot be known."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except _HELD:
        return True
    except OSError as problem:
        raise DamagedResult(
            f"{path} holds the launches of an attempt that was cut off, or still runs: this file system has no locks"
            f" ({problem.strerror}). When the attempt has ended, copy the folder to a local disk and name the copy."
        ) from None
    return False


def _read(journal: str, content: bytes) -> Left:
    """Return what the journal at a path holds. Raises ``DamagedResult`` for one that is too large, or lost its first line."""
    if len(content) > strictjson.MAX_BYTES:
        raise DamagedResult(f"{journal} holds more than {strictjson.MAX_BYTES} bytes, more than a result can have.")
    lines = [line for line in (_value(line, journal) for line in content.split(b"\n")[:-1]) if line is not None]
    if not lines or "request" not in lines[0]:
        raise DamagedResult(f"{journal} lost its first line, and with it what was measured. Remove the file.")
    head, launches = lines[0], [line["launch"] for line in lines[1:]]
    name = NAME.fullmatch(os.path.basename(journal))
    assert name is not None
    path = os.path.join(os.path.dirname(journal), f"{name[1]}.json")
    rows = _rows(path) if head["rows"] else None
    body = {key: value for key, value in head.items() if key != "rows"}
    sealed = result.seal(
        {
            **body,
            "attempt": lines[-1]["attempt"],
            "launches": launches,
            "outputs": None if rows is None else outputs(path, rows),
        }
    )
    return Left(name[1], path, strictjson.pretty(sealed).encode(), len(launches), rows, _is_whole(path))


def _is_whole(path: str) -> bool:
    try:
        result.check_seal(strictjson.read(path), path)
    except KitError:
        return False
    return True


def _value(line: bytes, journal: str) -> JsonObject | None:
    """Return the object of one line of a journal; None for a line that was not written to its end."""
    digest, _, text = line.partition(b" ")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    value: JsonObject = strictjson.loads(text, journal, DamagedResult)
    return value


def _rows(path: str) -> bytes:
    """Return the completed rows of the result at ``path``, from the ranks' file or from the published one."""
    for candidate in (part_path(path), rows_path(path)):
        with contextlib.suppress(FileNotFoundError), files.open_regular(candidate) as file:
            return whole_lines(file.read())
    return b""
