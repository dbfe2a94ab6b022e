"""Write files whole or not at all, to regular files only, and keep two writers from overwriting each other's change."""

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

    A concurrent reader sees the old content or the new content. Raises ``InputError`` with one sentence, and ``advice``, where the
    path names something other than a regular file (a FIFO, say), or cannot be written.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{path} cannot be written: a text in it has bytes that are not UTF-8. {advice}") from None
    write_bytes(path, content, advice)


def write_bytes(path: Path, content: bytes, advice: str = "Check the path.", lasts: bool = True) -> None:
    """Replace a file's content, or make the file and its folders, as ``write_text`` does. Raises ``InputError`` as ``write_text`` does.

    A file that need not last through a loss of power is written without waiting for the disk.
    """
    try:
        _write(Path(os.path.realpath(path)), content, lasts)
    except OSError as problem:
        raise InputError(f"{path} cannot be written: {reason(problem)}. {advice}") from None


def write_link(path: Path, target: str, advice: str = "Check the path.") -> None:
    """Put a symbolic link to ``target`` in the place of ``path``, of a link or of a regular file, or make it and its folders.

    Raises ``InputError`` with one sentence, and ``advice``, where the path names something else (a folder, say), or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not path.is_symlink() and not path.is_file():
            raise NotRegular(path, path.lstat().st_mode)
        temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
    except OSError as problem:
        raise InputError(f"{path} cannot be written: {reason(problem)}. {advice}") from None


def _write(target: Path, content: bytes, lasts: bool) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    # a parent is a file or a FIFO
    except FileExistsError:
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
                # only root may change the owner
                with contextlib.suppress(OSError):
                    os.fchown(file.fileno(), facts.st_uid, facts.st_gid)
            if lasts:
                publish.synced(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    # without the sync the file has its new content too, but its name may not last through a crash
    if lasts:
        with contextlib.suppress(OSError):
            publish.sync_folder(target.parent)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other writers of the folder of ``path`` waiting while the block reads and writes; wait for them first.

    The folder itself is locked: a lock file would stay behind. On a file system without locks nothing waits. Raises ``OSError`` where
    the folder cannot be opened.
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
