"""Keep every launch of an attempt as the launch ends, so that a kill loses the launch that runs and no other.

Beside the result to come lies ``.ATTEMPT.unfinished``: a line for the attempt, and a line for each launch that ended, each with
its own sha256 and synced. The writer holds a lock on the file, which the kernel releases however the writer ends. What a killed
writer left behind makes a result with the status ``interrupted``: ``take_up`` publishes that result, ``left`` only reads it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Iterator

from runner.contract import files, publish, result, strictjson
from runner.contract.errors import DamagedResult, KitError, PublishFailed

NAME = re.compile(rf"\.({result.ATTEMPT.pattern})\.unfinished")
# What flock raises where another process holds the lock; any other error says that the file system has no locks.
_HELD = (BlockingIOError, PermissionError)


class Journal:
    """The file of one attempt that runs. ``path`` is where the result will be; ``head`` holds all of it but its launches."""

    def __init__(self, path: str, head: dict[str, Any]) -> None:
        """Make the file, and its folder. Raises ``OSError``."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._path = _journal_path(path)
        handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._file = os.fdopen(handle, "wb", buffering=0)
        # without locks a reader cannot tell whether the attempt still runs, and says so
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.add(head)

    def add(self, value: dict[str, Any]) -> None:
        """Append one line and sync it. Raises ``OSError``; then a reader passes over the line."""
        text = strictjson.canonical(value)
        # the newline before the line parts it from a line that was cut by a full disk
        line = b"\n" + hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        with contextlib.suppress(OSError):  # a file system that cannot sync has kept the line all the same, or not
            os.fsync(self._file.fileno())

    def close(self, discard: bool = True) -> None:
        """Remove the file, since the result is published, or leave it for ``take_up``."""
        if discard:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        with contextlib.suppress(OSError):
            self._file.close()


@dataclass(frozen=True)
class Left:
    """What an attempt left whose process is gone: the bytes of a sealed result, and the rows that the attempt completed.

    ``path`` is where the result belongs; ``published`` says that a whole result is there already.
    """

    attempt: str
    path: str
    content: bytes
    launches: int
    rows: bytes | None
    published: bool

    @property
    def measured(self) -> bool:
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


def outputs(path: str, rows: bytes) -> dict[str, Any]:
    """Return what a result says of the rows that it completed."""
    named = os.path.basename(rows_path(path)) if rows else None
    return {"file": named, "rows": rows.count(b"\n"), "sha256": hashlib.sha256(rows).hexdigest()}


def left(folder: str) -> Iterator[Left | KitError]:
    """Yield what attempts below ``folder`` left whose processes are gone, in the order of their files; nothing is changed.

    Yields an error for a file that cannot be read, and for one on a file system without locks: its attempt may still run.
    """
    for place in _files(folder):
        try:
            with files.open_regular(place) as file:
                if _runs(file, place):
                    continue
                content = file.read(strictjson.MAX_BYTES + 1)
            if not content:  # its writer has made the file this very moment
                continue
            found = _read(place, content)
        except OSError as problem:
            yield DamagedResult(
                f"{place} holds the launches of an attempt that was cut off, and cannot be read: {files.reason(problem)}."
                " Check its owner and mode."
            )
        except KitError as problem:
            yield problem
        else:
            yield found


def take_up(folder: str) -> Iterator[Left | KitError]:
    """Publish what ``left`` yields as interrupted results, remove the files that kept the launches, and yield the same.

    An attempt that measured nothing is removed without a word.
    """
    for one in left(folder):
        if not isinstance(one, Left):
            yield one
            continue
        try:
            if one.measured and not one.published:
                if one.rows and not os.path.exists(rows_path(one.path)):
                    publish.publish(rows_path(one.path), one.rows)
                publish.publish(one.path, one.content)
                yield one
            for path in (part_path(one.path), _journal_path(one.path)):
                with contextlib.suppress(OSError):
                    os.unlink(path)
        except PublishFailed as problem:
            yield problem


def _journal_path(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{os.path.splitext(name)[0]}.unfinished")


def _files(folder: str) -> list[str]:
    """Return the files of unfinished attempts: results lie in a folder for each request."""
    found = []
    for place in sorted(_folders(folder)):
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            found += sorted(entry.path for entry in entries if NAME.fullmatch(entry.name))
    return found


def _folders(folder: str) -> list[str]:
    found = [folder]
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return found


def _runs(file: BinaryIO, place: str) -> bool:
    """Return whether the attempt still runs. Raises ``DamagedResult`` where that cannot be known."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except _HELD:
        return True
    except OSError as problem:
        raise DamagedResult(
            f"{place} holds the launches of an attempt that was cut off, or still runs: this file system has no locks"
            f" ({problem.strerror}). When the attempt has ended, copy the folder to a local disk and name the copy."
        ) from None
    return False


def _read(place: str, content: bytes) -> Left:
    """Return what a file of this module holds. Raises ``DamagedResult`` for a file without its first line."""
    if len(content) > strictjson.MAX_BYTES:
        raise DamagedResult(f"{place} holds more than {strictjson.MAX_BYTES} bytes, more than a result can have.")
    lines = [line for line in (_value(line, place) for line in content.split(b"\n")[:-1]) if line is not None]
    if not lines or "request" not in lines[0]:
        raise DamagedResult(f"{place} lost its first line, and with it what was measured. Remove the file.")
    head, launches = lines[0], [line["launch"] for line in lines[1:]]
    named = NAME.fullmatch(os.path.basename(place))
    assert named is not None
    path = os.path.join(os.path.dirname(place), f"{named[1]}.json")
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
    return Left(named[1], path, strictjson.pretty(sealed).encode(), len(launches), rows, _is_whole(path))


def _is_whole(path: str) -> bool:
    try:
        result.check_seal(strictjson.read(path), path)
    except KitError:
        return False
    return True


def _value(line: bytes, place: str) -> dict[str, Any] | None:
    """Return the value of one line; None for a line that was not written to its end."""
    digest, _, text = line.partition(b" ")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    value: dict[str, Any] = strictjson.loads(text, place, DamagedResult)
    return value


def _rows(path: str) -> bytes:
    for place in (part_path(path), rows_path(path)):
        with contextlib.suppress(FileNotFoundError), files.open_regular(place) as file:
            return whole_lines(file.read())
    return b""
