"""Plan which unresolved pins can be resolved, as questions to their origins; each question is asked when ``ask`` is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from runner.host import paths
from runner.host.pins import compilation
from runner.host.pins.origins import container_registry, git, hub, package_index
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedStack, RequirementsFile
from runner.host.stacks import agreement, requirements

# The kinds of pins, in the order in which they are resolved.
Kind = Literal["requirements", "packages", "images", "hub", "git"]
KINDS: tuple[Kind, ...] = ("requirements", "packages", "images", "hub", "git")

# Takes the package and the version of a release that its authors have withdrawn.
OnYanked = Callable[[str, str], None]


def ignore_yanked(_package: str, _version: str) -> None:
    """Take a withdrawn release, and say nothing."""


class Question(Protocol):
    """A question about one value of the lock."""

    @property
    def where(self) -> LockPath:
        """The value's place in the lock."""

    def ask(self) -> str | None:
        """Return the value as the lock writes it, None where the origin has none. Raises ``InputError``, ``Unreachable``."""


@dataclass(frozen=True)
class StackCompilation:
    """The question which file the direct pins of a stack compile to. The answer is the sha256 of the file, which is written."""

    where: LockPath
    name: str
    stack: PinnedStack

    def ask(self) -> str:
        """Compile and write the file. Raises ``InputError``, ``Unreachable``."""
        return compilation.of_stack(self.name, self.stack).write()


@dataclass(frozen=True)
class TorchCompilation:
    """The question which file the torch of a stack compiles to. The answer is the sha256 of the file, which is written."""

    where: LockPath
    name: str
    stack: PinnedStack

    def ask(self) -> str:
        """Compile and write the file. Raises ``InputError``, ``Unreachable``."""
        return compilation.of_torch(self.name, self.stack).write()


@dataclass(frozen=True)
class OwnCompilation:
    """The question which file an edited file of the kit compiles to. The answer is the sha256 of the file, which is written."""

    where: LockPath
    lock: Lock
    name: str

    def ask(self) -> str:
        """Compile and write the file. Raises ``InputError``, ``Unreachable``."""
        return compilation.of_own_file(self.lock, self.name).write()


@dataclass(frozen=True)
class PackageHash:
    """The question for the sha256 of a package's file."""

    where: LockPath
    requirements: RequirementsFile
    package: str
    version: str
    on_yanked: OnYanked = field(default=ignore_yanked, compare=False)

    def ask(self) -> str:
        """Return the one hash in the stack's requirements file, else that of the file that pip takes. ``on_yanked`` takes a yanked one."""
        hashes = self._locked_hashes()
        if len(hashes) == 1:
            return next(iter(hashes))
        sha256, yanked = package_index.package_sha256(self.package, self.version)
        if yanked:
            self.on_yanked(self.package, self.version)
        return sha256

    def _locked_hashes(self) -> set[str]:
        if not (paths.ROOT / self.requirements.file).exists():
            return set()
        text = agreement.text_of(self.requirements, paths.ROOT)
        return requirements.hashes_by_version(text).get(self.package, {}).get(self.version, set())


@dataclass(frozen=True)
class ImageDigest:
    """The question for the digest of a tag."""

    where: LockPath
    repository: str
    tag: str

    def ask(self) -> str | None:
        """Ask the registry. Raises ``Unreachable``."""
        return container_registry.image_digest(self.repository, self.tag)


@dataclass(frozen=True)
class PlatformDigest:
    """The question for the digest of the linux/amd64 manifest in an image."""

    where: LockPath
    repository: str
    digest: str

    def ask(self) -> str | None:
        """Ask the registry. Raises ``InputError``, ``Unreachable``."""
        return container_registry.platform_digest(self.repository, self.digest)


@dataclass(frozen=True)
class HubRevision:
    """The question for the revision of a repository that begins with the known digits."""

    where: LockPath
    kind: hub.RepositoryKind
    repository: str
    short: str

    def ask(self) -> str | None:
        """Ask the hub. Raises ``InputError``, ``Unreachable``."""
        return hub.revision_of(self.kind, self.repository, self.short)


@dataclass(frozen=True)
class ModelFiles:
    """The question for the large files, by their sha256, of a model at its revision."""

    where: LockPath
    repository: str
    revision: str

    def ask(self) -> str:
        """Ask the hub; the answer is a mapping on one line. Raises ``InputError``, ``Unreachable``."""
        files = hub.large_files("model", self.repository, self.revision)
        return lock_editor.in_braces(dict(sorted(files.items())))


@dataclass(frozen=True)
class BranchCommit:
    """The question for the commit that a branch points to."""

    where: LockPath
    repository: str
    branch: str

    def ask(self) -> str | None:
        """Ask the git server. Raises ``InputError``, ``Unreachable``."""
        return git.branch_commit(self.repository, self.branch)


@dataclass(frozen=True)
class TagCommit:
    """The question for the commit that a tag names."""

    where: LockPath
    repository: str
    tag: str

    def ask(self) -> str | None:
        """Ask the git server. Raises ``InputError``, ``Unreachable``."""
        return git.references(self.repository).tags.get(self.tag)


@dataclass(frozen=True)
class CommitTree:
    """The question for the hash of a commit's tree."""

    where: LockPath
    repository: str
    commit: str

    def ask(self) -> str:
        """Ask the git server. Raises ``InputError``, ``Unreachable``."""
        return git.commit_tree(self.repository, self.commit)


def plan(lock: Lock, kind: Kind, stack: str | None = None, on_yanked: OnYanked = ignore_yanked) -> list[Question]:
    """Return the questions that resolve a lock's pins of one kind, or those of one stack. Nothing is asked.

    ``on_yanked`` is called while a question about a withdrawn release is asked. Requirements files are compiled whether or not they are
    resolved: a compilation whose pins stay writes nothing.
    """
    questions = _PLANS[kind](lock, on_yanked)
    return [question for question in questions if stack is None or question.where[:2] == ("stacks", stack)]


def unresolved(lock: Lock) -> list[LockPath]:
    """Return the paths in the lock of all pins that nobody has resolved yet."""
    pins: dict[LockPath, str | None] = {
        (*where, "sha256"): entry.sha256 for where, entry in lockfile.requirements_files(lock).items()
    }
    for where, image in lockfile.images(lock).items():
        for part, value in (("digest", image.digest), ("platform", image.platform), ("inventory", image.inventory)):
            pins.update({(*where, part): value})
    for name, stack in lock.stacks.items():
        for package, pin in stack.packages.items():
            pins["stacks", name, "packages", package, "version"] = pin.version
            pins["stacks", name, "packages", package, "sha256"] = pin.sha256
    pins.update({("models", name, "revision"): pin.revision for name, pin in lock.models.items()})
    pins.update({("datasets", name, "revision"): pin.revision for name, pin in lock.datasets.items()})
    pins.update({("models", name, "files"): UNRESOLVED for name, pin in lock.models.items() if pin.files is None})
    for name, source in lock.sources.items():
        pins["sources", name, "commit"] = source.commit
        pins["sources", name, "tree"] = source.tree
    pins.update({("actions", name, "commit"): action.commit for name, action in lock.actions.items()})
    return [where for where, value in pins.items() if value == UNRESOLVED]


def _requirements(lock: Lock, _: OnYanked) -> Iterator[Question]:
    """Yield a compilation for each file, those of stacks first: the kit's own files are bound to the cpu stack's versions."""
    for name, stack in lock.stacks.items():
        yield StackCompilation(("stacks", name, "requirements", "sha256"), name, stack)
        if stack.torch is not None:
            yield TorchCompilation(("stacks", name, "torch", "sha256"), name, stack)
    for name in lock.requirements:
        yield OwnCompilation(("requirements", name, "sha256"), lock, name)


def _packages(lock: Lock, on_yanked: OnYanked) -> Iterator[Question]:
    for name, stack in lock.stacks.items():
        for package, pin in stack.packages.items():
            if pin.sha256 == UNRESOLVED and pin.origin == "index":
                where = ("stacks", name, "packages", package, "sha256")
                yield PackageHash(where, stack.requirements, package, pin.version, on_yanked)


def _images(lock: Lock, _: OnYanked) -> Iterator[Question]:
    for where, image in lockfile.images(lock).items():
        if image.digest == UNRESOLVED:
            yield ImageDigest((*where, "digest"), image.repository, image.tag)
        elif image.platform == UNRESOLVED:
            yield PlatformDigest((*where, "platform"), image.repository, image.digest)


def _hub(lock: Lock, _: OnYanked) -> Iterator[Question]:
    for name, pin in lock.models.items():
        if pin.revision == UNRESOLVED and pin.short is not None:
            yield HubRevision(("models", name, "revision"), "model", pin.repository, pin.short)
    for name, pin in lock.datasets.items():
        if pin.revision == UNRESOLVED and pin.short is not None:
            yield HubRevision(("datasets", name, "revision"), "dataset", pin.repository, pin.short)
    for name, pin in lock.models.items():
        if pin.revision != UNRESOLVED and pin.files is None:
            yield ModelFiles(("models", name, "files"), pin.repository, pin.revision)


def _git(lock: Lock, _: OnYanked) -> Iterator[Question]:
    for name, source in lock.sources.items():
        if source.commit == UNRESOLVED and source.tag is not None:
            yield TagCommit(("sources", name, "commit"), source.repository, source.tag)
        elif source.commit == UNRESOLVED and source.branch is not None:
            yield BranchCommit(("sources", name, "commit"), source.repository, source.branch)
        elif source.tree == UNRESOLVED and source.commit != UNRESOLVED:
            yield CommitTree(("sources", name, "tree"), source.repository, source.commit)
    for name, action in lock.actions.items():
        if action.commit == UNRESOLVED:
            yield TagCommit(("actions", name, "commit"), git.action_repository(name), action.version)


_PLANS: dict[Kind, Callable[[Lock, OnYanked], Iterator[Question]]] = {
    "requirements": _requirements,
    "packages": _packages,
    "images": _images,
    "hub": _hub,
    "git": _git,
}
