"""Plan how pins of the lock move to other values, with all that depends on them. Nothing here reaches a network or writes a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from runner.contract import files, patterns, secrets
from runner.contract.errors import UsageError
from runner.contract.patterns import Form
from runner.host import paths
from runner.host.bump import changelog, selection
from runner.host.bump.recipe import File, Note, Plan
from runner.host.bump.rows import Row, RowKind
from runner.host.pins import compilation
from runner.host.readers import lock_editor, lockfile, strictyaml, yaml_editor
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedSource
from runner.host.stacks import agreement, requirements

# The keys of an entry that tell people what it pins, the most telling first.
_TELLING = ("version", "tag", "branch", "revision", "commit")

# What a pin of each kind can move to.
FORMS: dict[RowKind, Form] = {
    "tools": patterns.VERSION,
    "requirements": patterns.DATE,
    "packages": patterns.VERSION,
    "images": patterns.TAG,
    "models": patterns.LOCKED_COMMIT,
    "datasets": patterns.LOCKED_COMMIT,
    "sources": patterns.BRANCH,
    "actions": patterns.TAG,
}

# What happened to an entry whose value did not move to a known one, by whether it is a requirements file.
_MADE = {True: "compiled anew", False: "set to unresolved"}

# A note that a bump wrote: what moved, and what a person wrote of an earlier value. A later bump leaves out all bumps between.
_NOTE = re.compile(
    r"(?:moved by bump from (?P<moved>\S+)|compiled anew by bump|set to unresolved by bump)"
    r'(?:(?:(?P<whose>, whose note was)|; the note of (?P<of>\S+) was|; of what stood there before the note was) "(?P<note>.*)")?'
)


@dataclass(frozen=True)
class Target:
    """A row, what it moves to, and the day on which that was released; the day is None where nobody asked for it."""

    row: Row
    to: str
    day: str | None


@dataclass(frozen=True)
class Edits:
    """What a move changes in the lock.

    ``values`` are new values; the notes beside them speak of the old ones. ``opened`` are values that origins tell, ``compiled`` the places
    of requirements files to compile, the first ones of all: those that they bound follow. ``fresh`` are those of them whose other
    versions do not stay. ``noted`` are more entries whose notes speak of what moves. ``to_read`` says what no program can do.
    """

    values: Mapping[LockPath, str]
    opened: frozenset[LockPath] = frozenset()
    compiled: tuple[LockPath, ...] = ()
    fresh: frozenset[LockPath] = frozenset()
    noted: tuple[LockPath, ...] = ()
    to_read: tuple[str, ...] = ()


def refuse_target(lock: Lock, row: Row, to: str) -> None:
    """Raise ``UsageError`` for a value that a row cannot have, that it has already, or that the row's ``hold`` forbids."""
    if secrets.mask(to) != to:
        raise UsageError(
            "--to looks like a secret, and versions.lock is a file in clear text. Name what the row moves to."
        )
    problem = patterns.problem(FORMS[row.kind], to)
    if problem is not None:
        raise UsageError(f"--to {problem}. {row.name} is {row.current} now.")
    if row.kind == "sources":
        source = lock.sources[row.where[1]]
        if _is_by_tag(source) and source.tag is None:
            raise UsageError(
                f"{row.name} follows tags, and its row does not say which tag it has. Add `tag` to versions.lock."
            )
        if _is_by_tag(source) and patterns.LOCKED_COMMIT.fullmatch(to):
            raise UsageError(f"{row.name} follows tags, and {to} is a commit. Name a tag with --to.")
    # a tag may name another image or commit than it did
    if to == row.current and row.kind not in ("images", "sources"):
        raise UsageError(
            f"{row.name} is {row.current} already. Name another one, or leave --to out to take the newest."
        )
    if row.kind == "packages":
        assert row.stack is not None
        hold = lock.stacks[row.stack].packages[row.where[-1]].hold
        if not selection.is_within(hold, to):
            raise UsageError(
                f"{row.name} is held at {hold}, and {to} is outside of that; its note in versions.lock should say why. Take `hold` out"
                " of versions.lock, and commit that, if the reason no longer holds."
            )


def plan(lock: Lock, targets: Sequence[Target]) -> Plan:
    """Return the plan that moves rows of the lock.

    Raises ``UsageError`` as ``refuse_target`` does, ``InputError`` where the lock or a requirements file cannot be read.
    """
    for target in targets:
        refuse_target(lock, target.row, target.to)
    before = files.read_bytes(paths.LOCK, strictyaml.MAX_BYTES, advice="Restore it with `git checkout`.")
    document = strictyaml.loads(before, paths.shown(paths.LOCK))
    moves = [_MOVES[target.row.kind](lock, target) for target in targets]
    values: dict[LockPath, str] = {key: value for move in moves for key, value in move.values.items()}
    compiled = _with_bound(lock, [where for move in moves for where in move.compiled])
    days = [target.day for target in targets if target.day is not None]
    values.update(_of_compiled(lock, compiled, max(days, default=None)))
    values.update(_of_built(lock, [target.row for target in targets]))
    values = {keys: value for keys, value in values.items() if _has(document, keys)}
    moved = [keys[:-1] for move in moves for keys in move.values if keys in values]
    noted = [where for move in moves for where in move.noted]
    notes = {
        where: Note(note, _note(document, where, values, note)) for where, note in _notes(document, [*moved, *noted])
    }
    values.update({(*where, "note"): yaml_editor.scalar(note.after) for where, note in notes.items()})
    fresh = frozenset().union(*(move.fresh for move in moves))
    opened = frozenset().union(*(move.opened for move in moves))
    return Plan(
        what=_what(targets),
        writes={paths.LOCK: lock_editor.edited(before, values, paths.LOCK)},
        compiled=tuple(_file(lock, where, where in fresh, where in noted) for where in compiled),
        opened=frozenset(where for where in opened if where in values),
        notes=notes,
        to_read=tuple(dict.fromkeys(sentence for move in moves for sentence in move.to_read)),
        older=_older(targets),
    )


def _of_package(lock: Lock, target: Target) -> Edits:
    assert target.row.stack is not None
    where, name = target.row.where, target.row.stack
    stack = ("stacks", name)
    sha256 = (*where, "sha256")
    own, of_torch = (*stack, "requirements"), (*stack, "torch")
    compiled = [] if where[-1] == "torch" else [own]
    compiled += [of_torch] if lock.stacks[name].torch is not None else []
    return Edits(
        {(*where, "version"): target.to, sha256: UNRESOLVED},
        frozenset({sha256}),
        tuple(compiled),
        noted=(of_torch,) if where[-1] == "torch" else (),
    )


def _of_tool(lock: Lock, target: Target) -> Edits:
    name = target.row.where[1]
    compiled = [
        ("requirements", file)
        for file, entry in lock.requirements.items()
        # files for 3.8 are not bound by the tools of today
        if entry.python != "3.8" and name in requirements.hashes_by_version(agreement.text_of(entry, paths.ROOT))
    ]
    return Edits({(*target.row.where, "version"): target.to}, compiled=tuple(compiled))


def _of_requirements(_: Lock, target: Target) -> Edits:
    where = target.row.where
    return Edits({(*where, "exclude_newer"): target.to}, compiled=(where,), fresh=frozenset({where}))


def _of_image(lock: Lock, target: Target) -> Edits:
    assert target.row.stack is not None
    where = target.row.where
    opened = [(*where, part) for part in ("digest", "platform")]
    stack = lock.stacks[target.row.stack]
    values = {(*where, "tag"): target.to, **dict.fromkeys([*opened, (*where, "inventory")], UNRESOLVED)}
    if where[-1] == "image":
        # what the base brings is read from the base
        for package, pin in stack.packages.items():
            if pin.origin == "base":
                values["stacks", target.row.stack, "packages", package, "version"] = UNRESOLVED
    told = f"the Python and the C library of {target.to}: the lock says Python {stack.python}"
    told += f" and {stack.platform} of {target.row.stack}" if stack.platform else f" of {target.row.stack}"
    return Edits(values, frozenset(opened), to_read=(told,))


def _of_repository(lock: Lock, target: Target) -> Edits:
    where = target.row.where
    table = lock.models if target.row.kind == "models" else lock.datasets
    short, opened = table[where[1]].short, (*where, "files")
    values = {(*where, "revision"): target.to, opened: UNRESOLVED}
    if short is not None:
        values.update({(*where, "short"): target.to[: len(short)]})
    return Edits(values, frozenset({opened}))


def _of_source(lock: Lock, target: Target) -> Edits:
    where, source = target.row.where, lock.sources[target.row.where[1]]
    commit, tree = (*where, "commit"), (*where, "tree")
    values = {commit: UNRESOLVED, tree: UNRESOLVED}
    if patterns.LOCKED_COMMIT.fullmatch(target.to):
        values[commit] = target.to
    else:
        values.update({(*where, "tag" if _is_by_tag(source) else "branch"): target.to})
    read = []
    for name, stack in lock.stacks.items():
        for package, pin in stack.packages.items():
            if pin.source == where[1]:
                entry = ("stacks", name, "packages", package)
                values.update({(*entry, "version"): UNRESOLVED, (*entry, "sha256"): UNRESOLVED})
                read.append(f"the version of {package} in {name}, which {where[1]} names")
        for program, made in stack.programs.items():
            if made.source == where[1]:
                values["stacks", name, "programs", program, "version"] = UNRESOLVED
                read.append(f"the version of {program} in {name}, which {where[1]} names")
    return Edits(values, frozenset({commit, tree}), to_read=tuple(read))


def _of_action(_: Lock, target: Target) -> Edits:
    where, commit = target.row.where, (*target.row.where, "commit")
    return Edits({(*where, "version"): target.to, commit: UNRESOLVED}, frozenset({commit}))


_MOVES = {
    "tools": _of_tool,
    "requirements": _of_requirements,
    "packages": _of_package,
    "images": _of_image,
    "models": _of_repository,
    "datasets": _of_repository,
    "sources": _of_source,
    "actions": _of_action,
}


def _is_by_tag(source: PinnedSource) -> bool:
    return source.tag is not None or source.tags is not None


def _with_bound(lock: Lock, first: Sequence[LockPath]) -> list[LockPath]:
    """Return places of requirements files with those that they bound, in the order in which they are compiled."""
    wanted = set(first)
    for name, others in compilation.BOUND_BY.items():
        bounds = [("stacks", "cpu", "requirements") if other == "cpu" else ("requirements", other) for other in others]
        if name in lock.requirements and wanted.intersection(bounds):
            wanted.add(("requirements", name))
    # a stack's own file bounds that of its torch; the lock has both in this order, and the kit's own files behind them
    order = [where for where in lockfile.requirements_files(lock) if where[0] == "stacks"]
    order += [("requirements", name) for name in lock.requirements]
    return [where for where in order if where in wanted]


def _of_compiled(lock: Lock, compiled: Iterable[LockPath], day: str | None) -> dict[LockPath, str]:
    """Return what moves of files that are compiled: their sha256, and the newest day of their packages where it must be later."""
    entries = lockfile.requirements_files(lock)
    values: dict[LockPath, str] = {}
    for where in compiled:
        values.update({(*where, "sha256"): UNRESOLVED})
        if day is not None and day > entries[where].exclude_newer:
            values.update({(*where, "exclude_newer"): day})
    return values


def _of_built(lock: Lock, rows: Sequence[Row]) -> dict[LockPath, str]:
    """Return the images that were pushed, without those of stacks that move: they hold what was pinned before."""
    stacks = {row.stack for row in rows}
    if stacks.isdisjoint(lock.built):
        return {}
    stay = {
        name: lock_editor.in_braces({"repository": image.repository, "digest": image.digest, "inputs": image.inputs})
        for name, image in lock.built.items()
        if name not in stacks
    }
    return {("built",): lock_editor.in_braces(stay)}


def _file(lock: Lock, where: LockPath, is_fresh: bool, is_moved: bool) -> File:
    """Return a file to compile: ``is_fresh`` keeps no version, ``is_moved`` says that the torch of the file moves itself."""
    if is_fresh:
        return File(where, None)
    own = (*where[:2], "requirements")
    beside = _kept(lock, own) if where[-1] == "torch" and not is_moved else None
    return File(where, _kept(lock, where), beside)


def _kept(lock: Lock, where: LockPath) -> str | None:
    """Return the text of a requirements file, whose other versions stay; None where the lock pins no such text."""
    entry = lockfile.requirements_files(lock)[where]
    if entry.sha256 == UNRESOLVED or not (paths.ROOT / entry.file).exists():
        return None
    return agreement.locked_text(entry, paths.ROOT)


def _notes(document: strictyaml.Value, places: Iterable[LockPath]) -> Iterator[tuple[LockPath, str]]:
    """Yield each of these entries that has a note, with the note."""
    for where in dict.fromkeys(places):
        entry = _mapping(document, where)
        note = entry.get("note") if entry is not None else None
        if isinstance(note, str):
            yield where, note


def _note(document: strictyaml.Value, where: LockPath, values: Mapping[LockPath, str], note: str) -> str:
    """Return a note that stays true: what the pin was, and what a person wrote, with the value of which a person wrote it."""
    entry = _mapping(document, where)
    assert entry is not None
    was, is_moved = _was(entry, where, values)
    begin = f"moved by bump from {was}" if is_moved else f"{_MADE['file' in entry]} by bump"
    earlier = _NOTE.fullmatch(note)
    said: str | None = note
    of = was
    if earlier is not None:
        said, of = earlier["note"], earlier["moved"] if earlier["whose"] else earlier["of"]
    if said is None:
        return begin
    if of is None:
        link = "; of what stood there before the note was"
    else:
        link = ", whose note was" if is_moved and of == was else f"; the note of {of} was"
    whole = f'{begin}{link} "{said}"'
    return whole if patterns.TEXT.fullmatch(whole) else begin


def _was(entry: strictyaml.Mapping, where: LockPath, values: Mapping[LockPath, str]) -> tuple[str | None, bool]:
    """Return what an entry pinned that gets another value, None where nothing of it tells, and whether the new value is known."""
    for key in _TELLING:
        after = values.get((*where, key))
        if after is not None and entry[key] not in (after, UNRESOLVED):
            return str(entry[key]), after != UNRESOLVED
    return None, False


def _what(targets: Sequence[Target]) -> str:
    """Return what moved, in words: rows of one package together."""
    parts = []
    by_move: dict[tuple[str, str, str], list[Row]] = {}
    for target in targets:
        row = target.row
        subject = row.where[-1] if row.kind == "packages" else row.name
        by_move.setdefault((subject, row.current, target.to), []).append(row)
    for (subject, current, to), rows in by_move.items():
        stacks = [row.stack for row in rows if row.kind == "packages" and row.stack is not None]
        inside = f" in the stack{'s' if len(stacks) > 1 else ''} {changelog.listed(stacks)}" if stacks else ""
        # a tag may name another image or commit than it did
        moved = f"{current} to {to}" if current != to else f"{current} as it is now"
        parts.append(f"`{subject}` {moved}{inside}")
    return ", ".join(parts)


def _older(targets: Sequence[Target]) -> str:
    """Return which of the targets are older than what is locked, in words; empty where none is."""
    back = dict.fromkeys((one.to, one.row.current) for one in targets if _is_older(one.row, one.to))
    return ", ".join(f"{to} is older than the locked {current}" for to, current in back)


def _is_older(row: Row, to: str) -> bool:
    """Return whether a value is an older version, tag or day than a row has; commits tell no order, and other tags may not."""
    if row.kind == "requirements":
        return to < row.current
    if row.kind in ("models", "datasets"):
        return False
    try:
        return Version(to) < Version(row.current)
    except InvalidVersion:
        return False


def _mapping(document: strictyaml.Value, keys: LockPath) -> strictyaml.Mapping | None:
    """Return the mapping that keys lead to in a document, None where there is none."""
    value: strictyaml.Value | None = document
    for key in keys:
        value = value.get(key) if isinstance(value, strictyaml.Mapping) else None
    return value if isinstance(value, strictyaml.Mapping) else None


def _has(document: strictyaml.Value, keys: LockPath) -> bool:
    entry = _mapping(document, keys[:-1])
    return entry is not None and keys[-1] in entry
