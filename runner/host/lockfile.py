"""Read versions.lock into values, and change single values in place without touching comments or order."""

import re
from dataclasses import dataclass
from pathlib import Path

from runner.contract.errors import InputError, UnresolvedPin
from runner.contract.fields import Fields
from runner.contract.request import DEVICES, ENGINES, LAUNCHERS
from runner.host import paths, strictyaml

UNRESOLVED = "unresolved"

_SHA256 = re.compile(r"[0-9a-f]{64}|unresolved")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|unresolved")
_COMMIT = re.compile(r"[0-9a-f]{40}|unresolved")
_VERSION = re.compile(r"[0-9][0-9a-zA-Z.+!-]*|unresolved")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PYTHON = re.compile(r"3\.[0-9]+")
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
    top = Fields(strictyaml.read(path), paths.shown(path))
    if top.text("schema") != "1":
        raise InputError(f"{paths.shown(path)} has another schema than 1. Use the version of the kit that wrote it.")
    lock = Lock(
        tools={name: _tool(entry) for name, entry in top.each("tools")},
        requirements={name: _requirements(entry) for name, entry in top.each("requirements")},
        stacks={name: _stack(entry) for name, entry in top.each("stacks")},
        models={name: _pinned(entry) for name, entry in top.each("models")},
        datasets={name: _pinned(entry) for name, entry in top.each("datasets")},
        sources={name: _source(entry) for name, entry in top.each("sources")},
        built={name: _built(entry) for name, entry in top.each("built")},
    )
    top.done()
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
    The file is read back before it replaces the old one, so that a lock is never left unreadable. Returns whether
    anything changed.
    """
    text = path.read_text(encoding="utf-8")
    document = strictyaml.loads(text.encode(), paths.shown(path))
    spans = []
    for keys, value in changes.items():
        mapping = document
        for key in keys[:-1]:
            mapping = mapping[key]
        spans.append((*mapping.spans[keys[-1]], value))
    before = text
    for start, end, value in sorted(spans, reverse=True):
        text = text[:start] + value + text[end:]
    if text == before:
        return False
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    try:
        read(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _tool(fields):
    version = fields.pattern("version", _VERSION, "a version")
    return _finish(fields, version)


def _requirements(fields, python=None):
    return _finish(
        fields,
        Requirements(
            file=fields.text("file"),
            exclude_newer=fields.pattern("exclude_newer", _DATE, "a day such as 2023-06-15"),
            sha256=fields.pattern("sha256", _SHA256, "a sha256 in hex or unresolved"),
            python=python or fields.pattern("python", _PYTHON, "a Python such as 3.8"),
            index=fields.text("index", None),
        ),
    )


def _stack(fields):
    python = fields.pattern("python", _PYTHON, "a Python such as 3.8")
    host = fields.fields("host")
    driver, firmware = host.text("driver"), host.text("firmware")
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
            packages={name: _package(entry) for name, entry in fields.each("packages")},
            programs={name: _program(entry) for name, entry in fields.each("programs")}
            if fields.take("programs", dict, None)
            else {},
            driver=driver,
            firmware=firmware,
        ),
    )


def _image(fields):
    digest, platform = (
        fields.pattern(key, _DIGEST, "sha256: and 64 hex digits, or unresolved") for key in ("digest", "platform")
    )
    inventory = fields.pattern("inventory", _SHA256, "a sha256 in hex or unresolved", None)
    return _finish(fields, Image(fields.text("repository"), fields.text("tag"), digest, platform, inventory))


def _package(fields):
    origin = fields.choice("from", _ORIGINS)
    package = Package(
        version=fields.pattern("version", _VERSION, "a version or unresolved"),
        origin=origin,
        sha256=fields.pattern("sha256", _SHA256, "a sha256 in hex or unresolved", None)
        if origin in ("index", "source")
        else None,
        source=fields.text("source") if origin == "source" else None,
    )
    return _finish(fields, package)


def _program(fields):
    version = fields.pattern("version", _VERSION, "a version or unresolved")
    return _finish(fields, Program(version, fields.text("source"), fields.text("license")))


def _pinned(fields):
    revision = fields.pattern("revision", _COMMIT, "40 hex digits or unresolved")
    files = fields.take("files", (str, dict), UNRESOLVED)
    if isinstance(files, dict):
        entries = fields.fields("files")
        files = {name: entries.pattern(name, _SHA256, "a sha256 in hex") for name in entries.keys()}
    elif files != UNRESOLVED:
        raise fields.fail("files", f"'files' must be a mapping of names to sha256, or unresolved; {files!r} was found.")
    known = None if files == UNRESOLVED else files
    return _finish(fields, Pinned(fields.text("repository"), revision, fields.text("short", None), known))


def _source(fields):
    commit, tree = (fields.pattern(key, _COMMIT, "40 hex digits or unresolved") for key in ("commit", "tree"))
    return _finish(fields, Source(fields.text("repository"), commit, tree, fields.text("branch", None)))


def _built(fields):
    return _finish(
        fields,
        Built(
            repository=fields.text("repository"),
            digest=fields.pattern("digest", re.compile(r"sha256:[0-9a-f]{64}"), "sha256: and 64 hex digits"),
            inputs=fields.pattern("inputs", re.compile(r"[0-9a-f]{64}"), "a sha256 in hex"),
        ),
    )


def _finish(fields, value):
    fields.text("note", None)
    fields.done()
    return value
