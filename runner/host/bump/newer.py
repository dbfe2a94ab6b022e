"""Plan how to find out what is newer than a lock, as questions to the pins' origins; a question is asked when ``ask`` is called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from packaging.version import InvalidVersion

from runner.contract.errors import InputError, Unreachable
from runner.contract.text import printable
from runner.host.bump import rows, selection
from runner.host.bump.findings import (
    DayNotAsked,
    Finding,
    NewerFound,
    NotComparable,
    PythonTooOld,
    StackToAdd,
    VersionHeld,
)
from runner.host.bump.rows import Row
from runner.host.pins.origins import container_registry, git, hub, package_index
from runner.host.readers.lockfile import (
    UNRESOLVED,
    Lock,
    LockPath,
    PinnedAction,
    PinnedImage,
    PinnedRepository,
    PinnedSource,
    PinnedStack,
)

# The kinds of questions: those of rows, and the stacks that a new release of SynapseAI calls for.
Kind = Literal["tools", "requirements", "packages", "images", "stacks", "models", "datasets", "sources", "actions"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# The sources that hold the vendor's recipes, whose tags are the releases of SynapseAI.
_RECIPES = "setup-and-install-"

_RUN_LOCK = "Run `python -m runner lock` first"


class Question(Protocol):
    """A question whether anything is newer than one row of the lock."""

    @property
    def row(self) -> Row:
        """The row; for the question whether a stack is to be added, the part of the stack that the new one is like."""

    @property
    def kind(self) -> Kind:
        """The kind of the question."""

    @property
    def source(self) -> str:
        """The origin that is asked, without a login; the questions to a silent origin share it."""

    def ask(self) -> list[Finding]:
        """Ask, and return what was found; nothing where nothing is newer. Raises ``InputError``, ``Unreachable``."""


@dataclass(frozen=True)
class NewerPackage:
    """The question for newer releases of a package or tool on the user's index.

    ``pythons`` are those that a release must run on; ``hold`` bounds the versions, and ``note`` says why. ``image_index`` is the index
    from which images install the package, which must have a release too; None for the user's own.
    """

    row: Row
    package: str
    pythons: tuple[str, ...]
    hold: str | None
    note: str | None
    image_index: str | None = None
    source = "the package index"

    @property
    def kind(self) -> Kind:
        """The kind of the question."""
        return self.row.kind

    def ask(self) -> list[Finding]:
        """Ask the index. Raises ``InputError``, ``Unreachable``."""
        row = self.row
        if row.current == UNRESOLVED:
            return [NotComparable(row.name, row.kind, row.current, f"its version is unresolved. {_RUN_LOCK}")]
        releases, why = self._releases()
        choice = _choose(row, releases, self.pythons, self.hold)
        found: list[Finding] = []
        if choice.newer is not None:
            new = choice.newer
            found.append(NewerFound(row.name, row.kind, row.current, new.version, None, new.day, new.index, why))
        if choice.held is not None and self.hold is not None:
            new = choice.held
            found.append(
                VersionHeld(row.name, row.kind, row.current, new.version, new.day, new.index, self.hold, self.note)
            )
        if choice.elsewhere is not None:
            new = choice.elsewhere
            asked = printable(", ".join(sorted(text for text in new.requires_python if text)), 100)
            pythons = list(self.pythons)
            found.append(PythonTooOld(row.name, row.kind, row.current, new.version, new.day, new.index, asked, pythons))
        return found

    def _releases(self) -> tuple[list[package_index.Release], str | None]:
        """Return the releases that the user's index and that of images have, and what is to say where the latter did not answer."""
        releases = package_index.releases(self.package)
        if self.image_index is None:
            return releases, None
        try:
            in_images = {release.version for release in package_index.releases(self.package, self.image_index)}
        except Unreachable:
            return releases, f"{self.image_index}, from which images install it, did not answer"
        return [release for release in releases if release.version in in_images], None


@dataclass(frozen=True)
class NewerImage:
    """The question for a newer tag of an image, and whether the tag names another image than is pinned."""

    row: Row
    image: PinnedImage

    @property
    def kind(self) -> Kind:
        """The kind of the question."""
        return self.row.kind

    @property
    def source(self) -> str:
        """The registry."""
        return self.image.repository.partition("/")[0]

    def ask(self) -> list[Finding]:
        """Ask the registry. Raises ``InputError``, ``Unreachable``."""
        row, image = self.row, self.image
        if image.tags is not None:
            tags = _newer_tags(row, image.tags, image.tag, container_registry.tags(image.repository))
            if tags:
                return [self._newer(tags[-1], container_registry.image_digest(image.repository, tags[-1]), None)]
        if image.digest == UNRESOLVED:
            return [NotComparable(row.name, row.kind, row.current, f"its digest is unresolved. {_RUN_LOCK}")]
        digest = container_registry.image_digest(image.repository, image.tag)
        if digest is None:
            raise InputError(f"{image.repository} has no tag {image.tag} any more")
        if digest == image.digest:
            return []
        return [self._newer(image.tag, digest, "the same tag names another image now")]

    def _newer(self, tag: str, digest: str | None, why: str | None) -> NewerFound:
        row, repository = self.row, self.image.repository
        return NewerFound(row.name, row.kind, row.current, tag, digest, _made_on(repository, tag), repository, why)


@dataclass(frozen=True)
class NewerCommit:
    """The question for a newer tag or commit of a git repository."""

    row: Row
    pin: PinnedSource

    @property
    def kind(self) -> Kind:
        """The kind of the question."""
        return self.row.kind

    @property
    def source(self) -> str:
        """The git server."""
        return _server(self.pin.repository)

    def ask(self) -> list[Finding]:
        """Ask the git server. Raises ``InputError``, ``Unreachable``."""
        row, pin = self.row, self.pin
        listed = git.references(pin.repository)
        if pin.tags is not None:
            tag = pin.tag or selection.tag_of(pin.commit, pin.tags, listed.tags)
            if tag is None:
                message = f"no tag of {pin.repository} names its commit, so that no tag can be called newer"
                return [NotComparable(row.name, row.kind, row.current, message)]
            return self._newer_tag(pin.tags, tag, listed)
        assert pin.branch is not None
        if pin.branch not in listed.branches:
            raise InputError(f"{pin.repository} has no branch {pin.branch}")
        head = listed.branches[pin.branch]
        if pin.commit == UNRESOLVED:
            return [NotComparable(row.name, row.kind, row.current, f"its commit is unresolved. {_RUN_LOCK}")]
        if head == pin.commit:
            return []
        return [self._found(row.current, head, head, f"head of the branch {pin.branch}")]

    def _newer_tag(self, pattern: str, tag: str, listed: git.References) -> list[Finding]:
        commit = self.pin.commit
        moved = tag in listed.tags and commit not in (UNRESOLVED, listed.tags[tag])
        why = f"the tag {tag} names another commit than is pinned" if moved else None
        newer = _newer_tags(self.row, pattern, tag, listed.tags)
        if newer:
            return [self._found(tag, newer[-1], listed.tags[newer[-1]], why)]
        return [self._found(tag, tag, listed.tags[tag], why)] if moved else []

    def _found(self, current: str, version: str, commit: str, why: str | None) -> NewerFound:
        row, repository = self.row, self.pin.repository
        return NewerFound(
            row.name, row.kind, current, version, commit, _commit_day(repository, commit), repository, why
        )


@dataclass(frozen=True)
class NewerRevision:
    """The question whether the main of a model or dataset has moved."""

    row: Row
    repository_kind: hub.RepositoryKind
    pin: PinnedRepository

    @property
    def kind(self) -> Kind:
        """The kind of the question."""
        return self.row.kind

    @property
    def source(self) -> str:
        """The hub."""
        return hub.endpoint()

    def ask(self) -> list[Finding]:
        """Ask the hub. Raises ``InputError``, ``Unreachable``."""
        row = self.row
        if row.current == UNRESOLVED:
            return [
                NotComparable(row.name, row.kind, row.current, "its revision is unresolved. Write it into the lock")
            ]
        head = hub.head(self.repository_kind, self.pin.repository)
        # of an unresolved revision the beginning is known
        if head.revision.startswith(row.current):
            return []
        source = f"{hub.endpoint()}/{'datasets/' if self.repository_kind == 'dataset' else ''}{self.pin.repository}"
        return [NewerFound(row.name, row.kind, row.current, head.revision, head.revision, head.day, source, None)]


@dataclass(frozen=True)
class LaterDay:
    """The row of a requirements file of the kit. Nobody is asked: only a compilation tells whether a later day moves anything."""

    row: Row
    today: str
    kind: Kind = "requirements"
    source = "the package index"

    def ask(self) -> list[Finding]:
        """Return the row with today's day, nothing where the file's day is no earlier."""
        row = self.row
        return [DayNotAsked(row.name, row.kind, row.current, self.today)] if row.current < self.today else []


@dataclass(frozen=True)
class NewerRecipes:
    """The question for releases of SynapseAI that are newer than the newest Gaudi stack, among the tags of the vendor's recipes."""

    row: Row
    stack: str
    pattern: str
    repository: str
    kind: Kind = "stacks"

    @property
    def source(self) -> str:
        """The git server."""
        return _server(self.repository)

    def ask(self) -> list[Finding]:
        """Ask the git server; of each series the newest release counts. Raises ``InputError``, ``Unreachable``."""
        listed = git.references(self.repository)
        current = self.row.current
        by_release = {
            release: tag
            for tag in _newer_tags(self.row, self.pattern, current, listed.tags)
            if (release := selection.star_of(self.pattern, tag)) is not None
        }
        series_now = ".".join(current.split(".")[:2])
        found: list[Finding] = []
        for series, release in selection.newest_by_series(by_release).items():
            tag = by_release[release]
            commit = listed.tags[tag]
            name = f"gaudi-{release if series == series_now else series}"
            day = _commit_day(self.repository, commit)
            found.append(StackToAdd(name, self.stack, "recipes", current, tag, release, commit, day, self.repository))
        return found


@dataclass(frozen=True)
class NewerBuild:
    """The question for newer builds of a Gaudi stack's image, among the tags of its own repository."""

    row: Row
    stack: str
    image: PinnedImage
    kind: Kind = "stacks"

    @property
    def source(self) -> str:
        """The registry."""
        return self.image.repository.partition("/")[0]

    def ask(self) -> list[Finding]:
        """Ask the registry. Raises ``InputError``, ``Unreachable``."""
        image = self.image
        assert image.tags is not None
        tags = _newer_tags(self.row, image.tags, image.tag, container_registry.tags(image.repository))
        if not tags:
            return []
        tag = tags[-1]
        digest = container_registry.image_digest(image.repository, tag)
        release, _, build = tag.partition("-")
        day = _made_on(image.repository, tag)
        name = f"{self.stack}-{build}" if build else None
        return [StackToAdd(name, self.stack, "image", image.tag, tag, release, digest, day, image.repository)]


@dataclass(frozen=True)
class NewerOptimum:
    """The question for releases of optimum-habana that are newer than the newest Gaudi stack has.

    A release is said to be for the release of SynapseAI that its own description says, or for none.
    """

    row: Row
    stack: str
    python: str
    kind: Kind = "stacks"
    source = "the package index"

    def ask(self) -> list[Finding]:
        """Ask the index. Raises ``InputError``, ``Unreachable``."""
        package = self.row.where[-1]
        choice = _choose(self.row, package_index.releases(package), (self.python,), None)
        new = choice.newer
        if new is None:
            return []
        release = selection.release_told(package_index.summary(package, new.version))
        series_now = self.stack.partition("-")[2]
        name = f"gaudi-{release}" if release is not None and selection.is_newer_release(release, series_now) else None
        return [StackToAdd(name, self.stack, package, self.row.current, new.version, release, None, new.day, new.index)]


def plan(
    lock: Lock,
    today: str,
    notes: Mapping[LockPath, str],
    only: Kind | None = None,
    stack: str | None = None,
) -> list[Question]:
    """Return the questions about all rows of a lock, or those of one kind or stack, in the order of the lock. Nothing is asked.

    ``today`` is a day such as 2026-11-27; ``notes`` are those of the lock's entries. Raises ``InputError`` where the catalog of claims
    cannot be read.
    """
    questions = [*(of_row(lock, row, today, notes) for row in rows.of_lock(lock)), *_of_new_stacks(lock)]
    tables = ("tools", "requirements", "stacks", "models", "datasets", "sources", "actions")
    places = {name: number for number, name in enumerate(lock.stacks)}
    # the rows of a stack stand together; sorting keeps their order, and puts what a new stack needs behind the rows
    questions.sort(key=lambda one: (tables.index(one.row.where[0]), places.get(one.row.stack or "", 0)))
    return [one for one in questions if only in (None, one.kind) and stack in (None, one.row.stack)]


def of_row(lock: Lock, row: Row, today: str, notes: Mapping[LockPath, str]) -> Question:
    """Return the question whether anything is newer than one row of a lock; the arguments are those of ``plan``."""
    table, entry = row.where[0], row.where[1]
    if row.kind == "tools":
        return NewerPackage(row, entry, (lock.requirements["build"].python,), None, notes.get(row.where))
    if row.kind == "requirements":
        return LaterDay(row, today)
    if row.kind == "packages":
        stack = lock.stacks[entry]
        package = row.where[-1]
        image_index = stack.torch.index if package == "torch" and stack.torch is not None else None
        hold = stack.packages[package].hold
        return NewerPackage(row, package, _pythons(stack), hold, notes.get(row.where), image_index)
    if row.kind == "images":
        stack = lock.stacks[entry]
        image = stack.image if row.where[-1] == "image" else stack.interpreter
        assert image is not None
        return NewerImage(row, image)
    if row.kind == "models":
        return NewerRevision(row, "model", lock.models[entry])
    if row.kind == "datasets":
        return NewerRevision(row, "dataset", lock.datasets[entry])
    assert table in ("sources", "actions")
    return NewerCommit(row, lock.sources[entry] if table == "sources" else _as_source(entry, lock.actions[entry]))


def newest_gaudi_stack(lock: Lock) -> tuple[str, str] | None:
    """Return the Gaudi stack of the newest release of SynapseAI, and that release, such as 1.24.0; None where no stack tells its release.

    The tag of a stack's image tells the release: 1.24.0-1007 is build 1007 of release 1.24.0.
    """
    found: tuple[str, str] | None = None
    for name, stack in lock.stacks.items():
        match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,4}){1,3})-[0-9]+", stack.image.tag, re.ASCII)
        if stack.device != "hpu" or match is None:
            continue
        if found is None or selection.is_newer_release(match[1], found[1]):
            found = (name, match[1])
    return found


def _of_new_stacks(lock: Lock) -> Iterator[Question]:
    """Yield what tells that a release of SynapseAI is newer than the newest Gaudi stack."""
    newest = newest_gaudi_stack(lock)
    if newest is None:
        return
    name, release = newest
    stack = lock.stacks[name]
    repositories: dict[str, str] = {}
    for source_name, source in lock.sources.items():
        if source_name.startswith(_RECIPES) and source.tags is not None:
            repositories[source.repository] = source.tags
    where = ("stacks", name)
    for repository, pattern in repositories.items():
        yield NewerRecipes(Row(name, "images", where, release), name, pattern, repository)
    if stack.image.tags is not None:
        row = Row(f"{name}/image", "images", (*where, "image"), stack.image.tag)
        yield NewerBuild(row, name, stack.image)
    package = stack.packages.get("optimum-habana")
    if package is not None and package.origin == "index" and package.version != UNRESOLVED:
        place = (*where, "packages", "optimum-habana")
        row = Row(f"{name}/optimum-habana", "packages", place, package.version)
        yield NewerOptimum(row, name, stack.python)


def _pythons(stack: PinnedStack) -> tuple[str, ...]:
    """Return the Pythons that a stack's packages must run on: that of its requirements, and that of an image of Python."""
    found = [stack.python]
    for image in (stack.image, stack.interpreter):
        match = re.match(r"3\.[0-9]{1,2}(?![0-9])", image.tag) if image is not None else None
        if image is not None and match is not None and image.repository.endswith("/python"):
            found.append(match[0])
    return tuple(dict.fromkeys(found))


def _as_source(name: str, action: PinnedAction) -> PinnedSource:
    """Return the repository of an action, which may name a folder in it, with the pattern of the tags that are like its version."""
    repository = git.action_repository(name)
    match = re.fullmatch(r"([A-Za-z_-]*)[0-9]+(?:\.[0-9]+)*", action.version, re.ASCII)
    # without numbers only the same tag can be newer
    pattern = f"{match[1]}*" if match is not None else action.version
    return PinnedSource(repository, action.commit, UNRESOLVED, None, action.version, pattern)


def _choose(
    row: Row, releases: list[package_index.Release], pythons: tuple[str, ...], hold: str | None
) -> selection.PackageChoice:
    try:
        return selection.of_package(releases, row.current, pythons, hold)
    except InvalidVersion:
        raise InputError(
            f"{row.name}: {row.current} is no version as PEP 440 writes versions. Mend it in versions.lock"
        ) from None


def _newer_tags(row: Row, pattern: str, current: str, tags: list[str] | Mapping[str, str]) -> list[str]:
    try:
        return selection.newer_tags(pattern, current, tags)
    except ValueError:
        raise InputError(
            f"{row.name}: its tag {current} does not match its own pattern {pattern}. Mend either in versions.lock"
        ) from None


def _made_on(repository: str, tag: str) -> str | None:
    """Return the day of an image, None where it does not tell it or cannot be asked: what is newer is known already."""
    try:
        return container_registry.made_on(f"{repository}:{tag}")
    except (InputError, Unreachable):
        return None


def _commit_day(repository: str, commit: str) -> str | None:
    """Return the day of a commit, None where it cannot be asked for: what is newer is known already."""
    try:
        return git.commit_day(repository, commit)
    except (InputError, Unreachable):
        return None


def _server(repository: str) -> str:
    """Return scheme and host of a git repository, the whole address of one in a folder of this machine."""
    match = re.match(r"(https|ssh)://(?:[^/@]*@)?([^/]+)", repository)
    return f"{match[1]}://{match[2]}" if match is not None else repository
