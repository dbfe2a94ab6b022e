"""Say in the changelog whose numbers a bump changes: the cases whose requests get another id."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

from runner.contract.errors import InputError, UnresolvedPin
from runner.host import cases
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock

_SECTION = re.compile(r"^## Unreleased *\r?\n(?P<lines>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_WIDTH = 138


def request_ids(catalog: Catalog, lock: Lock) -> dict[str, str]:
    """Return what tells each case's request from another: its id, by the name of the case.

    A case whose stack or image has open pins has a request too, as a draft; the image that the lock names stands beside the draft's id,
    since a draft holds none. A case whose model has no revision has no request: its text is "none".
    """
    ids = {}
    for name, case in catalog.cases.items():
        stack = lock.stacks[case.stack]
        try:
            ids[name] = cases.make(catalog, lock, name).id
        except UnresolvedPin:
            named = stack.image.named if stack.runs_in_image else ""
            try:
                ids[name] = f"{cases.make(catalog, lock, name, draft=True).id} {named}"
            except UnresolvedPin:
                ids[name] = "none"
    return ids


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the cases of both whose requests have other ids, in their order before."""
    return [name for name, told in before.items() if name in after and after[name] != told]


def line(what: str, names: Sequence[str]) -> str:
    """Return the line for the changelog: what moved, and the cases whose requests get new ids."""
    if not names:
        return f"- {what}: no request gets a new id. Nobody's numbers change."
    if len(names) == 1:
        return f"- {what}: the request of {names[0]} gets a new id; its numbers may change."
    return f"- {what}: requests of {listed(names)} get new ids; their numbers may change."


def line_of_new(what: str, cases: Sequence[str]) -> str:
    """Return the line for the changelog of something new, with the cases that came with it."""
    beside = f", with the case{'s' if len(cases) > 1 else ''} {listed(cases)}" if cases else ""
    return f"- {what[:1].upper()}{what[1:]}{beside}. Nobody's numbers change."


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def with_line(text: str, sentence: str, where: str) -> str:
    """Return a changelog whose section of unreleased changes ends with ``sentence``, wrapped as the lines above it.

    ``where`` names the changelog in the message. Raises ``InputError`` where there is no such section.
    """
    section = _SECTION.search(text)
    if section is None:
        raise InputError(
            f"{where} has no section `## Unreleased`. Add it, and run the same again; it says whose numbers change."
        )
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = textwrap.wrap(sentence, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    above = section["lines"].rstrip()
    end = section.start("lines") + len(above)
    return text[:end] + newline + newline.join(lines) + (text[end:] or newline)
