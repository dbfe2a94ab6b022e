"""Texts that no name, path, version, hash or address may be, and a walk over all texts of a document."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

TEXTS = (
    "--upload-pack=touch PWN;",
    "-x",
    "ext::sh -c touch% PWN",
    "a b",
    "$(touch PWN)",
    "../outside/x",
    "six @ https://example.org/six.whl #",
    "https://user:password@example.org/x",
    "1.0\n",
    "gaudi-1.9\u200b",
    "g\u0430udi-1.9",
    "\u202egaudi",
    "gaudi\x1b[2J",
    "",
    "0" * 64,
    "sha256:" + "0" * 64,
    "0" * 40,
    "a" * 10_000,
)


def leaves(document: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every text, and of every key, of a document; entries that are alike are told by their first alone."""
    if isinstance(document, str):
        yield where
    entries = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in entries:
        yield from leaves(value, (*where, key))


def with_text(document: Any, where: tuple[str | int, ...], text: object) -> Any:
    """Return a copy of a document that has ``text``, or another value, in one place."""
    changed = copy.deepcopy(document)
    part = changed
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = text
    return changed


def with_key(document: Any, where: tuple[str | int, ...], text: str) -> Any:
    """Return a copy of a document whose key at the end of ``where`` is ``text``, in the same place."""
    changed = copy.deepcopy(document)
    part = changed
    for key in where[:-1]:
        part = part[key]
    entries = list(part.items())
    part.clear()
    part.update({text if key == where[-1] else key: value for key, value in entries})
    return changed
