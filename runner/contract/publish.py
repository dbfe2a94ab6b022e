"""Publish a file so that a reader sees the whole file or none, and no writer replaces a file of another writer.

A temporary file in the same folder is written and synced, then linked to its name: ``link`` fails where the name is taken (``rename``
would replace the other file silently), and is the exclusive operation that NFS has. A failed fsync is final: the kernel marks the
pages clean, so that a second fsync proves nothing (Rebello et al., USENIX ATC 2020).

Some file systems (FUSE, SMB, mounts of object stores) lack links, renames or the sync of a folder. There ``publish`` does without, and
returns a ``Manner`` that says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import Callable, Iterator

from runner.contract.errors import PublishFailed
from runner.contract.records import Published
from runner.contract.words import PublishedBy

# The errors of a file system that lacks an operation; a full or broken disk gives other errors.
_CANNOT = {
    *(errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL),
    *(errno.EMLINK, errno.EXDEV, errno.EISDIR, errno.EBADF, errno.ENOTTY),
}


@dataclass(frozen=True)
class Manner:
    """How a file was published. ``by`` is one of:

    - ``link``: the whole file got its name by a link, which never replaces another file.
    - ``rename``: the whole file was renamed while a claim beside the file, made with O_EXCL, kept other writers away.
    - ``create``: the file was made with O_EXCL under its name and written there: meanwhile a reader may see half of the file, which
      does not match the sha256 in it.

    ``file_synced`` and ``folder_synced`` say whether the file system took the sync of the file and of its folder.
    """

    by: PublishedBy = "link"
    file_synced: bool = True
    folder_synced: bool = True

    def to_json(self) -> Published:
        """Return the record that a result holds."""
        return Published(by=self.by, file_synced=self.file_synced, folder_synced=self.folder_synced)


USUAL = Manner()


def publish(path: str, content: bytes) -> Manner:
    """Write ``content`` to ``path``, which must not exist, and return how. Raises ``PublishFailed``; then there is no file."""
    try:
        return _publish(path, content)
    except OSError as problem:
        raise PublishFailed(
            f"{path} could not be written: {_reason(problem)}. Free space or name another --results folder."
        ) from None


def move(source: str, path: str) -> Manner:
    """Give an existing file the name ``path`` in the same folder, and return how; it is copied only where it cannot be linked or renamed.

    Raises ``PublishFailed``; then ``source`` is unchanged.
    """
    try:
        with open(source, "rb") as file:
            file_synced = synced(file.fileno())
        manner = _name_and_sync(source, path, file_synced)
        _remove(source)
        return manner
    except OSError as problem:
        raise PublishFailed(f"{source} could not be renamed to {path}: {_reason(problem)}.") from None


def probe(folder: str, size: int) -> Manner:
    """Publish a file of ``size`` bytes in a folder, remove the file again, and return how it was published.

    Folders that were made for the trial are removed too. Raises ``PublishFailed`` with the reason why a file cannot be published.
    """
    new_folders = list(missing(folder))
    path = os.path.join(folder, f".probe-{secrets.token_hex(4)}")
    try:
        try:
            # random bytes: a file system that compresses would take zeros of any length
            return _publish(path, os.urandom(size))
        finally:
            _remove(path)
            for new_folder in new_folders:
                with contextlib.suppress(OSError):
                    os.rmdir(new_folder)
    except OSError as problem:
        raise PublishFailed(
            f"{folder} is no folder that can be written to; nothing was measured: {_reason(problem)}."
            f" A file of {size:,} bytes was tried there. Free space, or name another with --results."
        ) from None


def missing(folder: str) -> Iterator[str]:
    """Yield the folders that ``os.makedirs`` would make, the innermost first."""
    path = os.path.abspath(folder)
    while not os.path.lexists(path):
        yield path
        path = os.path.dirname(path)


def _publish(path: str, content: bytes) -> Manner:
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    os.makedirs(folder, exist_ok=True)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            file_synced = synced(file.fileno())
        return _name_and_sync(temporary, path, file_synced)
    finally:
        _remove(temporary)


def _name_and_sync(source: str, path: str, file_synced: bool) -> Manner:
    """Give a whole file its name, and sync the folder. Raises ``OSError``; then no file has the name."""
    by = _name(source, path)
    try:
        folder_synced = sync_folder(os.path.dirname(path) or ".")
    except OSError:
        if by == "rename":
            os.rename(path, source)
        else:
            _remove(path)
        raise
    return Manner(by, file_synced, folder_synced)


def _name(source: str, path: str) -> PublishedBy:
    """Give a file its name in the first of the three ways that the file system has, and return the way's word."""
    ways: tuple[tuple[PublishedBy, Callable[[str, str], None]], ...] = (("link", _link), ("rename", _rename))
    for by, give_name in ways:
        try:
            give_name(source, path)
        except OSError as problem:
            if problem.errno not in _CANNOT:
                raise
        else:
            return by
    _create(source, path)
    return "create"


def _link(source: str, path: str) -> None:
    try:
        os.link(source, path)
    except OSError as problem:
        # over NFS the reply to a successful link can be lost; a file with two names was linked (open(2), O_EXCL)
        if problem.errno == errno.EEXIST and os.stat(source).st_nlink == 2:
            return
        raise


def _rename(source: str, path: str) -> None:
    """Rename a file while a claim keeps other writers away: ``rename`` alone would replace another writer's file silently."""
    claim = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.claim")
    os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        os.rename(source, path)
    finally:
        _remove(claim)


def _create(source: str, path: str) -> None:
    """Copy a file to its name, for file systems without links and renames."""
    with open(source, "rb") as whole, open(path, "xb") as file:
        try:
            shutil.copyfileobj(whole, file)
            file.flush()
            synced(file.fileno())
        except BaseException:
            _remove(path)
            raise


def _reason(problem: OSError) -> str:
    """Return why a file was not published; the claim of another writer, which may have been killed, is named."""
    claim = str(problem.filename or "")
    if problem.errno == errno.EEXIST and claim.endswith(".claim"):
        return f"another writer holds {claim}, or was killed with it: remove it if none runs"
    return problem.strerror or type(problem).__name__


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def synced(handle: int) -> bool:
    """Sync a file or folder; return False where the file system cannot. Raises ``OSError`` where the disk failed."""
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in _CANNOT:
            raise
        return False
    return True


def sync_folder(folder: str | os.PathLike[str]) -> bool:
    """Sync a folder, so that its names last through a crash; return False where the file system cannot. Raises ``OSError``."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno not in _CANNOT:
            raise
        return False
    try:
        return synced(handle)
    finally:
        os.close(handle)
