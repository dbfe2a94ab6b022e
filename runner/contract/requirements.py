"""Parse compiled requirements files: lines ``NAME==VERSION ; MARKER`` with hashes below, as uv and pip-tools write them.

The host refuses a file with any other line; the bench takes the lines that it knows. Nothing here evaluates a marker: that takes
``packaging``, and this room imports the standard library only.
Source: pip's "Requirements File Format"; PEP 508 for markers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^]]*\])?)==(?P<version>[^ ;\\]+)(?: *; *(?P<marker>[^\\ ](?:[^\\]*[^\\ ])?))? *\\?"
)
_HASH = re.compile(r" +--hash=sha256:([0-9a-f]{64})(?: \\)?")


@dataclass(frozen=True)
class Requirement:
    """One package of a compiled file: ``name`` as written, extras included, ``version``, ``marker`` or None.

    ``text`` is the requirement's lines as they stand in the file, hashes and ends of lines included.
    """

    name: str
    version: str
    marker: str | None
    text: str

    @property
    def project(self) -> str:
        """The name without its extras."""
        return self.name.partition("[")[0]

    @property
    def plain(self) -> str:
        """The text without its marker, for a target that the marker allows: pip evaluates markers for its own Python, not the target's."""
        return self.text if self.marker is None else re.sub(f" *; *{re.escape(self.marker)}", "", self.text, count=1)

    @property
    def hashes(self) -> frozenset[str]:
        """The sha256, in hex, of every file that may be installed for this requirement."""
        prefix = "--hash=sha256:"
        return frozenset(word[len(prefix) :] for word in self.text.split() if word.startswith(prefix))


@dataclass(frozen=True)
class Parsed:
    """The requirements of a file, each with the number of its line, from 1; ``unknown`` are lines of any other form."""

    requirements: list[tuple[int, Requirement]]
    unknown: list[tuple[int, str]]


def parse(text: str) -> Parsed:
    """Return the requirements of a compiled file in their order, and the lines that are no requirement, hash, comment or blank."""
    requirements: list[tuple[int, Requirement]] = []
    unknown: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = _REQUIREMENT.fullmatch(line.rstrip())
        if match is not None:
            requirements.append((number, Requirement(match["name"], match["version"], match["marker"], line)))
        elif requirements and _HASH.fullmatch(line.rstrip("\n")):
            head, above = requirements[-1]
            requirements[-1] = head, replace(above, text=above.text + line)
        else:
            unknown.append((number, line))
    return Parsed(requirements, unknown)
