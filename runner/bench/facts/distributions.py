"""The distributions that are installed in this Python: their names, their versions, and the files that each lists."""

from __future__ import annotations

import contextlib
import hashlib
import re
from importlib import metadata
from typing import Mapping, TypedDict


class ListedDistribution(TypedDict):
    """The facts that the build of an image keeps of a distribution of its base; ``inventory.listing`` makes them."""

    version: str
    # A licence that the distribution names in one short line.
    license: str | None
    folder: str
    record_sha256: str


# Normalised name to what was listed of the distribution.
Listing = Mapping[str, ListedDistribution]


def installed() -> dict[str, metadata.Distribution]:
    """Return normalised name to distribution of everything that is installed.

    Where two distributions have one name, the first on the path is returned, as an import finds the first.
    """
    by_name: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        # A folder that pip left half removed has neither name nor version. Which class is raised differs between
        # releases.
        with contextlib.suppress(Exception):
            if distribution.metadata["Name"] and distribution.version:
                by_name.setdefault(name_of(distribution), distribution)
    return by_name


def versions() -> dict[str, str]:
    """Return normalised name to version of everything that is installed."""
    return {name: distribution.version for name, distribution in sorted(installed().items())}


def files_of(distribution: metadata.Distribution) -> list[metadata.PackagePath]:
    """Return the files that a distribution's RECORD lists, each with its hash.

    Return no file where there is no RECORD, or where the RECORD is damaged.
    """
    try:
        return [file for file in distribution.files or () if file.parts] if distribution.read_text("RECORD") else []
    # The reader raises whatever it stumbles over.
    except Exception:
        return []


def folder_of(distribution: metadata.Distribution) -> str:
    """Return the folder that a distribution is installed in."""
    return str(distribution.locate_file(""))


def record_sha256(distribution: metadata.Distribution) -> str:
    """Return the hex sha256 of a distribution's RECORD, of the empty text where there is none."""
    return hashlib.sha256((distribution.read_text("RECORD") or "").encode()).hexdigest()


def name_of(distribution: metadata.Distribution) -> str:
    """Return a distribution's normalised name."""
    return normalised(distribution.metadata["Name"])


def normalised(name: str) -> str:
    """Return a distribution's name as the index compares it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
