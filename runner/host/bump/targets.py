"""Find what rows of the lock move to: what a person names, or the newest that the rows' origins have."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from packaging.version import InvalidVersion, Version

from runner.contract.announce import Announcer
from runner.contract.errors import InputError, Unreachable
from runner.host.bump import moving, newer
from runner.host.bump.findings import DayNotAsked, NewerFound, NotComparable, NothingNewer
from runner.host.bump.moving import Target
from runner.host.bump.rows import Row
from runner.host.pins.events import OriginSilent, ReleaseYanked
from runner.host.pins.origins import package_index
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock


def named(lock: Lock, rows: Sequence[Row], to: str, offline: bool, announcer: Announcer) -> list[Target]:
    """Return rows with the value that a person named, and the day of its release where the index is asked and says it.

    Of several rows, those that have the value already stay out. Raises ``UsageError`` for a value that a row cannot have, ``InputError``
    where the index has no such release.
    """
    moved = [row for row in rows if row.current != to] if len(rows) > 1 else list(rows)
    for row in moved or rows:
        moving.refuse_target(lock, row, to)
    packages = {_package(row) for row in moved if row.kind in ("tools", "packages")}
    days = {} if offline else dict(days_of(dict.fromkeys(packages, to), announcer))
    return [Target(row, to, days.get(_package(row))) for row in moved]


def newest(lock: Lock, rows: Sequence[Row], announcer: Announcer) -> list[Target]:
    """Return rows with the newest that their origins have, and announce why the other rows stay as they are.

    Raises ``InputError`` where a row is unresolved or not at its origin, ``Unreachable`` where an origin does not answer.
    """
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    notes = lockfile.notes()
    targets = []
    for row in rows:
        found = newer.of_row(lock, row, today, notes).ask()
        if not found:
            announcer.announce(NothingNewer(row.name, row.current))
        for finding in found:
            if isinstance(finding, NewerFound):
                targets.append(Target(row, finding.version, finding.day))
            elif isinstance(finding, DayNotAsked):
                targets.append(Target(row, today, None))
            elif isinstance(finding, NotComparable):
                raise InputError(f"{row.name}: {finding.message}.")
            else:
                announcer.announce(finding)
    return targets


def days_of(versions: Mapping[str, str], announcer: Announcer) -> dict[str, str]:
    """Return the day on which each version was released, by package, where the index says it; a silent index is announced.

    Raises ``InputError`` where the index lists no such release.
    """
    days = {}
    for package, version in versions.items():
        try:
            listed = package_index.releases(package)
        except Unreachable as problem:
            announcer.announce(OriginSilent(package, str(problem)))
            continue
        release = next((one for one in listed if _is_same(one.version, version)), None)
        if release is None:
            near = ", ".join(one.version for one in listed[-3:])
            raise InputError(f"the index lists no {package} {version}; its newest are {near}. Name one that is there.")
        if release.withdrawn is not None:
            announcer.announce(ReleaseYanked(package, version))
        if release.day is not None:
            days[package] = release.day
    return days


def _package(row: Row) -> str:
    return row.where[-1]


def _is_same(listed: str, version: str) -> bool:
    try:
        return Version(listed) == Version(version.partition("+")[0])
    except InvalidVersion:
        return False
