"""Locks for tests: the kit's own versions.lock with other texts in some places."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.host import paths
from runner.host.readers import lockfile, strictyaml
from runner.host.readers.lockfile import Lock, LockPath


def changed(folder: Path, values: Mapping[LockPath, str | None]) -> tuple[Path, Lock]:
    """Write the kit's lock with other values below ``folder``, and return its path and the lock; None removes a key.

    A path may lead to a new entry of a table.
    """
    document = strictyaml.read(paths.LOCK)
    for where, value in values.items():
        place = document
        for key in where[:-1]:
            assert isinstance(place, dict)
            if key not in place:
                place[key] = strictyaml.Mapping()
            place = place[key]
        assert isinstance(place, dict)
        if value is None:
            del place[where[-1]]
        else:
            place[where[-1]] = value
    path = folder / "versions.lock"
    path.write_text(_yaml(document, 0), encoding="utf-8")
    return path, lockfile.read(path)


def _yaml(value: strictyaml.Value, depth: int) -> str:
    """Return block YAML; every scalar is quoted, as a text must be."""
    assert isinstance(value, dict)
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            lines.append(f"{' ' * depth}{key}:\n{_yaml(inner, depth + 2)}" if inner else f"{' ' * depth}{key}: {{}}\n")
        else:
            assert isinstance(inner, str) and "'" not in f"{key}"
            quoted = inner.replace("'", "''")
            lines.append(f"{' ' * depth}{key}: '{quoted}'\n")
    return "".join(lines)
