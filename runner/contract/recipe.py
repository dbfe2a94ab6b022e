"""The recipe of a stack that is installed in a pod: what is downloaded, what is installed, and what is still unknown.

The host writes a recipe from versions.lock; the verbs ``packages`` and ``install`` read the recipe in a pod. What an image's build
writes of the same facts is made by the same functions here.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Mapping, Sequence

from runner.contract import patterns, strictjson
from runner.contract.errors import UnresolvedPin
from runner.contract.fields import Fields
from runner.contract.records import JsonObject

# The recipe's own file in its folder, and the requirements of pip and wheel beside it.
NAME, TOOLS = "recipe.json", "tools.txt"

# Text of info/attributes in a git folder. There it outranks each .gitattributes of a commit and of this host, by which `git archive`
# would leave files out or change them, so that they are not those of the commit's tree. Source: gitattributes(5).
PLAIN_ATTRIBUTES = "* -export-ignore -export-subst -text -ident -filter !working-tree-encoding\n"

_SHA256 = patterns.LOCKED_SHA256.or_unresolved()
_COMMIT = patterns.LOCKED_COMMIT.or_unresolved()


@dataclass(frozen=True)
class LockedFile:
    """A requirements file by its path below the kit, with its sha256. ``index`` is where its packages come from; None: pip's own."""

    file: str
    sha256: str
    index: str | None


@dataclass(frozen=True)
class GitSource:
    """A commit that a package or program is built from. ``wheel_sha256`` is what its wheel must be; None for a program."""

    repository: str
    commit: str
    tree: str
    wheel_sha256: str | None


@dataclass(frozen=True)
class Recipe:
    """All that a stack is installed from.

    ``python`` is the Python that the stack is locked for; with ``exact_python`` no newer one serves. ``tools_sha256`` is the hash of
    ``TOOLS``. ``source_only`` names packages that have no wheel. ``sources`` maps packages and programs to their commits. ``programs`` are
    compiled, each by a script of its name. ``install_arguments`` are those of install.sh. ``base_inventory`` is the sha256 of the
    list of the base's packages, "unresolved", or None where the stack uses none. ``unresolved`` names each pin that is still open.
    """

    stack: str
    python: str
    exact_python: bool
    tools_sha256: str
    torch: LockedFile | None
    requirements: LockedFile
    source_only: list[str]
    sources: dict[str, GitSource]
    programs: list[str]
    install_arguments: list[str]
    base_inventory: str | None
    unresolved: list[str]

    @classmethod
    def from_json(cls, value: object, where: str) -> Recipe:
        """Return the recipe that a JSON value holds. Raises ``InputError`` for a key or value that a recipe cannot have."""
        fields = Fields(value, where)
        recipe = cls(
            stack=fields.form("stack", patterns.NAME),
            python=fields.form("python", patterns.PYTHON),
            exact_python=fields.flag("exact_python"),
            tools_sha256=fields.form("tools_sha256", patterns.LOCKED_SHA256),
            torch=fields.optional(_locked_file_under, "torch"),
            requirements=_locked_file(fields.fields("requirements")),
            source_only=fields.forms("source_only", patterns.PACKAGE),
            sources={name: _source(entry) for name, entry in fields.each("sources", patterns.PACKAGE)},
            programs=fields.forms("programs", patterns.PACKAGE),
            install_arguments=fields.texts("install_arguments"),
            base_inventory=fields.form("base_inventory", _SHA256, None),
            unresolved=fields.texts("unresolved"),
        )
        fields.done()
        return recipe

    def to_json(self) -> JsonObject:
        """Return the recipe as a JSON object."""
        return asdict(self)

    def text(self) -> str:
        """Return the text of the recipe's file."""
        return strictjson.pretty(self.to_json())

    @property
    def folder(self) -> str:
        """The name of the folder on the volume that holds the stack's packages; another recipe has another name."""
        return f"{self.stack}-{hashlib.sha256(self.text().encode()).hexdigest()[:12]}"

    @property
    def files(self) -> list[LockedFile]:
        """The requirements files of the stack's packages, in the order of their installation."""
        return [file for file in (self.torch, self.requirements) if file is not None]

    def refuse_unresolved(self) -> None:
        """Raise ``UnresolvedPin`` where a pin is still open, with all such pins."""
        if self.unresolved:
            verb = "is" if len(self.unresolved) == 1 else "are"
            raise UnresolvedPin(
                f"{' and '.join(self.unresolved)} {verb} unresolved in versions.lock, so the stack {self.stack} cannot be"
                " installed. Run `python -m runner lock` where the network reaches the source, and render and apply the"
                " manifests again."
            )


def read(folder: str) -> Recipe:
    """Return the recipe in a folder. Raises ``InputError`` where there is none, or where it is no recipe."""
    path = os.path.join(folder, NAME)
    return Recipe.from_json(strictjson.read(path), path)


def serves(python: str, locked: str, exact: bool) -> bool:
    """Return whether a Python such as 3.12.1 serves a stack that is locked for ``locked``, such as 3.10."""
    offered, wanted = ([int(part) for part in version.split(".")[:2]] for version in (python, locked))
    return offered == wanted if exact else offered >= wanted


def git_text(sources: Mapping[str, GitSource], epochs: Mapping[str, int]) -> str:
    """Return git.txt of install.sh: the packages that are built from git; ``epochs`` are the times of their commits in Unix seconds."""
    return "".join(
        f"{name} {source.commit} {epochs[name]} {source.wheel_sha256}\n"
        for name, source in sorted(sources.items())
        if source.wheel_sha256 is not None
    )


def programs_text(programs: Sequence[str]) -> str:
    """Return programs.txt of install.sh: the programs that are compiled."""
    return "".join(f"{name}\n" for name in programs)


def inventory_text(listing: Mapping[str, object]) -> str:
    """Return base.json: the list of a base's packages, whose sha256 the lock keeps."""
    return json.dumps(listing, indent=1, sort_keys=True) + "\n"


def is_pinned(pin: str, inventory: str) -> bool:
    """Return whether the text of base.json is the one that the lock pins by its sha256, or the lock leaves the pin open."""
    return pin in (patterns.UNRESOLVED, hashlib.sha256(inventory.encode()).hexdigest())


def _locked_file(fields: Fields) -> LockedFile:
    locked = LockedFile(
        file=fields.form("file", patterns.REQUIREMENTS_FILE),
        sha256=fields.form("sha256", patterns.LOCKED_SHA256),
        index=fields.form("index", patterns.INDEX_URL, None),
    )
    fields.done()
    return locked


def _locked_file_under(fields: Fields, key: str) -> LockedFile:
    return _locked_file(fields.fields(key))


def _source(fields: Fields) -> GitSource:
    source = GitSource(
        repository=fields.form("repository", patterns.GIT_URL),
        commit=fields.form("commit", _COMMIT),
        tree=fields.form("tree", _COMMIT),
        wheel_sha256=fields.form("wheel_sha256", _SHA256, None),
    )
    fields.done()
    return source
