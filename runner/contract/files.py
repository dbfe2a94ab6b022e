"""Open and hash files that others wrote; some hold hundreds of gigabytes, and some are no regular files.

Opening a FIFO waits for a writer, and reading ``/dev/zero`` never ends. Every path that a person, a cluster or another program names
is therefore opened by this module, which refuses anything but a regular file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import BinaryIO, Callable

from runner.contract.errors import InputError

_BLOCK_BYTES = 1 << 20

# The beginning of the file that a clone without git-lfs has in the place of a large file.
# Source: github.com/git-lfs/git-lfs docs/spec.md.
POINTER = b"version https://git-lfs.github.com/spec/"

_KINDS = (
    (stat.S_ISDIR, "Is a directory"),
    (stat.S_ISFIFO, "it is a FIFO (a named pipe), not a regular file"),
    (stat.S_ISSOCK, "it is a socket, not a regular file"),
    (stat.S_ISCHR, "it is a character device, not a regular file"),
    (stat.S_ISBLK, "it is a block device, not a regular file"),
)


class NotRegular(OSError):
    """A path names something that is no regular file; ``strerror`` says what the path names."""

    def __init__(self, path: str | os.PathLike[str], mode: int) -> None:
        words = next((words for test, words in _KINDS if test(mode)), "it is not a regular file")
        super().__init__(errno.EINVAL, words, os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading bytes, without ever waiting for a writer.

    Raises ``NotRegular`` for a folder, FIFO, socket or device, and ``OSError`` for a file that cannot be opened.
    """
    # stat before open: opening a FIFO wakes its writer, and opening a device may move it
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise NotRegular(path, mode)
    # the path may have been replaced meanwhile: O_NONBLOCK keeps the open from waiting, and fstat looks at the opened file
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise NotRegular(path, mode)
    os.set_blocking(handle, True)
    return os.fdopen(handle, "rb")


def read_bytes(
    path: str | os.PathLike[str],
    max_bytes: int,
    error: type[Exception] = InputError,
    advice: str = "Check the path.",
) -> bytes:
    """Return the bytes of a regular file of at most ``max_bytes`` bytes.

    Raises ``error`` with one sentence, and ``advice``, for anything else.
    """
    try:
        with open_regular(path) as file:
            content = file.read(max_bytes + 1)
    except OSError as problem:
        raise error(f"{os.fspath(path)} cannot be read: {reason(problem)}. {advice}") from None
    if len(content) > max_bytes:
        raise error(
            f"{os.fspath(path)} has more than {max_bytes} bytes, the most that are read of such a file. {advice}"
        )
    return content


def _uncounted(_bytes: int) -> None:
    return None


def sha256_of_file(path: str | os.PathLike[str], count: Callable[[int], None] = _uncounted) -> str:
    """Return the hex sha256 of a regular file's bytes; ``count`` is told how many bytes each read gave.

    Raises ``OSError`` where the file cannot be read.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
            count(len(block))
    return digest.hexdigest()


def reason(problem: OSError) -> str:
    """Return in words why a file could not be opened: the system's reason, and its cause where the path shows it."""
    words = problem.strerror or str(problem) or type(problem).__name__
    if not isinstance(problem.filename, (str, bytes)):
        return words
    path = os.fsdecode(problem.filename)
    try:
        facts = os.lstat(path)
    except OSError:
        return words
    if problem.errno == errno.ENOENT and stat.S_ISLNK(facts.st_mode):
        return f"{words}; it is a link to {os.readlink(path)}, which is not there"
    if problem.errno == errno.EACCES:
        mode, user = stat.S_IMODE(facts.st_mode), os.geteuid()
        return f"{words}; its mode is {mode:04o}, its owner is user {facts.st_uid}, and this process is user {user}"
    return words
