"""Write files whole or not at all, into regular files alone, and let no two writers overwrite each other's change."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.contract import publish
from runner.contract.errors import InputError
from runner.contract.files import NotRegular, reason


def write_text(path: Path, text: str, advice: str = "Check the path.") -> None:
    """Replace a file's content, or make the file and its folders. A link stays a link, and a file keeps its mode and owner.

    Whoever reads the file meanwhile sees the old content or the new one. Raises ``InputError`` with one sentence, and
    ``advice``, where the path names something that is no regular file (a FIFO, say), or cannot be written.
    """
    try:
        _write(Path(os.path.realpath(path)), text.encode("utf-8"))
    except OSError as problem:
        raise InputError(f"{path} cannot be written: {reason(problem)}. {advice}") from None
    except UnicodeEncodeError:
        raise InputError(f"{path} cannot be written: a text in it has bytes that are not UTF-8. {advice}") from None


def _write(target: Path, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # a file, a FIFO
        raise NotADirectoryError(errno.ENOTDIR, f"{target.parent} is no folder") from None
    try:
        facts = os.lstat(target)
    except FileNotFoundError:
        facts = None
    if facts is not None and not stat.S_ISREG(facts.st_mode):
        raise (
            NotRegular(target, facts.st_mode)
            if not stat.S_ISLNK(facts.st_mode)
            else OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(target))
        )
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), stat.S_IMODE(facts.st_mode) if facts else 0o666 & ~_umask())
            if facts and (facts.st_uid, facts.st_gid) != (os.geteuid(), os.getegid()):
                with contextlib.suppress(OSError):  # root alone may give a file away
                    os.fchown(file.fileno(), facts.st_uid, facts.st_gid)
            publish.synced(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # the file has its new content, whether or not its name lasts through a crash
        publish.sync_folder(target.parent)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other writer of the same folder is between its reading and its writing.

    The folder itself is locked: a lock file would stay behind. Where a file system has no such locks, nobody waits.
    """
    folder = os.open(Path(os.path.realpath(path)).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
