"""The folder of a volume that holds the packages of a stack: the files that an image's build context holds, and a marker when whole.

``tools`` holds pip and wheel, ``wheels`` the locked files, ``sources`` a folder for each commit that something is built from, and
``commits`` the commits themselves. Whoever reads the folder compares every file with the recipe: others may write to the volume.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
from typing import NamedTuple

from runner.contract import publish, strictjson
from runner.contract import recipe as recipes
from runner.contract.errors import DoesNotFit, InputError, KitError, PublishFailed, Unsupported
from runner.contract.files import read_bytes, sha256_of_file
from runner.contract.recipe import LockedFile, Recipe
from runner.contract.requirements import Requirement, parse

MARKER = "complete.json"
# The largest requirements file of the stacks has 0.2 MB.
_MAX_BYTES = 1 << 24
# A commit has a message, and no file.
_MAX_COMMIT_BYTES = 1 << 20
# Errors of a disk that its owner can mend.
_DISK_ERRORS = (errno.EROFS, errno.EACCES, errno.EPERM)


class Locked(NamedTuple):
    """What the kit locks of a stack, read from the files beside the recipe: pip and wheel, and each file with its requirements."""

    tools: list[Requirement]
    files: dict[LockedFile, list[Requirement]]

    def named(self, recipe: Recipe, from_source: bool) -> list[Requirement]:
        """Return the requirements that have no wheel, or all others."""
        pins = [pin for listed in self.files.values() for pin in listed]
        return [pin for pin in pins if (pin.name in recipe.source_only) == from_source]


def locked(recipe: Recipe, folder: str) -> Locked:
    """Return what a recipe locks; ``folder`` is the recipe's own. Raises ``InputError`` for a file of another hash."""
    kit = os.path.dirname(os.path.abspath(folder))
    tools = _requirements(os.path.join(folder, recipes.TOOLS), recipe.tools_sha256)
    files = {file: _requirements(os.path.join(kit, *file.file.split("/")), file.sha256) for file in recipe.files}
    return Locked(tools, files)


def _requirements(path: str, sha256: str) -> list[Requirement]:
    content = read_bytes(path, _MAX_BYTES, InputError, "Render and apply the manifests again.")
    parsed = parse(content.decode("utf-8", errors="replace"))
    if hashlib.sha256(content).hexdigest() != sha256 or parsed.unknown:
        raise InputError(
            f"{path} is not the file that the recipe names by its sha256. Render and apply the manifests again."
        )
    return [requirement for _, requirement in parsed.requirements]


def read_commit(path: str) -> bytes:
    """Return a commit as git stores it. Raises ``InputError`` where the file cannot be read or is too large for a commit."""
    return read_bytes(path, _MAX_COMMIT_BYTES, InputError, "Fetch the packages again.")


def refuse_python(recipe: Recipe) -> None:
    """Raise ``Unsupported`` where this Python is not one that the stack is locked for."""
    python = platform.python_version()
    if not recipes.serves(python, recipe.python, recipe.exact_python):
        raise Unsupported(
            f"The base has Python {python}; {recipe.stack} is locked for {recipe.python}. Render with another base."
        )


class PackageFolder:
    """The folder of one recipe on a volume."""

    def __init__(self, volume: str, recipe: Recipe) -> None:
        self.recipe = recipe
        self.path = os.path.join(volume, recipe.folder)
        self.tools, self.wheels = self.part("tools"), self.part("wheels")
        self.marker = self.part(MARKER)

    def part(self, *names: str) -> str:
        """Return the path of a file or folder of the folder."""
        return os.path.join(self.path, *names)

    def source(self, name: str) -> str:
        """Return the folder of the files that a package or program is built from."""
        return self.part("sources", name)

    def commit(self, name: str) -> str:
        """Return the file of the commit that a package or program is built from, as git stores it."""
        return self.part("commits", name)

    def is_complete(self) -> bool:
        """Return whether the marker is there. Raises ``InputError`` for a marker that is damaged."""
        if not os.path.lexists(self.marker):
            return False
        if strictjson.read(self.marker) != self._content():
            raise InputError(f"{self.marker} is not of this recipe. Remove the folder, and run the same command again.")
        return True

    def unmark(self) -> None:
        """Remove the marker of a folder that turned out not to be whole. Raises ``OSError``."""
        # another pod may have found the same
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.marker)

    def complete(self) -> None:
        """Write the marker, when everything else lies there. Raises ``PublishFailed``."""
        try:
            publish.publish(self.marker, strictjson.pretty(self._content()).encode())
        except PublishFailed:
            # Another pod may have fetched the same meanwhile.
            if not self.is_complete():
                raise

    def _content(self) -> dict[str, str]:
        return {"folder": self.recipe.folder, "stack": self.recipe.stack}

    def present(self) -> dict[str, str]:
        """Return sha256 to path of every whole file of ``wheels``."""
        names = os.listdir(self.wheels) if os.path.isdir(self.wheels) else []
        return {sha256_of_file(path): path for path in (os.path.join(self.wheels, name) for name in names)}

    def size_bytes(self) -> int:
        """Return the bytes of all files of ``wheels``."""
        return sum(os.path.getsize(os.path.join(self.wheels, name)) for name in os.listdir(self.wheels))


def disk_problem(problem: OSError, folder: str) -> KitError:
    """Return the error for a file that could not be written below a folder."""
    failed = f"{problem.filename or folder} cannot be written: {problem.strerror or type(problem).__name__}."
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return DoesNotFit(f"{failed} Make the volume larger, and run the same command again.")
    remedy = "Mend the volume" if problem.errno in _DISK_ERRORS else "Look at the volume"
    return PublishFailed(f"{failed} {remedy}, and run the same command again.")


def refuse_too_small(folder: str, name: str, needed_bytes: int) -> None:
    """Raise ``DoesNotFit`` where a folder's disk has fewer free bytes than a file needs. Raises ``OSError``."""
    status = os.statvfs(folder)
    free_bytes = status.f_bavail * status.f_frsize
    if needed_bytes > free_bytes:
        raise DoesNotFit(
            f"{name} needs {needed_bytes:,} bytes in {folder}, where {free_bytes:,} are free. Make the volume larger, and run the same"
            " command again."
        )
