"""Make trees between base and head: the base with some moved pins taken from the head, whole, consistent and locked by hash.

What can be taken separately is a *part*. Each package that both sides lock in another version is a part, whether it has a row of its own in
versions.lock or stands in a compiled file only. Packages that one side alone has come with the part that demands them, and are none. uv
compiles each file of a tree between from the pins that were chosen, with every other package held where it stands on both sides. Where
uv finds no solution, it is asked once more and may move the other parts: those that it moves are needed by the part. Parts that need each
other are one part. All else that differs and acts on a measurement (the kit's own code, a model's revision, what does not come from an
index) is one part more.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement as Requested
from packaging.utils import canonicalize_name
from packaging.version import Version

from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.progress import Show
from runner.contract.requirements import Requirement
from runner.host import writing
from runner.host.pins import compilation, uv
from runner.host.readers import lock_editor, lockfile, strictyaml
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedPackage, RequirementsFile
from runner.host.stacks import agreement, requirements
from tools.bump_check.search import Space

LOCK = "versions.lock"

# The part that is no package.
REST = "everything else of the tree"

# What of a tree acts on a measurement beside its locked packages.
_CODE = "runner"
_IMAGES = "images"
_TABLES = ("models", "datasets", "sources")
_STACK_VALUES = ("device", "python", "launcher", "engine", "platform")
_IMAGE_VALUES = ("image", "interpreter", "programs")

# What a tree's programs leave in it.
_LEFT = shutil.ignore_patterns("build", "results", "__pycache__", ".venv")

_Chosen = frozenset[str]


@dataclass(frozen=True)
class _Side:
    """A tree and what its lock says."""

    tree: Path
    content: bytes
    document: strictyaml.Mapping
    lock: Lock

    @classmethod
    def of(cls, tree: Path) -> _Side:
        """Return the side of a tree. Raises ``InputError`` where this version of the kit cannot read the tree's lock."""
        content = files.read_bytes(tree / LOCK, strictyaml.MAX_BYTES)
        document = strictyaml.loads(content, str(tree / LOCK))
        assert isinstance(document, strictyaml.Mapping)
        return cls(tree, content, document, lockfile.parse(document, tree / LOCK))

    def pins(self, entry: RequirementsFile) -> dict[str, tuple[Requirement, ...]]:
        """Return package to its requirements of a compiled file: one for each marker."""
        found: dict[str, tuple[Requirement, ...]] = {}
        for pin in requirements.read(agreement.text_of(entry, self.tree), entry.file):
            found[pin.name] = (*found.get(pin.name, ()), pin)
        return found


@dataclass(frozen=True)
class _File:
    """A compiled file of both sides: its place in the lock, and package to requirements on each side."""

    where: LockPath
    base: dict[str, tuple[Requirement, ...]]
    head: dict[str, tuple[Requirement, ...]]

    def differing(self) -> _Chosen:
        """Return the packages that both sides have in this file, and in other versions or for other targets."""
        return frozenset(
            name for name in self.base.keys() & self.head.keys() if _differs(self.base[name], self.head[name])
        )


@dataclass(frozen=True)
class Part:
    """What can be taken from the head separately: ``packages`` that only go together, or the rest. ``name`` is said to people."""

    name: str
    packages: _Chosen


class Between:
    """The trees between two trees, for the stacks that are measured."""

    def __init__(self, base: Path, head: Path, stacks: Sequence[str], show: Show, in_images: bool = False) -> None:
        """Find the parts and what each needs, which asks the index by uv. ``in_images`` says that base images act too.

        Raises ``InputError`` for trees whose locks have other rows or files than each other, and ``Unreachable``.
        """
        self._base, self._head = _Side.of(base), _Side.of(head)
        self._stacks, self._in_images = tuple(stacks), in_images
        self._files = self._common_files()
        self._contradictions = {
            problem for side in (self._base, self._head) for problem in agreement.problems(side.lock, side.tree)
        }
        moved = self._moved()
        needs: dict[str, _Chosen] = {}
        for number, package in enumerate(sorted(moved), start=1):
            show(f"asking uv which pins {package} needs from the head ({number} of {len(moved)})")
            try:
                needs[package] = self._closed(frozenset({package}))
            # the head alone is known to be whole
            except InputError:
                needs[package] = moved
        self.parts, self.space = _space(needs, self._has_rest(), self._name)

    def make(self, names: Sequence[str], folder: Path) -> Path:
        """Return the tree that has the named parts from the head, made below ``folder``.

        Raises ``InputError`` where uv finds no solution, or where the tree would contradict itself in another way than the two sides do.
        """
        chosen = frozenset(package for name in names for package in self.parts[name].packages)
        source = self._head if REST in names else self._base
        lock = self._lock_of(source, chosen)
        texts = {
            file.where: self._text(file, chosen, lock, frozenset())
            if file.differing()
            else _text_of(source, file.where)
            for file in self._files
        }
        for stack in self._stacks:
            where: LockPath = ("stacks", stack, "torch")
            if lock.stacks[stack].torch is not None:
                texts[where] = _text_of(self._of_torch(stack, source, chosen), where)
        content = self._edited(source, chosen, texts)
        # two trees may have one lock and other code
        made_of = [REST.encode() if source is self._head else b"", content]
        name = hashlib.sha256(b"\0".join([*made_of, *(texts[where].encode() for where in sorted(texts))])).hexdigest()
        tree = folder / name[:40]
        if not tree.is_dir():
            making = folder / f".making-{name[:40]}"
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(source.tree, making, symlinks=True, ignore=_LEFT)
            for where, text in texts.items():
                writing.write_text(making / _entries(lock)[where].file, text)
            writing.write_text(making / LOCK, content.decode("utf-8"))
            self._refuse_contradictions(making)
            making.rename(tree)
        return tree

    def _common_files(self) -> tuple[_File, ...]:
        """Return the compiled files that the measured stacks and the kit's own environment are installed from."""
        own = [("requirements", name) for name in agreement.TOGETHER] if "cpu" in self._stacks else []
        entries = [_entries(side.lock) for side in (self._base, self._head)]
        wanted: list[LockPath] = [*(("stacks", stack, "requirements") for stack in self._stacks), *own]
        for where in wanted:
            if any((where in each) != (where in entries[0]) for each in entries):
                raise InputError(
                    f"{'.'.join(where)} stands in one of the two locks only. Trees between them cannot be made."
                )
        return tuple(
            _File(where, self._base.pins(entries[0][where]), self._head.pins(entries[1][where]))
            for where in wanted
            if where in entries[0]
        )

    def _moved(self) -> _Chosen:
        """Return the packages that differ, of all files, and torch where its row differs."""
        moved = frozenset(name for file in self._files for name in file.differing())
        for stack in self._stacks:
            rows = [set(side.lock.stacks[stack].packages) for side in (self._base, self._head)]
            if rows[0] != rows[1]:
                odd = ", ".join(sorted(rows[0] ^ rows[1]))
                raise InputError(
                    f"The stack {stack} has a row for {odd} in one of the two locks only. Trees between them cannot be made:"
                    " compare base and head alone."
                )
            moved |= frozenset(name for name in self._differing_rows(stack) if self._is_from_index(stack, name))
        return moved

    def _differing_rows(self, stack: str) -> list[str]:
        sides = [side.lock.stacks[stack].packages for side in (self._base, self._head)]
        return [
            name for name in sides[0] if name in sides[1] and _identity(sides[0][name]) != _identity(sides[1][name])
        ]

    def _is_from_index(self, stack: str, package: str) -> bool:
        """Return whether both sides take a package from an index: others come with the base image or a source."""
        return all(side.lock.stacks[stack].packages[package].origin == "index" for side in (self._base, self._head))

    def _has_rest(self) -> bool:
        """Return whether the trees differ in more that acts on a measurement."""
        documents = (self._base.document, self._head.document)
        if any(documents[0].get(table) != documents[1].get(table) for table in _TABLES):
            return True
        for stack in self._stacks:
            rows = [_mapping(document, ("stacks", stack)) for document in documents]
            values = (*_STACK_VALUES, *(_IMAGE_VALUES if self._in_images else ()))
            if any(rows[0].get(value) != rows[1].get(value) for value in values):
                return True
            if not all(self._is_from_index(stack, name) for name in self._differing_rows(stack)):
                return True
            if self._torch_file_alone(stack):
                return True
        # a file that gained or lost packages while no other moved was compiled from another edited file
        if any(not file.differing() and file.base.keys() != file.head.keys() for file in self._files):
            return True
        trees = (self._base.tree, self._head.tree)
        if self._in_images and _recipes(trees[0]) != _recipes(trees[1]):
            return True
        return _bytes_below(trees[0] / _CODE) != _bytes_below(trees[1] / _CODE)

    def _torch_file_alone(self, stack: str) -> bool:
        """Return whether the file of a stack's torch holds something else on the two sides, and torch itself did not move."""
        where: LockPath = ("stacks", stack, "torch")
        # the environment of the stack cpu takes torch by version alone, and images take it from the file
        if stack == "cpu" and not self._in_images:
            return False
        if "torch" in self._differing_rows(stack) or any(side.lock.stacks[stack].torch is None for side in self._sides):
            return False
        pins = [requirements.read(_text_of(side, where)) for side in self._sides]
        return pins[0] != pins[1]

    def _of_torch(self, stack: str, source: _Side, chosen: _Chosen) -> _Side:
        """Return the side whose file of torch a tree has: torch's own where torch moved, else that of the tree's rest."""
        if "torch" not in self._differing_rows(stack):
            return source
        return self._head if "torch" in chosen else self._base

    @property
    def _sides(self) -> tuple[_Side, _Side]:
        return self._base, self._head

    def _name(self, package: str) -> str:
        """Return the name of a package's row, or the package's own name where no row has it."""
        stack = next((stack for stack in self._stacks if package in self._base.lock.stacks[stack].packages), None)
        return f"{stack}/{package}" if stack else package

    def _closed(self, chosen: _Chosen) -> _Chosen:
        """Return packages with those that must come from the head with them. Raises ``InputError`` where no tree at all has them."""
        while True:
            lock = self._lock_of(self._base, chosen)
            more = next(filter(None, (self._needed_by(file, chosen, lock) for file in self._files)), frozenset())
            if not more:
                return chosen
            chosen |= more

    def _needed_by(self, file: _File, chosen: _Chosen, lock: Lock) -> _Chosen:
        """Return the packages that uv moves with ``chosen`` where it may move the other parts; none where it need not."""
        try:
            self._text(file, chosen, lock, frozenset())
        except InputError:
            free = file.differing() - chosen
            if not free:
                raise
            compiled = _by_name(requirements.read(self._text(file, chosen, lock, free)))
            return frozenset(name for name in free if name in compiled and _differs(compiled[name], file.base[name]))
        return frozenset()

    def _text(self, file: _File, chosen: _Chosen, lock: Lock, free: _Chosen) -> str:
        """Return the text of a file in which ``chosen`` stand as in the head, and the others as in the base.

        uv may move the ``free`` packages between the versions of the two sides. Raises ``InputError`` where there is no solution.
        """
        differing = file.differing()
        of_head = differing & chosen
        if not free and not (of_head and differing - of_head):
            # nothing was mixed: one side's file as it is
            return _text_of(self._head if of_head else self._base, file.where)
        entry = _entries(lock)[file.where]
        asked = self._compilation(file, chosen, lock)
        mixed = {**file.head, **file.base, **{name: file.head[name] for name in of_head}}
        names = [_range(file, _project(line)) if _project(line) in free else line for line in asked.names]
        bounds = [
            line
            for name, pins in mixed.items()
            for line in ([_range(file, name)] if name in free else map(_line, pins))
        ]
        return uv.compile_file(
            Path(entry.file),
            entry.python,
            self._day(file),
            names,
            bounds,
            asked.source,
            asked.platform,
            excluded=asked.excluded,
            index=entry.index,
            before="".join(pin.text for name in sorted(mixed) for pin in mixed[name]),
        )

    def _compilation(self, file: _File, chosen: _Chosen, lock: Lock) -> compilation.Compilation:
        """Return the question to uv about a file of a tree between."""
        table, name, *_ = file.where
        if table == "stacks":
            return compilation.of_stack(name, lock.stacks[name])
        sides = [_edited_lines(side.tree / "requirements" / f"{name}.in") for side in (self._base, self._head)]
        mixed = {**sides[0], **{package: line for package, line in sides[1].items() if package in chosen}}
        return compilation.Compilation(lock.requirements[name], tuple(mixed.values()), (), f"requirements/{name}.in")

    def _lock_of(self, source: _Side, chosen: _Chosen) -> Lock:
        """Return what the lock of a tree between says of its rows; the hashes of its files are not known yet."""
        content = self._edited(source, chosen, {})
        path = source.tree / LOCK
        return lockfile.parse(strictyaml.loads(content, str(path)), path)

    def _edited(self, source: _Side, chosen: _Chosen, texts: Mapping[LockPath, str]) -> bytes:
        """Return the lock of ``source`` with the base's rows, the head's rows of ``chosen``, and the hashes of the ``texts`` of files."""
        path = source.tree / LOCK
        changes: dict[LockPath, str] = {}
        for stack in self._stacks:
            rows: list[tuple[str, LockPath, tuple[str, ...]]] = [
                (package, ("stacks", stack, "packages", package), ("version", "sha256"))
                for package in source.lock.stacks[stack].packages
                if self._is_from_index(stack, package)
            ]
            if source.lock.stacks[stack].torch is not None:
                rows.append(("torch", ("stacks", stack, "torch"), ("sha256", "exclude_newer")))
            for package, row, keys in rows:
                side = self._head if package in chosen else self._base
                if row == ("stacks", stack, "torch"):
                    side = self._of_torch(stack, source, chosen)
                places: list[LockPath] = [(*row, key) for key in keys]
                there = lock_editor.written_values(source.content, places, path)
                values = lock_editor.written_values(side.content, places, path)
                changes.update({place: value for place, value in values.items() if place in there})
        for file in self._files:
            if file.where in texts:
                day, sha256 = ((*file.where, key) for key in ("exclude_newer", "sha256"))
                changes[day] = self._day(file, texts[file.where])
                changes[sha256] = hashlib.sha256(texts[file.where].encode("utf-8")).hexdigest()
        return lock_editor.edited(source.content, changes, path)

    def _day(self, file: _File, text: str | None = None) -> str:
        """Return the newest day of a file's packages: of the side whose ``text`` it is, else the later one, since both sides' are in it."""
        days = {}
        for side in (self._base, self._head):
            entry = _entries(side.lock)[file.where]
            days[agreement.text_of(entry, side.tree)] = entry.exclude_newer
        return days.get(text or "", max(days.values()))

    def _refuse_contradictions(self, tree: Path) -> None:
        """Raise ``InputError`` for a tree that contradicts itself where neither side does."""
        lock = _Side.of(tree).lock
        for entry in lockfile.requirements_files(lock).values():
            if entry.sha256 != UNRESOLVED:
                agreement.locked_text(entry, tree)
        new = [problem for problem in agreement.problems(lock, tree) if problem not in self._contradictions]
        if new:
            raise InputError(f"A tree between base and head contradicts itself: {'; '.join(new)}.")


def _space(needs: dict[str, _Chosen], has_rest: bool, name_of: Callable[[str], str]) -> tuple[dict[str, Part], Space]:
    """Return the parts by their names, and the space of the search: packages that need each other are one part."""
    whole = {package: _transitive(package, needs) for package in needs}
    groups = {frozenset(other for other in whole[package] if package in whole[other]) for package in whole}
    # rows first
    names = {
        group: " with ".join(sorted(map(name_of, group), key=lambda name: ("/" not in name, name))) for group in groups
    }
    parts = {names[group]: Part(names[group], group) for group in groups}
    of_package = {package: names[group] for group in groups for package in group}
    needed = {
        names[group]: frozenset(of_package[other] for package in group for other in whole[package]) for group in groups
    }
    # what a part needs is less than what it needs in all, so it stands earlier
    order = sorted(parts, key=lambda name: (len(needed[name]), name))
    if has_rest:
        parts[REST] = Part(REST, frozenset())
        needed[REST] = frozenset({REST})
        order.append(REST)
    return parts, Space(tuple(order), needed)


def _identity(pin: PinnedPackage) -> tuple[str, str | None, str | None]:
    return pin.version, pin.sha256, pin.source


def _transitive(package: str, needs: dict[str, _Chosen]) -> _Chosen:
    found: _Chosen = frozenset({package})
    while True:
        more = found.union(*(needs.get(one, frozenset()) for one in found))
        if more == found:
            return found
        found = more


def _entries(lock: Lock) -> dict[LockPath, RequirementsFile]:
    return lockfile.requirements_files(lock)


def _text_of(side: _Side, where: LockPath) -> str:
    """Return the text of a side's requirements file."""
    return agreement.text_of(_entries(side.lock)[where], side.tree)


def _recipes(tree: Path) -> dict[str, bytes]:
    """Return what images are built from beside the compiled files, which are told package by package."""
    return {name: content for name, content in _bytes_below(tree / _IMAGES).items() if not name.endswith(".txt")}


def _by_name(pins: Iterable[Requirement]) -> dict[str, tuple[Requirement, ...]]:
    found: dict[str, tuple[Requirement, ...]] = {}
    for pin in pins:
        found[pin.name] = (*found.get(pin.name, ()), pin)
    return found


def _differs(one: Sequence[Requirement], other: Sequence[Requirement]) -> bool:
    """Return whether the requirements of a package differ in a version or in the targets that they serve."""
    return {(pin.version, pin.marker) for pin in one} != {(pin.version, pin.marker) for pin in other}


def _line(pin: Requirement) -> str:
    return f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "")


def _range(file: _File, name: str) -> str:
    """Return the line that lets a package move between the versions of both sides."""
    versions = sorted({pin.version for pins in (file.base, file.head) for pin in pins.get(name, ())}, key=Version)
    return f"{name}>={versions[0]},<={versions[-1]}"


def _project(line: str) -> str:
    """Return the package that a requirement line names."""
    return str(canonicalize_name(Requested(line).name))


def _edited_lines(path: Path) -> dict[str, str]:
    """Return package to requirement line of a file that people edit. Raises ``InputError`` where it cannot be read."""
    text = files.read_bytes(path, agreement.MAX_BYTES).decode("utf-8", errors="replace")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {_project(line): line for line in lines if line}


def _mapping(document: strictyaml.Value, keys: LockPath) -> strictyaml.Mapping:
    value = document
    for key in keys:
        assert isinstance(value, strictyaml.Mapping)
        value = value[key]
    assert isinstance(value, strictyaml.Mapping)
    return value


def _bytes_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
