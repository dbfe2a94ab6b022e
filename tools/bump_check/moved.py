"""Tell which pins differ between two locks: every leaf of versions.lock, and every package of the compiled requirements files.

A lock is read leaf by leaf, without the kit's knowledge of its keys: a lock of an older or a newer schema is told as far as it is YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.contract import files, requirements
from runner.contract.errors import InputError
from runner.contract.text import printable
from runner.host.readers import strictyaml

LOCK = "versions.lock"

# Leaves that say something about a pin and are none.
_NO_PINS = ("note",)

# The places of the leaves that tell what a row of the lock pins, and the row's name as `bump` takes it.
_ROWS = (
    (re.compile(r"stacks\.(.+?)\.packages\.(.+)\.version"), "{}/{}"),
    (re.compile(r"stacks\.(.+)\.(image|interpreter)\.tag"), "{}/{}"),
    (re.compile(r"(tools)\.([^.]+)\.version"), "{}/{}"),
    (re.compile(r"(requirements)\.(.+)\.exclude_newer"), "{}/{}"),
    (re.compile(r"(models|datasets)\.(.+)\.(?:revision|short)"), "{}/{}"),
    (re.compile(r"(sources)\.(.+)\.(?:tag|commit)"), "{}/{}"),
    (re.compile(r"(actions)\.(.+)\.version"), "{}/{}"),
)

# Rows that a summary names.
_MOST_NAMED = 5

# Leaves that move with a version, and that nobody reads.
_MOVE_WITH = ("sha256", "digest", "platform", "tree", "inventory", "inputs")

_MAX_REQUIREMENTS_BYTES = 1 << 24


@dataclass(frozen=True)
class MovedPin:
    """A pin that differs. ``where`` is its place; ``before`` and ``after`` are its values, None where the pin is not there.

    ``where`` is a path of keys of the lock, such as stacks.cpu.packages.torch.version, or FILE: PACKAGE for a package of a compiled file.
    """

    where: str
    before: str | None
    after: str | None

    @property
    def is_version(self) -> bool:
        """Whether people read the values: a version, a tag, a package. Hashes and digests move with them."""
        return self.where.rpartition(".")[2] not in _MOVE_WITH and ".files." not in self.where


def between(before_lock: str, after_lock: str) -> list[MovedPin]:
    """Return every leaf that differs between the texts of two locks, in the order of the first, then what the second alone has.

    Raises ``InputError`` for a text that is no strict YAML.
    """
    before, after = _leaves_of(before_lock, "the lock before"), _leaves_of(after_lock, "the lock after")
    return _differences(before, after)


def between_trees(before: Path, after: Path) -> list[MovedPin]:
    """Return every leaf of the locks, and every package of the compiled requirements files, that differ between two trees.

    Raises ``InputError`` for a lock that is missing or no strict YAML.
    """
    texts = [lock_text(tree) for tree in (before, after)]
    pins = between(*texts)
    leaves = [_leaves_of(text, LOCK) for text in texts]
    names = dict.fromkeys(value for each in leaves for key, value in each.items() if key.endswith(".file"))
    for name in names:
        versions = [_packages_of(tree / name) for tree in (before, after)]
        if versions[0] and versions[1]:
            pins += [
                MovedPin(f"{name}: {pin.where}", pin.before, pin.after)
                for pin in _with_hashes_told(_differences(*versions))
            ]
    return pins


def summary(pins: Sequence[MovedPin]) -> str:
    """Return in words which rows of the lock moved, and how much moved with them."""
    rows: dict[str, MovedPin] = {}
    packages = hashes = others = 0
    for pin in pins:
        name = _row_of(pin)
        if not pin.is_version:
            hashes += 1
        elif ": " in pin.where:
            packages += 1
        elif name is None:
            others += 1
        else:
            rows.setdefault(name, pin)
    counted = ((packages, "package"), (hashes, "hash"), (others, "other value"))
    rest = " and ".join(plural(count, word) for count, word in counted if count)
    if not rows:
        return f"no row moved; {rest} did" if rest else "no pin moved"
    named = [f"{name} {_value(pin.before)} -> {_value(pin.after)}" for name, pin in rows.items()]
    more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    told = f"{plural(len(rows), 'row')} moved: {', '.join([*named[:_MOST_NAMED], *more])}"
    return told + (f"; {rest} with {'it' if len(rows) == 1 else 'them'}" if rest else "")


def plural(count: int, word: str) -> str:
    """Return a number of things in words, such as 1 hash, 2 hashes."""
    return f"{count} {word}{'' if count == 1 else 'es' if word.endswith('sh') else 's'}"


def _row_of(pin: MovedPin) -> str | None:
    """Return the name of the row whose value a leaf of the lock is; None for a leaf that is none, and for a compiled file's package."""
    if not pin.is_version or ": " in pin.where:
        return None
    found = ((pattern.fullmatch(pin.where), name) for pattern, name in _ROWS)
    return next((name.format(*match.groups()) for match, name in found if match), None)


def _value(value: str | None) -> str:
    return "nothing" if value is None else printable(value, 60)


def lock_text(tree: Path) -> str:
    """Return the text of a tree's lock. Raises ``InputError`` where it cannot be read."""
    return files.read_bytes(tree / LOCK, strictyaml.MAX_BYTES).decode("utf-8", errors="replace")


def leaves(lock: str) -> dict[str, str]:
    """Return each leaf of a lock's text by its path of keys, joined by dots. Raises ``InputError`` for what is no strict YAML."""
    return _leaves_of(lock, LOCK)


def leaves_by_path(lock: str) -> dict[tuple[str, ...], str]:
    """Return each leaf of a lock's text by its path of keys, which may hold dots. Raises ``InputError`` for what is no strict YAML."""
    return dict(_walk(strictyaml.loads(lock.encode(), LOCK), ()))


def _leaves_of(text: str, what: str) -> dict[str, str]:
    return {".".join(path): value for path, value in _walk(strictyaml.loads(text.encode(), what), ())}


def _walk(value: strictyaml.Value, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        if path and path[-1] not in _NO_PINS:
            yield path, value
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _walk(part, (*path, str(number)))
    else:
        for key, part in value.items():
            yield from _walk(part, (*path, key))


def _differences(before: dict[str, str], after: dict[str, str]) -> list[MovedPin]:
    return [
        MovedPin(where, before.get(where), after.get(where))
        for where in dict.fromkeys([*before, *after])
        if before.get(where) != after.get(where)
    ]


def _packages_of(path: Path) -> dict[str, str]:
    """Return package to its versions, and their hashes behind a line break, of a compiled file; empty where it cannot be read."""
    try:
        text = files.read_bytes(path, _MAX_REQUIREMENTS_BYTES).decode("utf-8", errors="replace")
    except InputError:
        return {}
    pins: dict[str, list[requirements.Requirement]] = {}
    for _, pin in requirements.parse(text).requirements:
        pins.setdefault(pin.name, []).append(pin)
    return {
        name: "\n".join(
            [
                " and ".join(
                    f"{pin.version} ({pin.marker})" if len(each) > 1 and pin.marker else pin.version for pin in each
                ),
                *sorted(digest for pin in each for digest in pin.hashes),
            ]
        )
        for name, each in pins.items()
    }


def _with_hashes_told(pins: list[MovedPin]) -> Iterator[MovedPin]:
    """Yield packages with their versions alone; where these are the same, the hashes differ, and that is said."""
    for pin in pins:
        before, after = (None if value is None else value.partition("\n")[0] for value in (pin.before, pin.after))
        yield MovedPin(pin.where, before, f"{after} (other hashes)" if before == after else after)
