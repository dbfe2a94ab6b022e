"""Tell the state of this checkout: the commit, its time, and what of the kit no commit holds.

Resolving pins changes versions.lock, and an image is built from what was resolved. Such a change needs no commit before an image is
pushed: the commit and the sha256 of the lock say together what the image was built from, since the lock holds the hash of everything
that was resolved. Any other change would make an image that nobody else could build.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.pins import resolve
from runner.host.readers import lock_editor, lockfile, strictyaml
from runner.host.readers.lockfile import UNRESOLVED, LockPath

# Parts of the repository that an image is made of; a change elsewhere does not make the checkout another one.
DECISIVE = ("LICENSE", "images", "requirements", "runner", "versions.lock")

# The digits of the lock's sha256 in a revision.
_DIGITS = 12

_LOCK = "versions.lock"


@dataclass(frozen=True)
class Checkout:
    """The state of this checkout.

    ``revision`` is the commit; behind it stands ``-lock-`` with the first digits of the lock's sha256 where the lock has values that
    were resolved since, or ``-dirty`` where other files differ from the commit. It is "unknown" outside of git. ``epoch`` is the
    commit's time in Unix seconds. ``changed`` are the paths of the other files.
    """

    revision: str
    epoch: int
    changed: tuple[str, ...]

    @property
    def problem(self) -> str | None:
        """Why no image of this checkout is pushed, and what to do; None where one may be."""
        if self.revision == "unknown":
            return "this is no git checkout, so nobody could tell what the image was built from. Clone the repository with git"
        if self.changed:
            more = f" and {len(self.changed) - 1} more" if len(self.changed) > 1 else ""
            return f"{self.changed[0]}{more} holds changes that no commit has. Commit them, and run the same again"
        return None


def read() -> Checkout:
    """Return the state of this checkout. Raises ``InputError`` where neither git nor SOURCE_DATE_EPOCH tells a time."""
    revision, time = _line("rev-parse", "HEAD"), _line("log", "-1", "--format=%ct")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or time
    if epoch is None:
        raise InputError("This is no git checkout, so the time of its commit is not known. Set SOURCE_DATE_EPOCH.")
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 12):
        raise InputError(f"SOURCE_DATE_EPOCH is {epoch[:60]!a}, and must be seconds since 1970. Mend it, or unset it.")
    if revision is None:
        return Checkout("unknown", int(epoch), ())
    changed = _changed()
    resolved = _resolved() if changed else frozenset()
    others = tuple(path for path in changed if path not in resolved)
    if others:
        return Checkout(f"{revision}-dirty", int(epoch), others)
    if changed:
        return Checkout(f"{revision}-lock-{sha256_of_file(paths.LOCK)[:_DIGITS]}", int(epoch), ())
    return Checkout(revision, int(epoch), ())


def _changed() -> list[str]:
    """Return the decisive files that differ from the commit, and those that no commit has."""
    output = _git("status", "--porcelain", "--no-renames", "-z", "--", *DECISIVE)
    return [entry[3:] for entry in (output or b"").decode("utf-8", errors="replace").split("\0") if entry]


def _resolved() -> frozenset[str]:
    """Return the files whose only changes are values that the commit leaves unresolved, and the images that were pushed.

    No file is among them where versions.lock has any other change, be it in a comment.
    """
    committed = _git("show", f"HEAD:./{_LOCK}")
    if committed is None:
        return frozenset()
    try:
        now = files.read_bytes(paths.LOCK, strictyaml.MAX_BYTES, advice="Restore it with `git checkout`.")
        before = lockfile.parse(strictyaml.loads(committed, _LOCK), paths.LOCK)
        opened: list[LockPath] = [*resolve.unresolved(before), ("built",)]
        told = lock_editor.written_values(now, opened, paths.LOCK)
        if lock_editor.edited(committed, told, paths.LOCK) != now:
            return frozenset()
    except InputError:
        return frozenset()
    after = lockfile.parse(strictyaml.loads(now, _LOCK), paths.LOCK)
    compiled = {
        entry.file
        for where, entry in lockfile.requirements_files(after).items()
        if (*where, "sha256") in told and entry.sha256 != UNRESOLVED and _has_hash(entry.file, entry.sha256)
    }
    return frozenset({_LOCK, *compiled})


def _has_hash(file: str, sha256: str) -> bool:
    path = paths.ROOT / file
    return path.is_file() and sha256_of_file(path) == sha256


def _line(*arguments: str) -> str | None:
    output = _git(*arguments)
    return None if output is None else output.decode("utf-8", errors="replace").strip()


def _git(*arguments: str) -> bytes | None:
    """Return what git prints about this checkout; None where git fails, or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(paths.ROOT), *arguments], capture_output=True)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
