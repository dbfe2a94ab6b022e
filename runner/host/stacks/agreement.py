"""Compare every version and hash of the lock with the requirements files, offline, and what packages demand of each other.

The demands of a package stand in its metadata. Where the kit's own environment has the locked version installed, the metadata is
read there. ``presence`` asks an index for the demands of the others (PEP 658).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Demand
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.requirements import Requirement
from runner.host import paths
from runner.host.readers import lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedPackage, PinnedStack, RequirementsFile
from runner.host.stacks import requirements

MAX_BYTES = 16 * 1024 * 1024

# Files of the lock's requirements that are installed into one environment, each over the ones before it.
TOGETHER = ("build", "host", "dev", "mutation")


def text_of(entry: RequirementsFile, root: Path) -> str:
    """Return the text of a requirements file. Raises ``InputError`` where the file cannot be read."""
    raw = files.read_bytes(root / entry.file, MAX_BYTES, advice="Restore the file, or run `python -m runner lock`.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(f"{entry.file}: byte {problem.start} is not UTF-8. Restore it with `git checkout`.") from None


def locked_text(entry: RequirementsFile, root: Path = paths.ROOT) -> str:
    """Return the text of a requirements file. Raises ``InputError`` where the file's sha256 is not the one of the lock."""
    if entry.sha256 == UNRESOLVED:
        raise InputError(
            f"{entry.file} is not compiled from what versions.lock pins now: its sha256 there is unresolved. Run `python -m runner lock`."
        )
    if not (root / entry.file).exists():
        state = "is missing"
    else:
        text = text_of(entry, root)
        if hashlib.sha256(text.encode("utf-8")).hexdigest() == entry.sha256:
            return text
        state = "was changed"
    raise InputError(f"{entry.file} {state} since versions.lock was written. Run `python -m runner lock`.")


def refuse_contradictions(lock: Lock, root: Path = paths.ROOT) -> None:
    """Raise ``InputError`` for a requirements file that is missing, was changed, or contradicts the lock, with every contradiction."""
    for entry in lockfile.requirements_files(lock).values():
        locked_text(entry, root)
    contradictions = list(problems(lock, root))
    if contradictions:
        raise InputError(
            f"versions.lock and the requirements files contradict each other: {'; '.join(contradictions)}. Mend the version in"
            " versions.lock, set the sha256 of the file to unresolved, and run `python -m runner lock`."
        )


def problems(lock: Lock, root: Path) -> Iterator[str]:
    """Yield a sentence for each place where lock and requirements files contradict each other. No network is asked."""
    pins = {
        where: requirements.read(text_of(entry, root), entry.file)
        for where, entry in lockfile.requirements_files(lock).items()
    }
    for where, entry in lockfile.requirements_files(lock).items():
        yield from _of_one_file(entry.file, pins[where])
        if entry.python != "3.8":
            yield from _of_tools(lock, entry.file, pins[where])
    for name, stack in lock.stacks.items():
        stack_pins = pins["stacks", name, "requirements"]
        torch_pins = pins["stacks", name, "torch"] if stack.torch else None
        yield from _of_stack(name, stack, stack_pins, torch_pins)
        locked = [*stack_pins, *(torch_pins or ())]
        target = Target.of(stack, locked)
        for pin in locked:
            for contradiction in target.contradicts(pin, installed_demands(pin)):
                yield f"{stack.requirements.file}: {contradiction}"
    yield from _of_shared_environment(lock, pins)


@dataclass(frozen=True)
class Target:
    """The surroundings of a stack's packages: ``versions`` of all that is locked or of the base, ``markers`` of its Python."""

    versions: dict[str, str]
    markers: dict[str, str]

    @classmethod
    def of(cls, stack: PinnedStack, locked: Sequence[Requirement]) -> Target:
        """Return the target of a stack by its own Python; a stack without a platform serves several, and 3.12 stands for them."""
        markers = requirements.target_environment(f"{stack.python}.0" if stack.platform else "3.12.0")
        versions = {pin.name: pin.version for pin in locked if requirements.serves(pin, markers)}
        direct = {package: pin.version for package, pin in stack.packages.items() if pin.version != UNRESOLVED}
        return cls({**versions, **direct}, markers)

    def contradicts(self, pin: Requirement, demands: Sequence[str] | None) -> Iterator[str]:
        """Yield what a package demands (lines of ``Requires-Dist``, None where unknown) and does not find."""
        for line in (demands or ()) if requirements.serves(pin, self.markers) else ():
            demand = _demand(line, self.markers)
            version = self.versions.get(canonicalize_name(demand.name)) if demand else None
            if demand is not None and version is not None and not _allows(demand, version):
                yield f"{pin.name} {pin.version} demands {demand.name}{demand.specifier}, and {version} is locked"


def installed_demands(pin: Requirement) -> list[str] | None:
    """Return what a package demands, as this environment's installation of the same version says; None where there is none."""
    try:
        distribution = importlib.metadata.distribution(pin.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return list(distribution.requires or ()) if distribution.version == pin.version else None


def _demand(line: str, markers: Mapping[str, str]) -> Demand | None:
    """Return a line of ``Requires-Dist`` that holds under markers; None for a line of an extra, or a damaged line."""
    try:
        demand = Demand(line)
    except InvalidRequirement:
        return None
    return demand if demand.marker is None or demand.marker.evaluate({**markers, "extra": ""}) else None


def _allows(demand: Demand, version: str) -> bool:
    try:
        return demand.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _of_one_file(file: str, pins: Sequence[Requirement]) -> Iterator[str]:
    """Yield packages of one file that have no hash, or two versions for the same marker."""
    for pin in pins:
        if not pin.hashes:
            yield f"{file}: {pin.name} {pin.version} has no hash"
    seen: dict[tuple[str, str | None], str] = {}
    for pin in pins:
        if seen.setdefault((pin.name, pin.marker), pin.version) != pin.version:
            yield f"{file}: {pin.name} stands twice, as {seen[pin.name, pin.marker]} and {pin.version}"


def _of_tools(lock: Lock, file: str, pins: Sequence[Requirement]) -> Iterator[str]:
    """Yield tools whose version is not the lock's, in a file of the kit itself; files of stacks hold no tools."""
    if not file.startswith("requirements/"):
        return
    for pin in pins:
        if pin.name in lock.tools and pin.version != lock.tools[pin.name]:
            yield f"{file}: {pin.name} is {pin.version}, and versions.lock says {lock.tools[pin.name]} (tools)"


def _of_stack(
    name: str, stack: PinnedStack, stack_pins: Sequence[Requirement], torch_pins: Sequence[Requirement] | None
) -> Iterator[str]:
    """Yield where a stack's files hold what the base brings, hold a package twice, or are not as its direct pins say."""
    file = stack.requirements.file
    pinned_from_index = {package for package, entry in stack.packages.items() if entry.origin == "index"}
    for pin in stack_pins:
        of_vendor = pin.name.startswith(("nvidia-", "habana-")) and pin.name not in pinned_from_index
        if pin.name in requirements.EXCLUDED or of_vendor:
            yield f"{file}: {pin.name} {pin.version} stands here; the base of {name}, or its own file for torch, brings it"
    for package, direct in stack.packages.items():
        yield from _of_package(f"stacks.{name}.packages.{package}", package, direct, stack, stack_pins, torch_pins)
    if torch_pins is not None and stack.torch is not None:
        doubled = sorted({pin.name for pin in torch_pins} & {pin.name for pin in stack_pins})
        if doubled:
            yield f"{stack.torch.file}: {doubled[0]} stands here and in {file}"


def _of_package(
    where: str,
    package: str,
    direct: PinnedPackage,
    stack: PinnedStack,
    stack_pins: Sequence[Requirement],
    torch_pins: Sequence[Requirement] | None,
) -> Iterator[str]:
    """Yield how a direct pin of a stack differs from what its file locks; ``where`` is the pin's place in the lock."""
    file, pins = stack.requirements.file, stack_pins
    if package == "torch" and direct.origin == "index":
        if torch_pins is None or stack.torch is None:
            return
        file, pins = stack.torch.file, torch_pins
    matches = [pin for pin in pins if pin.name == package]
    if direct.origin != "index":
        if matches:
            yield f"{file}: {package} {matches[0].version} stands here, and {where} comes from {direct.origin}"
        return
    versions = sorted({pin.version.partition("+")[0] if "+" not in direct.version else pin.version for pin in matches})
    if versions != [direct.version]:
        yield f"{file}: {package} is {' and '.join(versions) or 'not here'}, and {where} says {direct.version}"
    elif direct.sha256 not in (None, UNRESOLVED) and not any(direct.sha256 in pin.hashes for pin in matches):
        yield f"{file}: no hash of {package} {direct.version} is the {direct.sha256} that {where} says"


def _of_shared_environment(lock: Lock, pins: Mapping[LockPath, Sequence[Requirement]]) -> Iterator[str]:
    """Yield packages that one file moves and another file of the same environment has locked."""
    shared: list[LockPath] = [("stacks", "cpu", "requirements"), *(("requirements", name) for name in TOGETHER)]
    # package to the first file that has it, and its versions there
    first: dict[str, tuple[str, str]] = {}
    entries = lockfile.requirements_files(lock)
    for where in shared:
        versions: dict[str, set[str]] = {}
        for pin in pins.get(where, ()):
            versions.setdefault(pin.name, set()).add(pin.version)
        for package, numbers in versions.items():
            version = " and ".join(sorted(numbers))
            file, first_version = first.setdefault(package, (entries[where].file, version))
            if first_version != version:
                yield f"{entries[where].file}: {package} is {version}, and {first_version} in {file}, which shares the environment"
