"""Publish a file so that a reader sees all of it or none, and never another writer's under the same name.

A temporary file in the same folder is written and synced, then linked to its name: ``link`` fails where the name is
taken (``rename`` would replace it silently), and is the exclusive operation that NFS has. A failed fsync is final: the
kernel marks the pages clean, so that trying again proves nothing (Rebello et al., USENIX ATC 2020).
"""

import contextlib
import errno
import os
import secrets

from runner.contract.errors import PublishFailed


def publish(path, content):
    """Write ``content`` (bytes) to ``path``, which must not exist. Raises ``PublishFailed``; then there is no file."""
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _link_into_place(temporary, path)
        finally:
            _remove(temporary)
        try:
            _sync_folder(folder)
        except OSError:
            _remove(path)
            raise
    except OSError as problem:
        raise PublishFailed(
            f"{path} could not be written: {problem.strerror}. Free space or name another --results folder."
        ) from None


def _link_into_place(temporary, path):
    try:
        os.link(temporary, path)
    except OSError as problem:
        # over NFS the reply to a link that worked can be lost; two names on one file say that it did (open(2), O_EXCL)
        if problem.errno == errno.EEXIST and os.stat(temporary).st_nlink == 2:
            return
        raise


def _remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _sync_folder(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
