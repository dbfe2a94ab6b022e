"""Compare every version and hash of the lock with the requirements files, and what packages demand of each other with both.

What a package demands stands in its metadata. Where the kit's own environment has the very version that is locked, the
metadata is read there; an index tells it of the others (PEP 658).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Demand
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runner.contract import files
from runner.contract.errors import InputError
from runner.host import paths
from runner.host.pins import requirements
from runner.host.pins.requirements import Requirement
from runner.host.readers import lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, Stack

MAX_BYTES = 16 * 1024 * 1024

# Each is installed over the ones before it, into one environment.
TOGETHER = ("build", "host", "dev", "mutation")


def text_of(entry: lockfile.Requirements, root: Path) -> str:
    """Return the text of a requirements file. Raises ``InputError`` where the file cannot be read."""
    raw = files.read_bytes(root / entry.file, MAX_BYTES, advice="Restore the file, or run `python -m runner lock`.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(f"{entry.file}: byte {problem.start} is not UTF-8. Restore it with `git checkout`.") from None


def locked_text(entry: lockfile.Requirements, root: Path = paths.ROOT) -> str:
    """Return the text of a requirements file. Raises ``InputError`` where the file is not the one whose sha256 the lock has."""
    if not (root / entry.file).exists():
        state = "is missing"
    else:
        text = text_of(entry, root)
        if hashlib.sha256(text.encode("utf-8")).hexdigest() == entry.sha256:
            return text
        state = "was changed"
    raise InputError(f"{entry.file} {state} since versions.lock was written. Run `python -m runner lock`.")


def problems(lock: Lock, root: Path) -> Iterator[str]:
    """Yield a sentence for each place where lock and requirements files contradict each other; nothing is asked of a network."""
    listed = {
        where: requirements.read(text_of(entry, root), entry.file)
        for where, entry in lockfile.requirements_files(lock).items()
    }
    for where, entry in lockfile.requirements_files(lock).items():
        yield from _of_one_file(entry.file, listed[where])
        if entry.python != "3.8":
            yield from _tools(lock, entry.file, listed[where])
    for name, stack in lock.stacks.items():
        own = listed["stacks", name, "requirements"]
        torch = listed["stacks", name, "torch"] if stack.torch else None
        yield from _of_stack(name, stack, own, torch)
        locked = [*own, *(torch or ())]
        target = Target.of(name, stack, locked)
        for one in locked:
            for told in target.contradicts(one, installed_demands(one)):
                yield f"{stack.requirements.file}: {told}"
    yield from _together(lock, listed)


@dataclass(frozen=True)
class Target:
    """What a stack's packages find beside them: ``versions`` of all that is locked or of the base, ``markers`` of its Python."""

    versions: dict[str, str]
    markers: dict[str, str]

    @classmethod
    def of(cls, name: str, stack: Stack, locked: list[Requirement]) -> Target:
        """Return the target of a stack, by its own Python; the files of the cpu stack serve several, and 3.12 stands for them."""
        markers = requirements.target_environment(f"{stack.python}.0" if name in requirements.PLATFORMS else "3.12.0")
        versions = {one.name: one.version for one in locked if one.serves(markers)}
        known = {package: pin.version for package, pin in stack.packages.items() if pin.version != UNRESOLVED}
        return cls({**versions, **known}, markers)

    def contradicts(self, one: Requirement, demands: list[str] | None) -> Iterator[str]:
        """Yield what a package demands (``Requires-Dist``, None where it is not known) and does not find."""
        for line in (demands or ()) if one.serves(self.markers) else ():
            demand = _demand(line, self.markers)
            found = self.versions.get(canonicalize_name(demand.name)) if demand else None
            if demand is not None and found is not None and not _allows(demand, found):
                yield f"{one.name} {one.version} demands {demand.name}{demand.specifier}, and {found} is locked"


def installed_demands(one: Requirement) -> list[str] | None:
    """Return what a package demands, as this environment's installation of the same version says; None where there is none."""
    try:
        found = importlib.metadata.distribution(one.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return list(found.requires or ()) if found.version == one.version else None


def _demand(line: str, target: dict[str, str]) -> Demand | None:
    """Return a line of ``Requires-Dist`` that holds on the target, and None for one of an extra, or one that is damaged."""
    try:
        demand = Demand(line)
    except InvalidRequirement:
        return None
    return demand if demand.marker is None or demand.marker.evaluate({**target, "extra": ""}) else None


def _allows(demand: Demand, version: str) -> bool:
    try:
        return demand.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _of_one_file(file: str, listed: list[Requirement]) -> Iterator[str]:
    for one in listed:
        if not one.hashes:
            yield f"{file}: {one.name} {one.version} has no hash"
    seen: dict[tuple[str, str | None], str] = {}
    for one in listed:
        if seen.setdefault((one.name, one.marker), one.version) != one.version:
            yield f"{file}: {one.name} stands twice, as {seen[one.name, one.marker]} and {one.version}"


def _tools(lock: Lock, file: str, listed: list[Requirement]) -> Iterator[str]:
    """Compare the tools where a file is bounded by their versions: those that run outside the stacks."""
    if not file.startswith("requirements/"):
        return
    for one in listed:
        if one.name in lock.tools and one.version != lock.tools[one.name]:
            yield f"{file}: {one.name} is {one.version}, and versions.lock says {lock.tools[one.name]} (tools)"


def _of_stack(name: str, stack: Stack, own: list[Requirement], torch: list[Requirement] | None) -> Iterator[str]:
    file = stack.requirements.file
    for one in own:
        if one.name in requirements.EXCLUDED or one.name.startswith(("nvidia-", "habana-")):
            yield f"{file}: {one.name} {one.version} stands here; the base of {name}, or its own file for torch, brings it"
    for package, pin in stack.packages.items():
        yield from _of_package(f"stacks.{name}.packages.{package}", package, pin, stack, own, torch)
    if torch is not None and stack.torch is not None:
        doubled = sorted({one.name for one in torch} & {one.name for one in own})
        if doubled:
            yield f"{stack.torch.file}: {doubled[0]} stands here and in {file}"


def _of_package(
    where: str,
    package: str,
    pin: lockfile.Package,
    stack: Stack,
    own: list[Requirement],
    torch: list[Requirement] | None,
) -> Iterator[str]:
    file, listed = stack.requirements.file, own
    if package == "torch" and pin.origin == "index":
        if torch is None or stack.torch is None:
            return
        file, listed = stack.torch.file, torch
    found = [one for one in listed if one.name == package]
    if pin.origin != "index":
        if found:
            yield f"{file}: {package} {found[0].version} stands here, and {where} comes from {pin.origin}"
        return
    versions = sorted({one.version.partition("+")[0] if "+" not in pin.version else one.version for one in found})
    if versions != [pin.version]:
        yield f"{file}: {package} is {' and '.join(versions) or 'not here'}, and {where} says {pin.version}"
    elif pin.sha256 not in (None, UNRESOLVED) and pin.sha256 not in {sha256 for one in found for sha256 in one.hashes}:
        yield f"{file}: no hash of {package} {pin.version} is the {pin.sha256} that {where} says"


def _together(lock: Lock, listed: dict[tuple[str, ...], list[Requirement]]) -> Iterator[str]:
    """Compare the files that are installed into one environment: no file moves a package of another."""
    files_together = [("stacks", "cpu", "requirements")] + [("requirements", name) for name in TOGETHER]
    first: dict[str, tuple[str, str]] = {}
    entries = lockfile.requirements_files(lock)
    for where in files_together:
        versions: dict[str, set[str]] = {}
        for one in listed.get(where, ()):
            versions.setdefault(one.name, set()).add(one.version)
        for package, found in versions.items():
            told = " and ".join(sorted(found))
            other, before = first.setdefault(package, (entries[where].file, told))
            if before != told:
                yield f"{entries[where].file}: {package} is {told}, and {before} in {other}, which shares the environment"


def check(lock: Lock, root: Path = paths.ROOT) -> None:
    """Raise ``InputError`` for a requirements file that is missing, was changed, or contradicts the lock, with every contradiction."""
    for entry in lockfile.requirements_files(lock).values():
        locked_text(entry, root)
    told = list(problems(lock, root))
    if told:
        raise InputError(
            f"versions.lock and the requirements files contradict each other: {'; '.join(told)}. Mend the version in"
            " versions.lock, set the sha256 of the file to unresolved, and run `python -m runner lock`."
        )
