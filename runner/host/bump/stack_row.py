"""Plan a new stack beside an old one: its row of the lock, its sources, its cases. Nothing here reaches a network or writes a file.

A value that was not given, and that belongs to the release of the old stack, is unresolved in the new row. A version of the package index
is a choice and no fact of a release, so it is copied, and the note beside it says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner.contract import files, patterns, secrets
from runner.contract.errors import InputError, UsageError
from runner.contract.patterns import Form
from runner.contract.request import ENGINES, LAUNCHERS
from runner.host import pairs, paths
from runner.host.bump import selection
from runner.host.bump.recipe import File, Plan
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles, strictyaml, yaml_editor
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedStack
from runner.host.readers.strictyaml import Mapping as Row
from runner.host.readers.strictyaml import Value
from runner.host.stacks import agreement

# The first words of names of rows, which no stack can have.
TABLES = ("tools", "requirements", "stacks", "models", "datasets", "sources", "actions", "built")

_VERSION = patterns.VERSION.or_unresolved()
_SHA256 = patterns.LOCKED_SHA256.or_unresolved()
_DIGEST = patterns.LOCKED_DIGEST.or_unresolved()
_COMMIT = patterns.LOCKED_COMMIT.or_unresolved()

_STACK: dict[str, Form] = {
    "python": patterns.PYTHON,
    "platform": patterns.PLATFORM,
    "launcher": patterns.NAME,
    "engine": patterns.NAME,
}
_WORDS = {"launcher": LAUNCHERS, "engine": ENGINES}
_IMAGE = {
    "repository": patterns.REPOSITORY,
    "tag": patterns.TAG,
    "tags": patterns.TAGS,
    "digest": _DIGEST,
    "platform": _DIGEST,
    "inventory": _SHA256,
}
_FILE = {"exclude_newer": patterns.DATE}
_TORCH_FILE = {**_FILE, "index": patterns.INDEX_URL}
_PACKAGE = {"version": _VERSION, "hold": patterns.VERSIONS}
_HOST = {"driver": _VERSION, "firmware": _VERSION}
_SOURCE = {
    "repository": patterns.GIT_URL,
    "branch": patterns.BRANCH,
    "tag": patterns.BRANCH,
    "tags": patterns.TAGS,
    "commit": _COMMIT,
    "tree": _COMMIT,
}


@dataclass(frozen=True)
class Given:
    """What a person gave of a new stack: its name, the stack that it is like, and values by their keys, such as image.tag."""

    name: str
    like: str
    values: Mapping[str, str]

    def of(self, *keys: str) -> str | None:
        """Return a value that was given, None for one that was not."""
        return self.values.get(".".join(keys))

    def any_of(self, *keys: str) -> bool:
        """Return whether any value below these keys was given."""
        begin = f"{'.'.join(keys)}."
        return any(key.startswith(begin) for key in self.values)

    def note(self, *keys: str) -> str:
        """Return the note of an entry: a true sentence about where its values come from."""
        if self.any_of(*keys):
            return "given to bump; where it was read is not written down yet"
        return f"copied from {self.like}; not read yet"

    @property
    def suffix(self) -> str:
        """What tells the new stack from the old one in names: 1.25 of gaudi-1.25 like gaudi-1.24, next of cuda-next like cuda."""
        family = self.like
        while family and not self.name.startswith(f"{family}-"):
            family = family.rpartition("-")[0]
        return self.name.removeprefix(f"{family}-") if family else self.name

    @property
    def old_suffix(self) -> str:
        """What tells the old stack from the new one in names; empty for a stack that is named after its family alone."""
        family = self.name.removesuffix(f"-{self.suffix}")
        return self.like.removeprefix(family).removeprefix("-") if self.like.startswith(family) else self.like


def read(lock: Lock, name: str, like: str, given: Sequence[str]) -> Given:
    """Return what was given of a new stack, each value of the form that the lock asks for.

    Raises ``UsageError`` for a name that cannot be or is there, an unknown stack, an unknown key and a value of another form.
    """
    problem = patterns.problem(patterns.NAME, secrets.mask(name))
    if problem is not None:
        raise UsageError(f"The name of a new stack {problem}.")
    if name in lock.stacks or name in TABLES:
        raise UsageError(
            f"{name} is {'a stack' if name in lock.stacks else 'a table'} of versions.lock. Choose another name."
        )
    if like not in lock.stacks:
        raise UsageError(
            f"--like: versions.lock has no stack {secrets.mask(like)[:100]!a}. Take one of {', '.join(lock.stacks)}."
        )
    values = pairs.read(given, "--set", "KEY=VALUE, such as image.tag=1.25.0-1", patterns.ROW, patterns.TEXT)
    known = forms(lock.stacks[like])
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"--set: a stack like {like} has no {secrets.mask(key)}. Known are {', '.join(known)}.")
        problem = patterns.problem(known[key], value)
        words = _WORDS.get(key)
        if problem is None and words is not None and value not in words:
            problem = f"must be one of {', '.join(sorted(words))}, {value!a} was found"
        if problem is not None:
            raise UsageError(f"--set {key} {problem}.")
    made = Given(name, like, values)
    if _is_a_release(lock.stacks[like]) and made.of("image", "tag") is None:
        raise UsageError(
            f"A stack like {like} is a release of its base image, which brings {', '.join(_of_base(lock.stacks[like]))}. Name it with"
            " --set image.tag=..., and --set image.repository=... where that differs."
        )
    for package, pin in lock.stacks[like].packages.items():
        hold, version = made.of("packages", package, "hold") or pin.hold, made.of("packages", package, "version")
        if version not in (None, UNRESOLVED) and not selection.is_within(hold, version or ""):
            raise UsageError(
                f"--set packages.{package}.version: {package} of {like} is held at {hold}, and {version} is outside of that. Name another"
                f" version, or another bound with --set packages.{package}.hold=..."
            )
    return made


def forms(stack: PinnedStack) -> dict[str, Form]:
    """Return the keys that a new stack like this one can be given, with the forms of their values."""
    known = dict(_STACK)
    known.update({f"image.{key}": form for key, form in _IMAGE.items()})
    if stack.interpreter is not None:
        known.update({f"interpreter.{key}": form for key, form in _IMAGE.items() if key != "inventory"})
    known.update({f"requirements.{key}": form for key, form in _FILE.items()})
    if stack.torch is not None:
        known.update({f"torch.{key}": form for key, form in _TORCH_FILE.items()})
    for package, pin in stack.packages.items():
        known.update({f"packages.{package}.{key}": form for key, form in _PACKAGE.items()})
        if pin.origin == "source":
            known.update({f"sources.{package}.{key}": form for key, form in _SOURCE.items()})
    known.update({f"host.{key}": form for key, form in _HOST.items()})
    return known


def given_versions(lock: Lock, given: Given) -> dict[str, str]:
    """Return the versions that were given of packages which an index serves, by package."""
    packages = lock.stacks[given.like].packages
    versions = {package: given.of("packages", package, "version") for package in packages}
    return {
        package: version
        for package, version in versions.items()
        if version not in (None, UNRESOLVED) and packages[package].origin == "index"
        if version is not None
    }


def plan(lock: Lock, given: Given, day: str | None = None) -> Plan:
    """Return the plan that adds a stack; ``day`` is the newest day on which a given version was released, None where nobody asked.

    Raises ``UsageError`` for a name of a case that cannot be, ``InputError`` where a file cannot be read or edited.
    """
    where = paths.shown(paths.LOCK)
    text = files.read_bytes(paths.LOCK, strictyaml.MAX_BYTES, advice="Restore it with `git checkout`.")
    document = strictyaml.loads(text, where)
    old = _entry(document, "stacks", given.like)
    text = yaml_editor.with_row(text, ("stacks",), given.like, given.name, _stack(lock, given, old, day), where)
    new_sources = {}
    for package, source in _new_sources(lock, given).items():
        was = lock.stacks[given.like].packages[package].source
        assert was is not None
        row = _source(given, package, _entry(document, "sources", was))
        text = yaml_editor.with_row(text, ("sources",), was, source, row, where)
        new_sources[source] = row
    made = lockfile.parse(strictyaml.loads(text, where), paths.LOCK)
    tables = catalogs.read()
    copies = dict(_copies(tables, given))
    stack = made.stacks[given.name]
    return Plan(
        what=f"the stack `{given.name}`, like `{given.like}`",
        writes={paths.LOCK: text, **_with_cases(given, copies), **_with_sets(tables, given, copies)},
        compiled=_compiled(lock, given, stack),
        opened=frozenset(_opened(given, stack, made, new_sources)),
        notes={},
        copied=tuple(copies.values()),
        to_read=tuple(_to_read(tables, given, stack, copies)),
        is_new=True,
        rows=(("stacks", given.name), *(("sources", source) for source in new_sources)),
    )


def _is_a_release(stack: PinnedStack) -> bool:
    """Return whether the base image makes a stack what it is: it brings packages, which nobody can choose."""
    return bool(_of_base(stack))


def _of_base(stack: PinnedStack) -> list[str]:
    return [package for package, pin in stack.packages.items() if pin.origin == "base"]


def _stack(lock: Lock, given: Given, old: Row, day: str | None) -> Row:
    """Return the row of the new stack, in the order of the old one's keys."""
    row: dict[str, Value] = {}
    for key in dict.fromkeys(["device", "python", "platform", *old]):
        value = old.get(key)
        if key in _STACK:
            told = given.of(key) or value
            if told is not None:
                row[key] = told
        elif key in ("image", "interpreter"):
            row[key] = _image(given, key, _row(value), _is_a_release(lock.stacks[given.like]))
        elif key in ("requirements", "torch"):
            row[key] = _file(given, key, _row(value), day)
        elif key == "packages":
            row[key] = yaml_editor.as_mapping(
                {package: _package(lock, given, package, _row(pin)) for package, pin in _row(value).items()}
            )
        elif key == "programs":
            row[key] = yaml_editor.as_mapping(
                {program: _noted(given, _row(pin), "programs", program) for program, pin in _row(value).items()}
            )
        elif key == "host":
            parts = {part: given.of("host", part) or UNRESOLVED for part in _HOST}
            row[key] = yaml_editor.as_mapping({**parts, "note": _note_of_unread(given, "host")})
        elif value is not None:
            row[key] = value
    return yaml_editor.as_mapping(row)


def _image(given: Given, key: str, old: Row, is_a_release: bool) -> Row:
    """Return a base image: what names it as given or as it was, and its digests where it is the same image."""
    is_same = not is_a_release and given.of(key, "tag") is None and given.of(key, "repository") is None
    row: dict[str, Value] = {}
    for part in dict.fromkeys(["repository", "tag", *(part for part in _IMAGE if part in old or given.of(key, part))]):
        told = given.of(key, part)
        copied = old.get(part, UNRESOLVED)
        # a pattern is of the tag beside it
        if part == "tags" and told is None and given.of(key, "tag") is not None:
            continue
        if part in ("digest", "platform", "inventory") and not is_same:
            copied = UNRESOLVED
        row[part] = told or copied
    return yaml_editor.as_mapping({**row, "note": given.note(key)})


def _file(given: Given, key: str, old: Row, day: str | None) -> Row:
    """Return a requirements file of the new stack, which nobody has compiled yet."""
    newest = given.of(key, "exclude_newer") or max(str(old["exclude_newer"]), day or "")
    row: dict[str, Value] = {
        **old,
        "file": _path(given, str(old["file"])),
        "exclude_newer": newest,
        "sha256": UNRESOLVED,
    }
    index = given.of(key, "index")
    if index is not None:
        row["index"] = index
    if "note" in row:
        row["note"] = given.note(key)
    return yaml_editor.as_mapping(row)


def _path(given: Given, old: str) -> str:
    """Return the path of a requirements file, named as the old one's."""
    path = PurePosixPath(old)
    stem = path.stem.removesuffix(f"-{given.like}")
    return str(path.with_name(f"{stem}-{given.name}.txt"))


def _package(lock: Lock, given: Given, package: str, old: Row) -> Row:
    """Return a package: its version as given, unresolved where it belongs to the release, else as it was."""
    pin = lock.stacks[given.like].packages[package]
    version = given.of("packages", package, "version") or (pin.version if pin.origin == "index" else UNRESOLVED)
    row: dict[str, Value] = {**old, "version": version}
    if "sha256" in row and (pin.origin == "source" or version != pin.version):
        row["sha256"] = UNRESOLVED
    if pin.origin == "source":
        row["source"] = _new_sources(lock, given)[package]
    hold = given.of("packages", package, "hold")
    if hold is not None:
        row["hold"] = hold
    row["note"] = (
        _note_of_unread(given, "packages", package) if version == UNRESOLVED else given.note("packages", package)
    )
    if hold is None and pin.hold is not None:
        row["note"] = f"{row['note']}; the note of {given.like} says why it is held"
    return yaml_editor.as_mapping(row)


def _noted(given: Given, old: Row, *keys: str) -> Row:
    return yaml_editor.as_mapping({**old, "note": given.note(*keys)})


def _note_of_unread(given: Given, *keys: str) -> str:
    """Return the note of an entry none of whose values is copied."""
    return given.note(*keys) if given.any_of(*keys) else "not read yet"


def _new_sources(lock: Lock, given: Given) -> dict[str, str]:
    """Return the source of each package that is built from one, named as the old one's with the new stack's end."""
    packages = lock.stacks[given.like].packages
    return {
        package: f"{re.sub(r'-[0-9][0-9.]*$', '', pin.source)}-{given.suffix}"
        for package, pin in packages.items()
        if pin.source is not None
    }


def _source(given: Given, package: str, old: Row) -> Row:
    """Return a source whose commit nobody has read yet, in the repository of the old one."""
    told = {key: given.of("sources", package, key) for key in _SOURCE}
    row: dict[str, Value] = {
        "repository": told["repository"] or old["repository"],
        "commit": told["commit"] or UNRESOLVED,
        "tree": told["tree"] or UNRESOLVED,
    }
    row.update({key: value for key in ("branch", "tag", "tags") if (value := told[key]) is not None})
    row["note"] = given.note("sources", package)
    return yaml_editor.as_mapping(row)


def _compiled(lock: Lock, given: Given, stack: PinnedStack) -> tuple[File, ...]:
    """Return the files to compile, each with the old stack's, whose versions stay; none where a version is unresolved."""
    if any(pin.origin == "index" and pin.version == UNRESOLVED for pin in stack.packages.values()):
        return ()
    old = lock.stacks[given.like]
    made = [File(("stacks", given.name, "requirements"), _kept(old.requirements))]
    if old.torch is not None:
        assert stack.torch is not None
        is_same = (old.python, old.platform, old.torch.index, old.packages["torch"].version) == (
            stack.python,
            stack.platform,
            stack.torch.index,
            stack.packages["torch"].version,
        )
        beside = _kept(old.requirements) if is_same else None
        made.append(File(("stacks", given.name, "torch"), _kept(old.torch), beside))
    return tuple(made)


def _kept(entry: lockfile.RequirementsFile) -> str | None:
    return None if entry.sha256 == UNRESOLVED else agreement.locked_text(entry, paths.ROOT)


def _opened(given: Given, stack: PinnedStack, lock: Lock, sources: Mapping[str, Row]) -> Iterator[LockPath]:
    """Yield the values of the new rows that an origin can tell."""
    begin = ("stacks", given.name)
    for key, image in (("image", stack.image), ("interpreter", stack.interpreter)):
        if image is not None and image.digest == UNRESOLVED:
            yield (*begin, key, "digest")
        if image is not None and image.platform == UNRESOLVED:
            yield (*begin, key, "platform")
    for package, pin in stack.packages.items():
        if pin.origin == "index" and pin.sha256 == UNRESOLVED and pin.version != UNRESOLVED:
            yield (*begin, "packages", package, "sha256")
    for name in sources:
        source = lock.sources[name]
        if source.commit == UNRESOLVED and (source.branch or source.tag):
            yield ("sources", name, "commit")
        if source.tree == UNRESOLVED and (source.branch or source.tag or source.commit != UNRESOLVED):
            yield ("sources", name, "tree")


def _copies(tables: Catalog, given: Given) -> Iterator[tuple[str, str]]:
    """Yield each case of the old stack with the name of its copy. Raises ``UsageError`` for a name that cannot be."""
    for name, case in tables.cases.items():
        if case.stack != given.like:
            continue
        begin = name.removesuffix(f"-{given.old_suffix}") if given.old_suffix else name
        copy = f"{begin}-{given.suffix}"
        problem = patterns.problem(patterns.NAME, copy)
        if problem is not None or copy in tables.cases:
            raise UsageError(
                f"The copy of the case {name} would be named {copy!a}, which {problem or 'is a case already'}. Choose another name for"
                " the stack."
            )
        yield name, copy


def _with_cases(given: Given, copies: Mapping[str, str]) -> dict[Path, bytes]:
    """Return the table of cases with the copies behind the last case of the old stack."""
    path = paths.CATALOG / "cases.yaml"
    text, where = _read(path)
    document = strictyaml.loads(text, where)
    after = list(copies)[-1] if copies else ""
    for name, copy in copies.items():
        row = yaml_editor.as_mapping({**_entry(document, "cases", name), "stack": given.name})
        text = yaml_editor.with_row(text, ("cases",), after, copy, row, where)
        after = copy
    return {path: text} if copies else {}


def _with_sets(tables: Catalog, given: Given, copies: Mapping[str, str]) -> dict[Path, bytes]:
    """Return the profiles with the copies in each set that has the old cases, and with the disk of the new stack's environment."""
    path = paths.CATALOG / "profiles.yaml"
    text, where = _read(path)
    table = profiles.read(tables)
    for name, manifest_set in table.sets.items():
        added = [copies[case] for case in manifest_set.cases if case in copies]
        if added:
            text = yaml_editor.with_items(text, ("sets", name, "cases"), added, where)
    if given.like in table.environments:
        disk = table.environments[given.like]
        text = yaml_editor.with_row(text, ("environments",), given.like, given.name, disk, where)
    return {path: text}


def _to_read(tables: Catalog, given: Given, stack: PinnedStack, copies: Mapping[str, str]) -> Iterator[str]:
    """Yield what no program can do for the new stack, with the sources to read."""
    yield (
        f"each note of {given.name} in versions.lock that says `not read yet` or `given to bump`: write where the value was read,"
        " or set the value to unresolved"
    )
    for protocol in dict.fromkeys(tables.cases[name].protocol for name in copies):
        yield (
            f"the protocol {protocol}, which the new cases keep: read the script of the new release where upstream keeps that of"
            f" runner/catalog/protocols.yaml, row {protocol}; if it times otherwise, add a row and name it in the new cases"
        )
    yield (
        f"the engine {stack.engine}: tests/bench/engines/test_engines.py holds variables, arguments and launcher of each series"
    )
    for key in ("python", "platform"):
        if given.of(key) is None and given.any_of("image"):
            yield f"{key} of {given.name}: it is copied from {given.like}, and the base image of {stack.image.tag} decides it"
    if given.of("python") is not None and not given.any_of("image") and not given.any_of("interpreter"):
        yield f"the base image {stack.image.tag} of {given.name}, copied from {given.like}: it must bring Python {stack.python}"
    for key in _HOST:
        if given.of("host", key) is None and _is_a_release(stack):
            yield f"host.{key} of {given.name}: the vendor's support matrix of the release has it"
    for package, source in stack.sources.items():
        if package in stack.packages and _is_without_commit(given, package):
            yield f"the commit of {source}, from which {package} is built: say `branch` or `tag` there, then `lock` resolves it"
    for name, unrun in tables.precisions.items():
        if given.like in unrun.offers:
            yield f"whether {given.name} can run {name}, as {given.like} can: runner/catalog/precisions.yaml"
    if stack.device == "hpu":
        yield (
            f"the stack without a Gaudi: `python -m tests.stacks {given.name} --compile`, then the names of stacks in tests/emulation"
            " (docs/adding-a-release.md)"
        )


def _is_without_commit(given: Given, package: str) -> bool:
    """Return whether nobody said where the commit of a package's source is found."""
    return all(given.of("sources", package, key) is None for key in ("branch", "tag", "commit"))


def _read(path: Path) -> tuple[bytes, str]:
    return files.read_bytes(path, strictyaml.MAX_BYTES, advice="Restore it with `git checkout`."), paths.shown(path)


def _entry(document: Value, *keys: str) -> Row:
    """Return the mapping at keys of a document that a reader has accepted."""
    value = document
    for key in keys:
        value = _row(value)[key]
    return _row(value)


def _row(value: Value | None) -> Row:
    if not isinstance(value, strictyaml.Mapping):
        raise InputError("A row of versions.lock is no mapping. Restore it with `git checkout`.")
    return value
