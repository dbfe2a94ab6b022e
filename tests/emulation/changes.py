"""What changed between two neighbouring releases of one chip's software: packages, tokens and calls. Never times.

Neighbours are the stacks of one device in the order of their releases. Packages are those that versions.lock pins; tokens and calls
are those that ran here under a stand-in for the chip. ``record`` is what docs/time-machine.json keeps, from which the page
docs/time-machine.md is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypedDict

from runner.contract import strictjson
from runner.contract.errors import InputError, Unreachable
from runner.contract.records import JsonObject
from runner.host import paths
from runner.host.readers import catalog, lockfile
from runner.host.stacks import requirements
from tests.emulation import calls, runs, table

SCHEMA = "1"
RECORD = paths.ROOT / "docs" / "time-machine.json"

# The CPU's own stack has no release before it; it is recorded with both of its engines.
OF_THE_CPU = (("cpu", "plain"), ("cpu", "compiled"))

TokensWord = Literal["equal", "other", "not comparable"]


class Pins(TypedDict):
    """The pins of a stack as versions.lock has them: the base image's tag, Python, and the version of each package of the row."""

    image: str
    python: str
    packages: dict[str, str]


class Stack(TypedDict):
    """A stack as it was recorded. ``revisions`` are the revisions of the post that name it. ``cannot`` says why it did not run.

    ``calls`` counts each kind of call of one generate; ``seen`` is all else that ran, as ``python -m tests.emulation.calls`` tells it,
    without the operators' order.
    """

    stack: str
    revisions: list[str]
    pins: Pins
    cannot: str | None
    seen: JsonObject | None
    calls: dict[str, int]


class Moved(TypedDict):
    """A pin that differs between two stacks; None where one of them has no such pin."""

    pin: str
    before: str | None
    after: str | None


class Others(TypedDict):
    """How many packages differ of those that the direct ones need: by version, and in one stack alone."""

    moved: int
    added: int
    removed: int


class Differences(TypedDict):
    """Kinds of calls that differ in one generate: name to how many times, and for those of both stacks to (before, after)."""

    added: dict[str, int]
    removed: dict[str, int]
    changed: dict[str, list[int]]


class Change(TypedDict):
    """What changed from one stack to its newer neighbour. ``tokens``, ``calls`` and ``generate`` are None where one of them did not run.

    ``generate`` is whether the device is asked for the same calls in the same order, with the same shapes.
    """

    before: str
    after: str
    packages: list[Moved]
    others: Others
    tokens: TokensWord | None
    generate: bool | None
    calls: Differences | None


class Record(TypedDict):
    """All that bench-stacks says of the stacks and of what changed between neighbours."""

    schema: str
    stacks: list[Stack]
    changes: list[Change]


def neighbours() -> list[tuple[str, str]]:
    """Return (older, newer) for each two neighbouring stacks of one device, those of Gaudi first, in the order of releases."""
    lock = lockfile.read()
    gaudi = sorted((name for name, stack in lock.stacks.items() if stack.device == "hpu"), key=runs.order)
    cuda = [name for name, stack in lock.stacks.items() if stack.device == "cuda"]
    return [*pairwise(gaudi), *pairwise(cuda)]


def pins_of(name: str) -> Pins:
    """Return the pins of a stack of versions.lock."""
    stack = lockfile.read().stacks[name]
    return {
        "image": stack.image.tag,
        "python": stack.python,
        "packages": {package: pin.version for package, pin in stack.packages.items()},
    }


def revisions_of(name: str) -> list[str]:
    """Return the revisions of the post that name a stack: by a claim, or by the release that the revision's text names."""
    tables = catalog.read()
    by_claim = {claim.source for claim in tables.claims.values() if claim.stack == name}
    release = f"SynapseAI {name.rpartition('-')[2]}"
    posts = {key: row for key, row in tables.claim_sources.items() if key.startswith("post-")}
    by_text = {key for key, row in posts.items() if _begins(row.table_stack, release)} if "gaudi" in name else set()
    return sorted((by_claim | by_text) & set(posts))


def _begins(text: str | None, release: str) -> bool:
    """Return whether a text such as ``SynapseAI 1.9.0, ...`` names a release such as ``SynapseAI 1.9``."""
    return text is not None and text.partition(",")[0].split(".")[:2] == release.split(".")[:2]


def observed(name: str, engine: str | None, show: Callable[[str], object]) -> Stack:
    """Run a stack and return what is recorded of it; one whose parts cannot be had is recorded with the reason."""
    stack: Stack = {
        "stack": name,
        "revisions": revisions_of(name),
        "pins": pins_of(name),
        "cannot": None,
        "seen": None,
        "calls": {},
    }
    try:
        seen = calls.observe(name, engine=engine, show=show)
    except Unreachable as problem:
        return {**stack, "cannot": str(problem)}
    kept = {key: value for key, value in seen.items() if key not in ("schema", "stack", "operators")}
    watched = {"seen_by": seen["operators"]["seen_by"], "new_tokens": seen["operators"]["new_tokens"]}
    return {**stack, "seen": {**kept, "operators": watched}, "calls": calls.counted(seen)}


def record(show: Callable[[str], object], only: Sequence[str] | None = None, earlier: Record | None = None) -> Record:
    """Run every stack, or those of ``only``, taking the others from an ``earlier`` record; return what they did and what changed.

    Raises ``KitError`` where a stack that can be built does not run to its end.
    """
    known = {_key(stack): stack for stack in (earlier or {"stacks": []})["stacks"]}
    stacks = []
    for name, engine in _all():
        if only is not None and name not in only:
            stacks += [known[name, engine]] if (name, engine) in known else []
        else:
            stacks.append(observed(name, engine, show))
    by_name = {stack["stack"]: stack for stack in stacks}
    pairs = [(by_name[older], by_name[newer]) for older, newer in neighbours() if {older, newer} <= set(by_name)]
    return {"schema": SCHEMA, "stacks": stacks, "changes": [between(older, newer) for older, newer in pairs]}


def _all() -> list[tuple[str, str | None]]:
    """Return (stack, engine or None for the stack's own) of all that is recorded, older releases first."""
    ordered = dict.fromkeys(name for pair in neighbours() for name in pair)
    return [*((name, None) for name in ordered), *OF_THE_CPU]


def _key(stack: Stack) -> tuple[str, str | None]:
    of_cpu = stack["stack"] == "cpu" and stack["seen"] is not None
    return stack["stack"], stack["seen"]["engine"] if of_cpu and stack["seen"] is not None else None


def between(older: Stack, newer: Stack) -> Change:
    """Return what changed from one recorded stack to its newer neighbour."""
    before, after = older["seen"], newer["seen"]
    change: Change = {
        "before": older["stack"],
        "after": newer["stack"],
        "packages": moved(older["pins"], newer["pins"]),
        "others": _others(older["stack"], newer["stack"]),
        "tokens": None,
        "generate": None,
        "calls": None,
    }
    if before is None or after is None:
        return change
    return {
        **change,
        "tokens": tokens(before["tokens"], after["tokens"]),
        "generate": before["generate"] == after["generate"] if before["generate"] and after["generate"] else None,
        "calls": differences(older["calls"], newer["calls"]),
    }


def moved(older: Pins, newer: Pins) -> list[Moved]:
    """Return each pin that differs between two stacks: base image, Python, and packages by name."""
    sides = [{"base image": pins["image"], "Python": pins["python"], **pins["packages"]} for pins in (older, newer)]
    names = ["base image", "Python", *sorted({*older["packages"], *newer["packages"]})]
    rows: list[Moved] = [{"pin": name, "before": sides[0].get(name), "after": sides[1].get(name)} for name in names]
    return [row for row in rows if row["before"] != row["after"]]


def tokens(before: Mapping[str, object], after: Mapping[str, object]) -> TokensWord:
    """Return whether two stacks gave the same tokens; two that made another number of tokens, of other weights, cannot be compared."""
    if before["new_tokens"] != after["new_tokens"]:
        return "not comparable"
    return "equal" if before["sha256"] == after["sha256"] else "other"


def differences(before: Mapping[str, int], after: Mapping[str, int]) -> Differences:
    """Return which kinds of calls were added and removed, and which come another number of times."""
    return {
        "added": {kind: times for kind, times in after.items() if kind not in before},
        "removed": {kind: times for kind, times in before.items() if kind not in after},
        "changed": {
            kind: [before[kind], after[kind]] for kind in before if kind in after and before[kind] != after[kind]
        },
    }


def _others(older: str, newer: str) -> Others:
    """Return how many packages of the requirements files differ, the rows' own left out."""
    lock = lockfile.read()
    direct = {*lock.stacks[older].packages, *lock.stacks[newer].packages}
    before, after = (
        {
            package: set(versions)
            for package, versions in requirements.hashes_by_version(
                (paths.ROOT / lock.stacks[name].requirements.file).read_text(encoding="utf-8")
            ).items()
            if package not in direct
        }
        for name in (older, newer)
    )
    both = set(before) & set(after)
    return {
        "moved": sum(before[package] != after[package] for package in both),
        "added": len(set(after) - both),
        "removed": len(set(before) - both),
    }


def read(path: Path | None = None) -> Record:
    """Return a record that was written, ``RECORD`` unless another is named. Raises ``InputError`` where none can be read."""
    path = path or RECORD
    try:
        found: Record = strictjson.loads(path.read_bytes(), paths.shown(path))
    except FileNotFoundError:
        raise InputError(
            f'{paths.shown(path)} is not there. Make it with `make bench-stacks ARGS="--changes --write"`.'
        ) from None
    return found


def write(made: Record, path: Path) -> None:
    """Write a record. Raises ``InputError`` where a stack did not run: the record that is there says more."""
    silent = [f"{stack['stack']}: {stack['cannot']}" for stack in made["stacks"] if stack["cannot"] is not None]
    if silent and path == RECORD:
        raise InputError(f"{paths.shown(path)} is left as it was, since not every stack ran. {' '.join(silent)}")
    path.write_text(strictjson.pretty(made), encoding="utf-8")


def told(made: Record) -> str:
    """Return what ran and what changed, as tables for people."""
    head = (
        "stack",
        "revision",
        "Python",
        "engine",
        "tokens",
        "new tokens",
        "forward passes",
        "graphs",
        "kinds of calls",
    )
    parts = [table.aligned([head, *map(_row, made["stacks"])])]
    for change in made["changes"]:
        rows = [(row["pin"], row["before"] or "-", row["after"] or "-") for row in change["packages"]]
        parts.append(f"{change['before']} -> {change['after']}")
        parts.append(table.aligned([("pin", change["before"], change["after"]), *rows]))
        parts.append("\n".join(_sentences(change)))
    return "\n\n".join(parts)


def _row(stack: Stack) -> tuple[object, ...]:
    seen, revision = stack["seen"], " ".join(stack["revisions"]) or "-"
    if seen is None:
        return stack["stack"], revision, stack["pins"]["python"], stack["cannot"], "-", "-", "-", "-", "-"
    right = "plain greedy decoding's" if seen["tokens"]["equal_plain"] else "OTHER TOKENS"
    made = (seen["tokens"]["new_tokens"], seen["forward_calls"], seen["graph_builds"], len(stack["calls"]))
    return stack["stack"], revision, seen["python"], seen["engine"], right, *made


def _sentences(change: Change) -> Iterable[str]:
    others = change["others"]
    yield (
        f"of what these need: {others['moved']} packages moved, {others['added']} came, {others['removed']} went;"
        f" tokens: {change['tokens'] or 'not known'}"
    )
    if change["generate"] is not None:
        yield "asked of the device: " + ("the same calls" if change["generate"] else "other calls")
    found = change["calls"]
    if found is not None:
        for word in ("added", "removed", "changed"):
            kinds = ", ".join(f"{kind} {_times(times)}" for kind, times in found[word].items())
            yield f"calls {word}: {kinds or 'none'}"


def _times(times: int | list[int]) -> str:
    return f"x{times}" if isinstance(times, int) else f"{times[0]} -> {times[1]}"
