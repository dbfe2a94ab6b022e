"""Read versions.lock into values, and change single values in place without touching comments or order."""

import copy
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.contract import files, patterns
from runner.contract.errors import InputError, UnresolvedPin
from runner.contract.fields import Fields
from runner.contract.request import DEVICES, ENGINES, LAUNCHERS
from runner.host import paths, writing
from runner.host.readers import strictyaml

UNRESOLVED = patterns.UNRESOLVED

_SHA256 = patterns.LOCKED_SHA256.or_unresolved()
_DIGEST = patterns.LOCKED_DIGEST.or_unresolved()
_COMMIT = patterns.LOCKED_COMMIT.or_unresolved()
_VERSION = patterns.VERSION.or_unresolved()
_ORIGINS = ("index", "base", "source")


@dataclass(frozen=True)
class Requirements:
    """One hash-locked requirements file: for which Python, from packages not newer than which day, its own sha256.

    ``index`` is where its packages come from; None is the user's own index.
    """

    file: str
    exclude_newer: str
    sha256: str
    python: str
    index: str | None


@dataclass(frozen=True)
class Image:
    """A base image. ``digest`` is what its tag named, ``platform`` the manifest of linux/amd64 in it, or the same digest.

    ``inventory`` is the sha256 of the list of its Python packages, of one whose packages a stack uses.
    """

    repository: str
    tag: str
    digest: str
    platform: str
    inventory: str | None

    @property
    def reference(self):
        """The image by the most exact digest that is known."""
        return f"{self.repository}@{self.digest if self.platform == UNRESOLVED else self.platform}"


@dataclass(frozen=True)
class Package:
    """A direct dependency. ``origin``: ``index``, ``base`` (the image brings it) or ``source`` (built from a pinned commit).

    ``sha256`` is that of its one file on the index, or of the wheel that an image's build makes of the source.
    """

    version: str
    origin: str
    sha256: str | None
    source: str | None


@dataclass(frozen=True)
class Program:
    """What an image holds beside its Python packages, compiled from ``source``; ``license`` is its SPDX identifier."""

    version: str
    source: str
    license: str


@dataclass(frozen=True)
class Stack:
    """``engine`` is how a BLOOM is run on it unless a case or the user says otherwise; ``firmware`` is that of Gaudi2.

    ``interpreter`` is the image that brings Python where ``image`` has none. ``torch`` locks the index's torch and what it
    brings, for images; None where the base image brings it.
    """

    device: str
    python: str
    launcher: str
    engine: str
    image: Image
    interpreter: Image | None
    requirements: Requirements
    torch: Requirements | None
    packages: dict[str, Package]
    programs: dict[str, Program]
    driver: str
    firmware: str

    @property
    def sources(self) -> dict[str, str]:
        """The source of each package and program that an image's build makes of one."""
        pins: dict[str, Package | Program] = {**self.packages, **self.programs}
        return {name: pin.source for name, pin in pins.items() if pin.source is not None}


@dataclass(frozen=True)
class Pinned:
    """A model or dataset repository and its revision; ``short`` is what is known of an unresolved one.

    ``files`` maps a model's large files to their sha256; None while unresolved, and for datasets.
    """

    repository: str
    revision: str
    short: str | None
    files: dict[str, str] | None


@dataclass(frozen=True)
class Source:
    """A git repository, its commit, and the hash of that commit's tree; ``branch`` is where an unresolved commit is looked for."""

    repository: str
    commit: str
    tree: str
    branch: str | None


@dataclass(frozen=True)
class Built:
    """The image of a stack as it was pushed: ``inputs`` is the sha256 of everything that it was built from."""

    repository: str
    digest: str
    inputs: str

    @property
    def reference(self):
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Lock:
    tools: dict[str, str]
    requirements: dict[str, Requirements]
    stacks: dict[str, Stack]
    models: dict[str, Pinned]
    datasets: dict[str, Pinned]
    sources: dict[str, Source]
    built: dict[str, Built]


def read(path: Path = paths.LOCK) -> Lock:
    """Read the lock. Raises ``InputError`` naming file, line and what mends it."""
    return parse(strictyaml.read(path), path)


def parse(document: dict, path: Path) -> Lock:
    """Return the lock that a document of strict YAML holds; ``path`` names the document in messages."""
    top = Fields(document, paths.shown(path))
    if top.text("schema") != "1":
        raise InputError(f"{paths.shown(path)} has another schema than 1. Use the version of the kit that wrote it.")
    lock = Lock(
        tools={name: _tool(entry) for name, entry in top.each("tools", patterns.PACKAGE)},
        requirements={name: _requirements(entry) for name, entry in top.each("requirements")},
        stacks={name: _stack(entry) for name, entry in top.each("stacks", patterns.NAME)},
        models={name: _pinned(entry) for name, entry in top.each("models", patterns.NAME)},
        datasets={name: _pinned(entry) for name, entry in top.each("datasets")},
        sources={name: _source(entry) for name, entry in top.each("sources")},
        built={name: _built(entry) for name, entry in top.each("built", patterns.NAME)},
    )
    top.done()
    _refuse_doubles(lock, path)
    for table, needed in (
        ("tools", "buildah"),
        ("requirements", "build"),
        ("requirements", "build38"),
        ("stacks", "cpu"),
    ):
        if needed not in getattr(lock, table):
            raise InputError(f"{paths.shown(path)}: {table} has no {needed!r}. Restore it with `git checkout`.")
    for name, stack in lock.stacks.items():
        if stack.torch is not None and "torch" not in stack.packages:
            raise InputError(f"{paths.shown(path)}: stacks.{name} has a file for torch, and no torch in packages.")
    for name in lock.built:
        if name not in lock.stacks:
            raise InputError(f"{paths.shown(path)}: built has {name!r}, which is no entry of stacks.")
    for name, stack in lock.stacks.items():
        for built, source in stack.sources.items():
            if source not in lock.sources:
                raise InputError(
                    f"{paths.shown(path)}: {name} builds {built} from {source!r}, which is no entry of sources."
                )
    return lock


def requirements_files(lock: Lock) -> dict[tuple[str, ...], Requirements]:
    """Return every requirements file by its path in the lock."""
    own: dict[tuple[str, ...], Requirements] = {
        ("requirements", name): entry for name, entry in lock.requirements.items()
    }
    for name, stack in lock.stacks.items():
        own["stacks", name, "requirements"] = stack.requirements
        if stack.torch is not None:
            own["stacks", name, "torch"] = stack.torch
    return own


def _refuse_doubles(lock: Lock, path: Path) -> None:
    """Refuse a requirements file that two entries name: each would overwrite what the other one locked."""
    seen: dict[str, tuple[str, ...]] = {}
    for where, entry in requirements_files(lock).items():
        if entry.file in seen:
            raise InputError(
                f"{paths.shown(path)}: {'.'.join(seen[entry.file])} and {'.'.join(where)} both name {entry.file}."
                " Give each its own file."
            )
        seen[entry.file] = where


def need(value: str, what: str) -> str:
    """Return a pin, or raise ``UnresolvedPin`` that says how to resolve it."""
    if value == UNRESOLVED:
        raise UnresolvedPin(
            f"{what} is unresolved in versions.lock. Run `python -m runner lock` where the network reaches its source."
        )
    return value


def edit(path: Path, changes: dict[tuple[str, ...], str]) -> bool:
    """Replace values in place: scalars, and mappings in braces.

    Keys of ``changes`` are paths such as ``("stacks", "cpu", "image", "digest")``.
    Another writer's change in between is kept, and the new text is read before it replaces the old one, so that a lock is
    never left unreadable; a value that would change more than its own place is refused. Returns whether anything changed.
    Raises ``InputError`` where the lock has no such place.
    """
    with writing.alone(path):
        before = files.read_bytes(path, strictyaml.MAX_BYTES, advice="Restore it with `git checkout`.")
        document = strictyaml.loads(before, paths.shown(path))
        text = before.decode("utf-8")
        spans = []
        for keys, value in changes.items():
            *above, last = keys
            try:
                mapping = functools.reduce(lambda part, key: part[key], above, document)
                spans.append((*mapping.spans[last], value))
            except (KeyError, TypeError, AttributeError):
                raise InputError(
                    f"{paths.shown(path)} has no value of {'.'.join(keys)} on one line. Add the line, or restore the file"
                    " with `git checkout`."
                ) from None
        for start, end, value in sorted(spans, reverse=True):
            text = text[:start] + value + text[end:]
        if text.encode() == before:
            return False
        after = strictyaml.loads(text.encode(), paths.shown(path))
        parse(after, path)
        if _without(after, changes) != _without(document, changes):
            raise InputError(
                f"{paths.shown(path)} was not written: a value would have changed more than its own place."
            )
        writing.write_text(path, text)
    return True


def _without(document: dict, changes: Iterable[tuple[str, ...]]) -> dict:
    """Return a copy of a document without the values that change."""
    kept = copy.deepcopy(document)
    for *above, last in changes:
        part = functools.reduce(lambda part, key: part.get(key, {}), above, kept)
        part.pop(last, None)
    return kept


def _tool(fields):
    version = fields.form("version", _VERSION)
    return _finish(fields, version)


def _requirements(fields, python=None):
    file = fields.form("file", patterns.REQUIREMENTS_FILE)
    if paths.leads_outside(file, paths.ROOT):
        raise fields.fail(
            "file", f"{file} is a link that leads out of the repository, where nothing is read or written."
        )
    return _finish(
        fields,
        Requirements(
            file=file,
            exclude_newer=fields.form("exclude_newer", patterns.DATE),
            sha256=fields.form("sha256", _SHA256),
            python=python or fields.form("python", patterns.PYTHON),
            index=fields.form("index", patterns.INDEX_URL, None),
        ),
    )


def _stack(fields):
    python = fields.form("python", patterns.PYTHON)
    host = fields.fields("host")
    driver, firmware = host.form("driver", _VERSION), host.form("firmware", _VERSION)
    _finish(host, None)
    return _finish(
        fields,
        Stack(
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
        ),
    )


def _image(fields):
    repository, tag = fields.form("repository", patterns.REPOSITORY), fields.form("tag", patterns.TAG)
    digest, platform = (fields.form(key, _DIGEST) for key in ("digest", "platform"))
    return _finish(fields, Image(repository, tag, digest, platform, fields.form("inventory", _SHA256, None)))


def _package(fields):
    origin = fields.choice("from", _ORIGINS)
    package = Package(
        version=fields.form("version", _VERSION),
        origin=origin,
        sha256=fields.form("sha256", _SHA256, None) if origin in ("index", "source") else None,
        source=fields.form("source", patterns.ROW) if origin == "source" else None,
    )
    return _finish(fields, package)


def _program(fields):
    version = fields.form("version", _VERSION)
    return _finish(
        fields, Program(version, fields.form("source", patterns.ROW), fields.form("license", patterns.LICENSE))
    )


def _pinned(fields):
    revision = fields.form("revision", _COMMIT)
    found = fields.take("files", (str, dict), UNRESOLVED)
    known = None
    if isinstance(found, dict):
        entries = fields.fields("files")
        known = {name: entries.form(name, patterns.LOCKED_SHA256) for name in entries.keys(patterns.FILE_PATH)}
    elif found != UNRESOLVED:
        raise fields.fail("files", f"'files' must be a mapping of names to sha256, or unresolved; {found!r} was found.")
    repository = fields.form("repository", patterns.HUB_REPOSITORY)
    return _finish(fields, Pinned(repository, revision, fields.form("short", patterns.SHORT_COMMIT, None), known))


def _source(fields):
    repository, branch = fields.form("repository", patterns.GIT_URL), fields.form("branch", patterns.BRANCH, None)
    return _finish(fields, Source(repository, fields.form("commit", _COMMIT), fields.form("tree", _COMMIT), branch))


def _built(fields):
    return _finish(
        fields,
        Built(
            repository=fields.form("repository", patterns.REPOSITORY),
            digest=fields.form("digest", patterns.LOCKED_DIGEST),
            inputs=fields.form("inputs", patterns.LOCKED_SHA256),
        ),
    )


def _finish(fields, value):
    fields.form("note", patterns.TEXT, None)
    fields.done()
    return value
