"""Plan how to find out whether every pin is still where it was pinned, as questions to the pins' origins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runner.contract.requirements import Requirement
from runner.contract.text import printable
from runner.host import paths
from runner.host.pins import uv
from runner.host.pins.origins import container_registry, git, hub, package_index
from runner.host.pins.resolve import Kind
from runner.host.readers import lockfile
from runner.host.readers.lockfile import (
    UNRESOLVED,
    Lock,
    LockPath,
    PinnedImage,
    PinnedRepository,
    PinnedSource,
    PinnedStack,
)
from runner.host.stacks import agreement, requirements


class Question(Protocol):
    """A question whether one pin is still there."""

    @property
    def where(self) -> LockPath:
        """The pin's place in the lock."""

    def problem(self) -> str | None:
        """Ask the origin, and return in words what is wrong, None for nothing. Raises ``InputError``, ``Unreachable``."""


@dataclass(frozen=True)
class ImageIsThere:
    """The question whether the registry has the image's digest, and whether its linux/amd64 is the pinned one."""

    where: LockPath
    image: PinnedImage

    def problem(self) -> str | None:
        """Ask the registry. Raises ``InputError``, ``Unreachable``."""
        platform = container_registry.platform_digest(self.image.repository, self.image.digest)
        if platform is None:
            return "the registry has no such digest any more"
        if self.image.platform not in (platform, UNRESOLVED):
            return f"its linux/amd64 is {platform}, not {self.image.platform}"
        return None


@dataclass(frozen=True)
class PackageIsThere:
    """The question whether the index has a file of the package with a locked hash, and whether such a file was withdrawn."""

    where: LockPath
    pin: Requirement
    index: str | None

    def problem(self) -> str | None:
        """Ask the index; one that has no such package raises ``InputError``. Raises ``Unreachable``."""
        withdrawals = package_index.index_files(self.pin.name, self.index)
        present = self.pin.hashes & set(withdrawals)
        if not present:
            return f"the index has no file of {self.pin.version} with a locked hash"
        reasons = sorted({reason for sha256 in present if (reason := withdrawals[sha256]) is not None})
        if reasons:
            return f"{self.pin.version} was withdrawn: {printable(', '.join(reasons), 300) or 'no reason given'}"
        return None


@dataclass(frozen=True)
class PackagesGoTogether:
    """The question whether a package of a stack demands another version than is locked, or than the base brings.

    A package that the index does not serve, the base's torch first of all, takes part as its name and version alone.
    """

    where: LockPath
    name: str
    stack: PinnedStack

    def problem(self) -> None:
        """Ask uv. Raises ``InputError`` for a contradiction, ``Unreachable``."""
        entry = self.stack.requirements
        locked = requirements.read(agreement.text_of(entry, paths.ROOT), entry.file)
        given = {
            package: pin.version
            for package, pin in self.stack.packages.items()
            if pin.version != UNRESOLVED and (package == "torch" or pin.origin != "index")
        }
        uv.refuse_contradictions(entry.file, self.stack.python, locked, given, self.stack.platform)


@dataclass(frozen=True)
class RevisionIsThere:
    """The question whether the hub has the repository at its revision."""

    where: LockPath
    kind: hub.RepositoryKind
    pin: PinnedRepository

    def problem(self) -> str | None:
        """Ask the hub. Raises ``Unreachable``."""
        has = hub.has_revision(self.kind, self.pin.repository, self.pin.revision)
        return None if has else "the hub has no such revision"


@dataclass(frozen=True)
class CommitIsThere:
    """The question whether the git server has the commit, and whether the commit has the pinned tree."""

    where: LockPath
    source: PinnedSource

    def problem(self) -> str | None:
        """Ask the git server; one that has no such commit raises ``InputError``. Raises ``Unreachable``."""
        tree = git.commit_tree(self.source.repository, self.source.commit)
        return None if self.source.tree in (tree, UNRESOLVED) else f"its tree is {tree}, not {self.source.tree}"


def plan(lock: Lock, only: Kind | None = None, stack: str | None = None) -> list[Question]:
    """Return a question for every resolved pin, or those of one kind or stack. Nothing is asked.

    Raises ``InputError`` for a requirements file that cannot be read.
    """
    questions = [question for kind, make in _PLANS.items() if only in (None, kind) for question in make(lock)]
    return [question for question in questions if stack is None or question.where[:2] == ("stacks", stack)]


def _images(lock: Lock) -> Iterator[Question]:
    for where, image in lockfile.images(lock).items():
        if image.digest != UNRESOLVED:
            yield ImageIsThere((*where, "digest"), image)


def _packages(lock: Lock) -> Iterator[Question]:
    for where, entry in lockfile.requirements_files(lock).items():
        for pin in requirements.read(agreement.text_of(entry, paths.ROOT), entry.file):
            yield PackageIsThere((*where, pin.name), pin, entry.index)
    for name, stack in lock.stacks.items():
        yield PackagesGoTogether(("stacks", name, "packages"), name, stack)


def _hub(lock: Lock) -> Iterator[Question]:
    for name, pin in lock.models.items():
        if pin.revision != UNRESOLVED:
            yield RevisionIsThere(("models", name, "revision"), "model", pin)
    for name, pin in lock.datasets.items():
        if pin.revision != UNRESOLVED:
            yield RevisionIsThere(("datasets", name, "revision"), "dataset", pin)


def _git(lock: Lock) -> Iterator[Question]:
    for name, source in lock.sources.items():
        if source.commit != UNRESOLVED:
            yield CommitIsThere(("sources", name, "commit"), source)


_PLANS: dict[Kind, Callable[[Lock], Iterator[Question]]] = {
    "images": _images,
    "packages": _packages,
    "hub": _hub,
    "git": _git,
}
