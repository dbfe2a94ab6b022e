"""Read versions.lock into values: every pin of the kit. ``lock_editor`` changes single values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from runner.contract import patterns
from runner.contract.errors import InputError, UnresolvedPin
from runner.contract.fields import Fields
from runner.contract.records import DeviceKind
from runner.contract.request import DEVICES, ENGINES, LAUNCHERS
from runner.contract.words import Engine, Launcher
from runner.host import paths
from runner.host.readers import strictyaml

T = TypeVar("T")

# The keys that lead to a value of the lock, such as ("stacks", "cpu", "image", "digest").
LockPath = tuple[str, ...]

# Where a package comes from: an index, the base image, or the build from a pinned commit.
Origin = Literal["index", "base", "source"]

UNRESOLVED = patterns.UNRESOLVED

_SHA256 = patterns.LOCKED_SHA256.or_unresolved()
_DIGEST = patterns.LOCKED_DIGEST.or_unresolved()
_COMMIT = patterns.LOCKED_COMMIT.or_unresolved()
_VERSION = patterns.VERSION.or_unresolved()
_ORIGINS: tuple[Origin, ...] = get_args(Origin)


@dataclass(frozen=True)
class RequirementsFile:
    """One hash-locked requirements file: the Python it is for, the newest day of its packages, and its own sha256.

    ``index`` is the address that its packages come from; None is the user's own index.
    """

    file: str
    exclude_newer: str
    sha256: str
    python: str
    index: str | None


@dataclass(frozen=True)
class PinnedImage:
    """A base image. ``digest`` is what its tag named; ``platform`` is the manifest of linux/amd64 in it, or the same digest.

    ``tags`` is the pattern of the tags among which a newer one may follow ``tag``; None where only the same tag can be newer.

    ``inventory`` is the sha256 of the list of the base's Python packages, for a base whose packages a stack uses; else None.
    """

    repository: str
    tag: str
    digest: str
    platform: str
    inventory: str | None
    tags: str | None = None

    @property
    def reference(self) -> str:
        """The image by the most exact digest that is known."""
        return f"{self.repository}@{self.digest if self.platform == UNRESOLVED else self.platform}"

    @property
    def is_open(self) -> bool:
        """Whether nobody has read a digest of the image, so that only its tag is known."""
        return self.digest == self.platform == UNRESOLVED

    @property
    def named(self) -> str:
        """The image by the most exact digest that is known, or by its tag where none is known."""
        return f"{self.repository}:{self.tag}" if self.is_open else self.reference


@dataclass(frozen=True)
class PinnedPackage:
    """A direct dependency. ``sha256`` is the hash of its one file on the index, or of the wheel that an image's build makes.

    ``hold`` bounds the versions that ``bump`` may propose, such as ``<5.21``; the note says why.
    """

    version: str
    origin: Origin
    sha256: str | None
    source: str | None
    hold: str | None = None

    @property
    def is_told_by_the_base(self) -> bool:
        """Whether only the base image tells the version, and nobody has read it there yet.

        Nothing installs such a package, so nothing needs its version: a launch compares the package with what the base listed, and its
        result holds the version.
        """
        return self.origin == "base" and self.version == UNRESOLVED


@dataclass(frozen=True)
class PinnedProgram:
    """A program that an image holds beside its Python packages, compiled from ``source``; ``license`` is its SPDX identifier."""

    version: str
    source: str
    license: str


@dataclass(frozen=True)
class PinnedStack:
    """A stack with all its pins. ``engine`` runs a BLOOM on it unless a case or the user says otherwise.

    ``interpreter`` is the image that brings Python where ``image`` has none. ``torch`` locks, for images, the index's torch and
    what torch brings; None where the base image brings torch. ``driver`` is the host's; ``firmware`` is that of Gaudi2. ``platform``
    is the platform of the wheels that the base's C library takes, as uv names platforms; None where wheels of every platform are locked.
    """

    device: DeviceKind
    python: str
    launcher: Launcher
    engine: Engine
    image: PinnedImage
    interpreter: PinnedImage | None
    requirements: RequirementsFile
    torch: RequirementsFile | None
    packages: dict[str, PinnedPackage]
    programs: dict[str, PinnedProgram]
    driver: str
    firmware: str
    platform: str | None = None

    @property
    def runs_in_image(self) -> bool:
        """Whether launches run in the stack's image; launches of the CPU's stack run in the environment of `make setup`."""
        return self.device != "cpu"

    @property
    def runs_on_host(self) -> bool:
        """Whether the stack can be installed on a host too, without a container: all of it comes from an index, and nothing is compiled.

        A stack with an interpreter of its own stands on a base with a compiler of CUDA, which its kernels need.
        """
        return self.torch is not None and self.interpreter is None and not self.sources

    @property
    def sources(self) -> dict[str, str]:
        """The source of each package and program that an image's build makes from a source."""
        pins: dict[str, PinnedPackage | PinnedProgram] = {**self.packages, **self.programs}
        return {name: pin.source for name, pin in pins.items() if pin.source is not None}


@dataclass(frozen=True)
class PinnedRepository:
    """A model or dataset repository and its revision; ``short`` is the known beginning of an unresolved revision.

    ``files`` maps a model's large files to their sha256; None while unresolved, and for datasets.
    """

    repository: str
    revision: str
    short: str | None
    files: dict[str, str] | None


@dataclass(frozen=True)
class PinnedSource:
    """A git repository, its commit, and the hash of the commit's tree; an unresolved commit is looked for on ``branch``.

    ``tag`` is the tag of the commit where the commit has one, ``tags`` the pattern of the tags among which a newer one may follow.
    """

    repository: str
    commit: str
    tree: str
    branch: str | None
    tag: str | None = None
    tags: str | None = None


@dataclass(frozen=True)
class PinnedAction:
    """An action that a workflow of the forge uses: its version, which is a tag, and the commit of the tag."""

    version: str
    commit: str


@dataclass(frozen=True)
class PushedImage:
    """The image of a stack as it was pushed: ``inputs`` is the sha256 of everything that it was built from."""

    repository: str
    digest: str
    inputs: str

    @property
    def reference(self) -> str:
        """The image by its digest."""
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Lock:
    """The whole of versions.lock, each table as name to entry. ``built`` holds the images that were pushed, by stack."""

    tools: dict[str, str]
    requirements: dict[str, RequirementsFile]
    stacks: dict[str, PinnedStack]
    models: dict[str, PinnedRepository]
    datasets: dict[str, PinnedRepository]
    sources: dict[str, PinnedSource]
    actions: dict[str, PinnedAction]
    built: dict[str, PushedImage]


def read(path: Path = paths.LOCK) -> Lock:
    """Read the lock. Raises ``InputError`` that names file, line and the remedy."""
    return parse(strictyaml.read(path), path)


def notes(path: Path = paths.LOCK) -> dict[LockPath, str]:
    """Return the note of every entry of the lock that has one, by the entry's path. Raises ``InputError`` as ``read`` does."""
    return dict(_notes(strictyaml.read(path), ()))


def parse(document: strictyaml.Value, path: Path) -> Lock:
    """Return the lock that a document of strict YAML holds; ``path`` names the document in messages.

    Raises ``InputError`` for any key, value or reference between entries that the lock cannot have.
    """
    top = Fields(document, paths.shown(path))
    if top.text("schema") != "1":
        raise InputError(f"{paths.shown(path)} has another schema than 1. Use the version of the kit that wrote it.")
    lock = Lock(
        tools={name: _tool(entry) for name, entry in top.each("tools", patterns.PACKAGE)},
        requirements={name: _requirements(entry) for name, entry in top.each("requirements")},
        stacks={name: _stack(entry) for name, entry in top.each("stacks", patterns.NAME)},
        models={name: _repository(entry) for name, entry in top.each("models", patterns.NAME)},
        datasets={name: _repository(entry) for name, entry in top.each("datasets")},
        sources={name: _source(entry) for name, entry in top.each("sources")},
        actions={name: _action(entry) for name, entry in top.each("actions", patterns.ACTION)},
        built={name: _pushed(entry) for name, entry in top.each("built", patterns.NAME)},
    )
    top.done()
    _refuse_doubles(lock, path)
    _refuse_missing_entries(lock, path)
    return lock


def requirements_files(lock: Lock) -> dict[LockPath, RequirementsFile]:
    """Return every requirements file by its path in the lock."""
    entries: dict[LockPath, RequirementsFile] = {
        ("requirements", name): entry for name, entry in lock.requirements.items()
    }
    for name, stack in lock.stacks.items():
        entries["stacks", name, "requirements"] = stack.requirements
        if stack.torch is not None:
            entries["stacks", name, "torch"] = stack.torch
    return entries


def images(lock: Lock) -> dict[LockPath, PinnedImage]:
    """Return every base image and every image of an interpreter by its path in the lock."""
    entries: dict[LockPath, PinnedImage] = {}
    for name, stack in lock.stacks.items():
        entries["stacks", name, "image"] = stack.image
        if stack.interpreter is not None:
            entries["stacks", name, "interpreter"] = stack.interpreter
    return entries


def _notes(value: strictyaml.Value, where: LockPath) -> Iterator[tuple[LockPath, str]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key == "note" and isinstance(inner, str):
            yield where, inner
        else:
            yield from _notes(inner, (*where, key))


def _refuse_doubles(lock: Lock, path: Path) -> None:
    """Refuse a requirements file that two entries name: each would overwrite what the other entry locked."""
    seen: dict[str, LockPath] = {}
    for where, entry in requirements_files(lock).items():
        if entry.file in seen:
            raise InputError(
                f"{paths.shown(path)}: {'.'.join(seen[entry.file])} and {'.'.join(where)} both name {entry.file}."
                " Give each its own file."
            )
        seen[entry.file] = where


def _refuse_missing_entries(lock: Lock, path: Path) -> None:
    """Refuse a lock that lacks an entry which the kit itself, or another entry, refers to."""
    tables: dict[str, Mapping[str, object]] = {
        "tools": lock.tools,
        "requirements": lock.requirements,
        "stacks": lock.stacks,
    }
    for table, name in (
        ("tools", "buildah"),
        ("requirements", "build"),
        ("requirements", "build38"),
        ("stacks", "cpu"),
    ):
        if name not in tables[table]:
            raise InputError(f"{paths.shown(path)}: {table} has no {name!r}. Restore it with `git checkout`.")
    for name, stack in lock.stacks.items():
        if stack.torch is not None and "torch" not in stack.packages:
            raise InputError(f"{paths.shown(path)}: stacks.{name} has a file for torch, and no torch in packages.")
    for name in lock.built:
        if name not in lock.stacks:
            raise InputError(f"{paths.shown(path)}: built has {name!r}, which is no entry of stacks.")
    for name, stack in lock.stacks.items():
        for product, source in stack.sources.items():
            if source not in lock.sources:
                raise InputError(
                    f"{paths.shown(path)}: {name} builds {product} from {source!r}, which is no entry of sources."
                )


def need(value: str, what: str) -> str:
    """Return a pin; ``what`` names the pin in the message. Raises ``UnresolvedPin`` that says how to resolve the pin."""
    if value == UNRESOLVED:
        raise UnresolvedPin(
            f"{what} is unresolved in versions.lock. Run `python -m runner lock` where the network reaches its source."
        )
    return value


def _tool(fields: Fields) -> str:
    version: str = fields.form("version", _VERSION)
    return _finish(fields, version)


def _requirements(fields: Fields, python: str | None = None) -> RequirementsFile:
    file = fields.form("file", patterns.REQUIREMENTS_FILE)
    if paths.leads_outside(file, paths.ROOT):
        raise fields.fail(
            "file", f"{file} is a link that leads out of the repository, where nothing is read or written."
        )
    return _finish(
        fields,
        RequirementsFile(
            file=file,
            exclude_newer=fields.form("exclude_newer", patterns.DATE),
            sha256=fields.form("sha256", _SHA256),
            python=python or fields.form("python", patterns.PYTHON),
            index=fields.form("index", patterns.INDEX_URL, None),
        ),
    )


def _stack(fields: Fields) -> PinnedStack:
    python = fields.form("python", patterns.PYTHON)
    host = fields.fields("host")
    driver, firmware = host.form("driver", _VERSION), host.form("firmware", _VERSION)
    _finish(host, None)
    return _finish(
        fields,
        PinnedStack(
            device=fields.choice("device", DEVICES),
            python=python,
            launcher=fields.choice("launcher", LAUNCHERS),
            engine=fields.choice("engine", ENGINES),
            image=_image(fields.fields("image")),
            interpreter=_image(fields.fields("interpreter")) if fields.take("interpreter", dict, None) else None,
            requirements=_requirements(fields.fields("requirements"), python),
            torch=_requirements(fields.fields("torch"), python) if fields.take("torch", dict, None) else None,
            packages={name: _package(entry) for name, entry in fields.each("packages", patterns.PACKAGE)},
            programs={name: _program(entry) for name, entry in fields.each("programs", patterns.PACKAGE)}
            if fields.take("programs", dict, None)
            else {},
            driver=driver,
            firmware=firmware,
            platform=fields.form("platform", patterns.PLATFORM, None),
        ),
    )


def _image(fields: Fields) -> PinnedImage:
    repository, tag = fields.form("repository", patterns.REPOSITORY), fields.form("tag", patterns.TAG)
    digest, platform = (fields.form(key, _DIGEST) for key in ("digest", "platform"))
    inventory, tags = fields.form("inventory", _SHA256, None), fields.form("tags", patterns.TAGS, None)
    return _finish(fields, PinnedImage(repository, tag, digest, platform, inventory, tags))


def _package(fields: Fields) -> PinnedPackage:
    origin = fields.choice("from", _ORIGINS)
    package = PinnedPackage(
        version=fields.form("version", _VERSION),
        origin=origin,
        sha256=fields.form("sha256", _SHA256, None) if origin in ("index", "source") else None,
        source=fields.form("source", patterns.ROW) if origin == "source" else None,
        hold=fields.form("hold", patterns.VERSIONS, None),
    )
    return _finish(fields, package)


def _program(fields: Fields) -> PinnedProgram:
    version = fields.form("version", _VERSION)
    return _finish(
        fields, PinnedProgram(version, fields.form("source", patterns.ROW), fields.form("license", patterns.LICENSE))
    )


def _repository(fields: Fields) -> PinnedRepository:
    revision = fields.form("revision", _COMMIT)
    value = fields.take("files", (str, dict), UNRESOLVED)
    hashes = None
    if isinstance(value, dict):
        entries = fields.fields("files")
        hashes = {name: entries.form(name, patterns.LOCKED_SHA256) for name in entries.keys(patterns.FILE_PATH)}
    elif value != UNRESOLVED:
        raise fields.fail("files", f"'files' must be a mapping of names to sha256, or unresolved; {value!r} was found.")
    repository = fields.form("repository", patterns.HUB_REPOSITORY)
    return _finish(
        fields, PinnedRepository(repository, revision, fields.form("short", patterns.SHORT_COMMIT, None), hashes)
    )


def _source(fields: Fields) -> PinnedSource:
    repository, branch = fields.form("repository", patterns.GIT_URL), fields.form("branch", patterns.BRANCH, None)
    commit, tree = (fields.form(key, _COMMIT) for key in ("commit", "tree"))
    tag, tags = fields.form("tag", patterns.BRANCH, None), fields.form("tags", patterns.TAGS, None)
    return _finish(fields, PinnedSource(repository, commit, tree, branch, tag, tags))


def _action(fields: Fields) -> PinnedAction:
    return _finish(fields, PinnedAction(fields.form("version", patterns.TAG), fields.form("commit", _COMMIT)))


def _pushed(fields: Fields) -> PushedImage:
    return _finish(
        fields,
        PushedImage(
            repository=fields.form("repository", patterns.REPOSITORY),
            digest=fields.form("digest", patterns.LOCKED_DIGEST),
            inputs=fields.form("inputs", patterns.LOCKED_SHA256),
        ),
    )


def _finish(fields: Fields, value: T) -> T:
    """Return an entry that was read, after its note and the end of its fields were checked."""
    fields.form("note", patterns.TEXT, None)
    fields.done()
    return value
