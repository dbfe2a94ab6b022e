"""Choose what is newer than a pin among what an origin lists. Nothing here asks an origin.

Packages are compared as PEP 440 orders versions. Tags are compared where they match a pattern: ``*`` stands for numbers with dots, which
are compared as versions, and all else must be equal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from runner.host.pins.origins.package_index import Release

# Far above any text by which a release names the Pythons that it runs on.
_MAX_REQUIRES_PYTHON = 300
# The sentence by which optimum-habana names a release of Gaudi software.
_VALIDATED = re.compile(
    r"has been validated (?:with|for|on) (?:the )?(?:Intel )?(?:Gaudi|SynapseAI|Habana)[A-Za-z ]{0,30}?"
    r" ?v?([0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?)\b",
    re.ASCII,
)
# A patch release of Python above all that will be: `>=3.10.4` allows some Python 3.10.
_ANY_PATCH = 9999


@dataclass(frozen=True)
class PackageChoice:
    """What is newer than a package's version.

    ``newer`` is the newest release that the pin may move to. ``held`` is the newest of all where the pin's ``hold`` excludes it.
    ``elsewhere`` is a newer one than both that the ``hold`` allows, and that does not run on the Python of the pin. Each is None where
    there is none.
    """

    newer: Release | None
    held: Release | None
    elsewhere: Release | None


def is_within(hold: str | None, version: str) -> bool:
    """Return whether a version is within ``hold``, as pip writes bounds; None bounds nothing, and what is no version is within no bound."""
    if hold is None:
        return True
    try:
        return SpecifierSet(hold).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def of_package(releases: Iterable[Release], current: str, pythons: Sequence[str], hold: str | None) -> PackageChoice:
    """Return what is newer than version ``current`` of a package.

    A release that was withdrawn is passed over, and so is a pre-release unless ``current`` is one. ``pythons`` are those that the package
    must run on, such as 3.10. ``hold`` bounds the versions, as pip writes bounds; None bounds nothing.
    """
    now = Version(current)
    bound = SpecifierSet(hold or "", prereleases=True)
    newer = [
        (Version(release.version), release)
        for release in releases
        if release.withdrawn is None and Version(release.version) > now
    ]
    counted = sorted(
        (pair for pair in newer if now.is_prerelease or not pair[0].is_prerelease), key=lambda pair: pair[0]
    )
    allowed = [pair for pair in counted if bound.contains(pair[0])]
    fitting = [pair for pair in allowed if _runs_on(pair[1], pythons)]
    best = fitting[-1] if fitting else None
    held = counted[-1] if counted and not bound.contains(counted[-1][0]) else None
    elsewhere = allowed[-1] if allowed and allowed[-1] != best else None
    return PackageChoice(*(pair[1] if pair is not None else None for pair in (best, held, elsewhere)))


def _runs_on(release: Release, pythons: Sequence[str]) -> bool:
    """Return whether, for each Python, a file of the release takes some patch release of it."""
    return all(any(_takes(asked, python) for asked in release.requires_python) for python in pythons)


def _takes(requires_python: str | None, python: str) -> bool:
    """Return whether a text such as ``>=3.10`` takes a Python such as 3.10; a text that cannot be read takes none."""
    if requires_python is None or not requires_python.strip():
        return True
    if len(requires_python) > _MAX_REQUIRES_PYTHON:
        return False
    try:
        asked = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return False
    return any(asked.contains(f"{python}.{patch}", prereleases=True) for patch in (0, _ANY_PATCH))


@dataclass(frozen=True)
class _Numbers:
    """The numbers that the stars of a pattern stand for in a tag, and the tag."""

    key: tuple[tuple[int, ...], ...]
    tag: str


def newer_tags(pattern: str, current: str, tags: Iterable[str]) -> list[str]:
    """Return the tags that match a pattern and are newer than ``current``, the newest last.

    ``current`` is a tag that matches, or what the stars of the pattern stand for where there is one star, such as 1.24.0 for ``v*``. Of
    two tags for one version, such as v5 and v5.0.0, the longer one counts as the later one, and neither is newer than the other.
    Raises ``ValueError`` where ``current`` is neither.
    """
    expression = _expression(pattern)
    now = _numbers(expression, current)
    if now is None and pattern.count("*") == 1:
        now = _numbers(expression, pattern.replace("*", current))
    if now is None:
        raise ValueError(f"{current!r} is no tag of the pattern {pattern}")
    matching = (_numbers(expression, tag) for tag in set(tags))
    newer = [numbers for numbers in matching if numbers is not None and numbers.key > now.key]
    return [numbers.tag for numbers in sorted(newer, key=lambda one: (one.key, len(one.tag), one.tag))]


def matches(pattern: str, tag: str) -> bool:
    """Return whether a tag matches a pattern."""
    return _expression(pattern).fullmatch(tag) is not None


def star_of(pattern: str, tag: str) -> str | None:
    """Return what the first star of a pattern stands for in a tag, such as 1.24.0 for v1.24.0; None where the tag does not match."""
    match = _expression(pattern).fullmatch(tag)
    return match[1] if match is not None and match.groups() else None


def _expression(pattern: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in pattern.split("*"))
    # at most 9 digits a number: no tag makes a number that takes long to read
    return re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,9})".join(parts), re.ASCII)


def _numbers(expression: re.Pattern[str], tag: str) -> _Numbers | None:
    match = expression.fullmatch(tag)
    if match is None:
        return None
    stars = [tuple(int(number) for number in star.split(".")) for star in match.groups()]
    return _Numbers(tuple(_without_zeros(star) for star in stars), tag)


def _without_zeros(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of a version without zeros at the end: 1.22 and 1.22.0 are one version."""
    end = len(numbers)
    while end and numbers[end - 1] == 0:
        end -= 1
    return numbers[:end]


def tag_of(commit: str, pattern: str, tags: Mapping[str, str]) -> str | None:
    """Return the tag that names a commit and matches a pattern, the longest one; None where no tag does. ``tags`` are tag to commit."""
    expression = _expression(pattern)
    naming = [_numbers(expression, tag) for tag, named in tags.items() if named == commit]
    found = sorted((one for one in naming if one is not None), key=lambda one: (one.key, len(one.tag), one.tag))
    return found[-1].tag if found else None


def newest_by_series(releases: Collection[str]) -> dict[str, str]:
    """Return each series of releases, such as 1.24, with its newest release, in order. ``releases`` are numbers with dots."""
    found: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
    for release in releases:
        numbers = tuple(int(number) for number in release.split("."))
        series = numbers[:2]
        if series not in found or (numbers, release) > found[series]:
            found[series] = (numbers, release)
    return {".".join(map(str, series)): release for series, (_, release) in sorted(found.items())}


def is_newer_release(release: str, than: str) -> bool:
    """Return whether a release, as numbers with dots, is newer than another."""
    pair = [_without_zeros(tuple(int(number) for number in text.split("."))) for text in (release, than)]
    return pair[0] > pair[1]


def release_told(description: str) -> str | None:
    """Return the sentence's release of Gaudi software that a description says to be validated, such as 1.24; None where it says none.

    optimum-habana writes "has been validated with Intel Gaudi v1.24 stack", and wrote "validated for SynapseAI 1.11".
    """
    match = _VALIDATED.search(description)
    return match[1] if match is not None else None
