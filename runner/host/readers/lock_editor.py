"""Change single values of versions.lock in place, without touching comments or order."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path

from runner.contract import files
from runner.contract.errors import InputError
from runner.host import paths, writing
from runner.host.readers import lockfile, strictyaml
from runner.host.readers.lockfile import LockPath


def edit(path: Path, changes: Mapping[LockPath, str]) -> bool:
    """Replace values in place: scalars, and mappings in braces. Returns whether anything changed.

    Keys of ``changes`` are paths such as ``("stacks", "cpu", "image", "digest")``.
    A change that another writer made in between is kept. The new text is read before it replaces the old text, so the lock is never left
    unreadable; a value that would change more than its own place is refused. Raises ``InputError`` where the lock has no such place.
    """
    with writing.alone(path):
        before = files.read_bytes(path, strictyaml.MAX_BYTES, advice="Restore it with `git checkout`.")
        after = edited(before, changes, path)
        if after == before:
            return False
        writing.write_text(path, after.decode("utf-8"))
    return True


def edited(before: bytes, changes: Mapping[LockPath, str], path: Path) -> bytes:
    """Return a lock with values replaced in place, as ``edit`` writes it; ``path`` names the lock in messages.

    Raises ``InputError`` as ``edit`` does.
    """
    document = strictyaml.loads(before, paths.shown(path))
    text = before.decode("utf-8")
    spans = []
    for keys, value in changes.items():
        span = _span(document, keys)
        if span is None:
            raise InputError(
                f"{paths.shown(path)} has no value of {'.'.join(keys)} on one line. Add the line, or restore the file"
                " with `git checkout`."
            )
        spans.append((*span, value))
    for start, end, value in sorted(spans, reverse=True):
        text = text[:start] + value + text[end:]
    if text.encode() == before:
        return before
    after = strictyaml.loads(text.encode(), paths.shown(path))
    lockfile.parse(after, path)
    if _without(after, changes) != _without(document, changes):
        raise InputError(f"{paths.shown(path)} was not written: a value would have changed more than its own place.")
    return text.encode()


def written_values(content: bytes, places: Iterable[LockPath], path: Path) -> dict[LockPath, str]:
    """Return the values at ``places`` of a lock as they are written there; a place without a value on one line is left out.

    Raises ``InputError`` for a lock that is no strict YAML; ``path`` names the lock in the message.
    """
    document, text = strictyaml.loads(content, paths.shown(path)), content.decode("utf-8")
    spans = {keys: _span(document, keys) for keys in places}
    return {keys: text[span[0] : span[1]] for keys, span in spans.items() if span is not None}


def in_braces(entries: Mapping[str, str]) -> str:
    """Return a mapping as ``edit`` takes it: YAML on one line, in braces."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"


def _mapping_at(document: strictyaml.Value, keys: Iterable[str]) -> strictyaml.Mapping | None:
    """Return the mapping that keys lead to in a document, None where the document has no such mapping."""
    value: strictyaml.Value | None = document
    for key in keys:
        value = value.get(key) if isinstance(value, strictyaml.Mapping) else None
    return value if isinstance(value, strictyaml.Mapping) else None


def _span(document: strictyaml.Value, keys: LockPath) -> tuple[int, int] | None:
    """Return where the text of a value begins and ends, in characters; None where no such value stands on one line."""
    mapping = _mapping_at(document, keys[:-1])
    return None if mapping is None else mapping.spans.get(keys[-1])


def _without(document: strictyaml.Value, changes: Iterable[LockPath]) -> strictyaml.Value:
    """Return a copy of a document without the values that change."""
    unchanged = copy.deepcopy(document)
    for *above, last in changes:
        mapping = _mapping_at(unchanged, above)
        if mapping is not None:
            mapping.pop(last, None)
    return unchanged
