"""Name the rows of a lock that `bump` can move, and say why the others stay. Nothing here reaches a network.

A row is one pin with a name: ``cpu/transformers``, ``cuda/image``, ``tools/uv``, ``actions/actions/checkout``. A kept stack is never moved,
since results are compared with it: each stack that a published claim names, and each Gaudi stack. A new release stands beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from runner.contract.errors import UsageError
from runner.contract.text import printable
from runner.host.readers import catalog
from runner.host.readers.catalog import Claim
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedStack

# The kinds of rows, in the order of the lock.
RowKind = Literal["tools", "requirements", "packages", "images", "models", "datasets", "sources", "actions"]
KINDS: tuple[RowKind, ...] = (
    "tools",
    "requirements",
    "packages",
    "images",
    "models",
    "datasets",
    "sources",
    "actions",
)

# The tools that no package index serves: a distribution does.
PROGRAMS = ("buildah",)


@dataclass(frozen=True)
class Row:
    """A pin that can be bumped.

    ``where`` leads to the pin's entry in the lock, such as ``("stacks", "cpu", "packages", "torch")``; a tool, a requirements file and
    each other entry of a table alike. ``current`` is what the lock pins now, as people say it: a version, a tag, a day or a commit.
    """

    name: str
    kind: RowKind
    where: LockPath
    current: str

    @property
    def stack(self) -> str | None:
        """The stack that the row belongs to, None for a row that belongs to no stack."""
        return self.where[1] if self.where[0] == "stacks" else None


def of_lock(lock: Lock) -> list[Row]:
    """Return the rows of a lock that can be bumped, in the order of the lock. Rows of kept stacks are not among them.

    Raises ``InputError`` where the catalog of claims cannot be read.
    """
    return _movable(lock, catalog.read().claims)


def named(lock: Lock, name: str) -> list[Row]:
    """Return the rows that a name means: one row, or a bare package name's rows in all stacks that are not kept.

    Raises ``UsageError`` for a name that is none, with the nearest names, and for a pin that is never moved, with what to do instead.
    """
    claims = catalog.read().claims
    rows = _movable(lock, claims)
    found = [row for row in rows if row.name == name]
    if not found and "/" not in name:
        found = [row for row in rows if row.kind == "packages" and row.where[-1] == name]
    if not found:
        raise UsageError(_why_none(lock, name, rows, claims))
    return found


def is_kept(lock: Lock, stack: str) -> bool:
    """Return whether a stack is never moved. Raises ``InputError`` where the catalog of claims cannot be read."""
    return why_kept(lock, stack) is not None


def why_kept(lock: Lock, stack: str, claims: Mapping[str, Claim] | None = None) -> str | None:
    """Return the sentence that says why a stack is never moved and what to do instead, None for a stack that may be moved.

    ``claims`` are those of the catalog unless they are given. Raises ``InputError`` where the catalog cannot be read.
    """
    ledger = catalog.read().claims if claims is None else claims
    instead = f"Add a stack beside it: `python -m runner bump NEWSTACK --like {stack}`."
    claim = next((name for name, row in ledger.items() if row.stack == stack), None)
    if claim is not None:
        return f"{stack} is kept: the published claim {claim} names it, and results are compared with it. {instead}"
    if lock.stacks[stack].device == "hpu":
        return f"{stack} is kept: a Gaudi stack is one release of SynapseAI, whose parts belong together. {instead}"
    return None


def _movable(lock: Lock, claims: Mapping[str, Claim]) -> list[Row]:
    """Return the rows that can be bumped, in the order of the lock."""
    kept = {name for name in lock.stacks if why_kept(lock, name, claims) is not None}
    kept_sources = _kept_sources(lock, claims)
    rows = [row for row in _all(lock) if row.stack not in kept and _follows(lock, row)]
    return [row for row in rows if row.kind != "sources" or row.where[1] not in kept_sources]


def _kept_sources(lock: Lock, claims: Mapping[str, Claim]) -> dict[str, str]:
    """Return each source that a kept stack is built from, with the name of such a stack."""
    return {
        source: name
        for name, stack in lock.stacks.items()
        if why_kept(lock, name, claims) is not None
        for source in stack.sources.values()
    }


def _all(lock: Lock) -> Iterator[Row]:
    """Yield every pin that has the name of a row, kept or not, in the order of the lock."""
    for name, version in lock.tools.items():
        if name not in PROGRAMS:
            yield Row(f"tools/{name}", "tools", ("tools", name), version)
    for name, entry in lock.requirements.items():
        yield Row(f"requirements/{name}", "requirements", ("requirements", name), entry.exclude_newer)
    for name, stack in lock.stacks.items():
        yield from _of_stack(name, stack)
    for name, pin in lock.models.items():
        yield Row(f"models/{name}", "models", ("models", name), _revision(pin.revision, pin.short))
    for name, pin in lock.datasets.items():
        yield Row(f"datasets/{name}", "datasets", ("datasets", name), _revision(pin.revision, pin.short))
    for name, source in lock.sources.items():
        yield Row(f"sources/{name}", "sources", ("sources", name), source.tag or source.commit)
    for name, action in lock.actions.items():
        yield Row(f"actions/{name}", "actions", ("actions", name), action.version)


def _of_stack(name: str, stack: PinnedStack) -> Iterator[Row]:
    yield Row(f"{name}/image", "images", ("stacks", name, "image"), stack.image.tag)
    if stack.interpreter is not None:
        yield Row(f"{name}/interpreter", "images", ("stacks", name, "interpreter"), stack.interpreter.tag)
    for package, pin in stack.packages.items():
        if pin.origin == "index":
            yield Row(f"{name}/{package}", "packages", ("stacks", name, "packages", package), pin.version)


def _revision(revision: str, short: str | None) -> str:
    """Return what is known of a revision: its beginning where the whole is unresolved."""
    return short if revision == UNRESOLVED and short is not None else revision


def _follows(lock: Lock, row: Row) -> bool:
    """Return whether anything can follow a pin: a source without a branch and without a pattern of tags is the record of one commit."""
    if row.kind != "sources":
        return True
    source = lock.sources[row.where[1]]
    return source.branch is not None or source.tags is not None


def _why_none(lock: Lock, name: str, rows: list[Row], claims: Mapping[str, Claim]) -> str:
    """Return the sentence that says why a name means no row, and which name to take."""
    shown = printable(name, 100)
    table, _, rest = name.partition("/")
    sources = _kept_sources(lock, claims)
    if table in lock.stacks:
        kept = why_kept(lock, table, claims)
        if kept is not None:
            return kept
        package = lock.stacks[table].packages.get(rest)
        if package is not None and package.origin == "base":
            return f"{shown} comes with the base image. Bump {table}/image."
        if package is not None and package.source is not None:
            return f"{shown} is built from a source. Bump sources/{package.source}."
        if not rest:
            return f"{shown} is a stack, and `bump` moves rows of it: {_list(row.name for row in rows if row.stack == table)}."
    if table == "sources" and rest in sources:
        return f"{shown} is kept: the kept stack {sources[rest]} is built from it. Add a source beside it in versions.lock."
    if table == "sources" and rest in lock.sources:
        return (
            f"{shown} is the record of one commit. Give it `branch` or `tags` in versions.lock, if a later commit may"
            " follow."
        )
    if table == "tools" and rest in PROGRAMS:
        return (
            f"{shown} is on no package index. Install another version of it, and write that version into versions.lock."
        )
    in_kept = [
        stack
        for stack, pinned in lock.stacks.items()
        if name in pinned.packages and why_kept(lock, stack, claims) is not None
    ]
    if in_kept:
        return f"{shown} is a package of kept stacks alone ({', '.join(in_kept)}), which are never moved."
    names = [row.name for row in rows]
    bare = {row.where[-1]: row.where[-1] for row in rows if row.kind == "packages"}
    ends = {row.name.partition("/")[2]: row.name for row in rows}
    known = {**{row: row for row in names}, **ends, **bare}
    near = [known[word] for word in difflib.get_close_matches(name, known, n=5, cutoff=0.6)]
    if near:
        return f"versions.lock has no row {shown}. The nearest are {_list(dict.fromkeys(near))}."
    return f"versions.lock has no row {shown}. `python -m runner bump` lists the rows that have something newer."


def _list(names: Iterator[str] | Mapping[str, None]) -> str:
    return ", ".join(names)
