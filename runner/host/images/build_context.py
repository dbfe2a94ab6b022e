"""Gather everything that an image is built from into one folder, so that the build itself needs no network.

The folder holds the Dockerfile, ``install.sh``, ``tools`` (pip and wheel), ``wheels`` (every locked file for the base's Python),
``sources`` (trees of git), ``programs`` (scripts that compile programs of other languages than Python), ``requirements`` (the
hashes of all) and ``kit`` (the runner without its host side).
Modes are set here, never taken from a checkout; times are the builder's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.contract import recipe as contract
from runner.contract.errors import Unsupported
from runner.contract.files import sha256_of_file
from runner.contract.requirements import Requirement
from runner.host import paths
from runner.host.pins.origins import git, package_index
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock, PinnedStack, RequirementsFile
from runner.host.stacks import agreement, dockerfiles, recipe, requirements


def gather(
    stack: PinnedStack,
    lock: Lock,
    python: str,
    glibc: str,
    wheelhouse: Path,
    folder: Path,
    checkouts: Mapping[str, Path],
    base_inventory: str | None,
) -> None:
    """Fill ``folder`` with the build context of a stack whose base has CPython ``python`` and glibc ``glibc`` (3.12.1, 2.36).

    ``wheelhouse`` is a folder that keeps fetched files from one build to the next. ``checkouts`` maps git sources to local copies.
    ``base_inventory`` is the JSON of the base's packages, None where the image does not use them. Raises ``InputError`` where a
    file of the lock was changed, ``Unsupported`` where a package has no wheel for the target, ``Unreachable`` where an index does
    not answer or its file has another hash.
    """
    target = requirements.target_environment(python)
    wheelhouse.mkdir(parents=True, exist_ok=True)
    wheels: list[Requirement] = []
    sources: list[Requirement] = []
    for entry in (stack.torch, stack.requirements):
        if entry is not None:
            pins = _locked(entry, target)
            from_wheels = [pin for pin in pins if pin.name not in requirements.SOURCE_ONLY]
            _fetch(from_wheels, python, glibc, wheelhouse, entry.index)
            wheels += from_wheels
            sources += [pin for pin in pins if pin.name in requirements.SOURCE_ONLY]
    tools = [pin for pin in recipe.tools(lock, python) if requirements.serves(pin, target)]
    _fetch(tools, python, glibc, wheelhouse, None)
    archives = [package_index.fetch_source_distribution(pin.name, pin.hashes, wheelhouse) for pin in sources]
    for file in archives + _matching(wheelhouse, wheels):
        _link(file, folder / "wheels" / file.name)
    for file in _matching(wheelhouse, tools):
        _link(file, folder / "tools" / file.name)
    _write("".join(pin.text for pin in wheels), folder / "requirements" / "wheels.txt")
    _write("".join(pin.text for pin in sources), folder / "requirements" / "sources.txt")
    _place_sources(stack, lock, checkouts, folder)
    _place(dockerfiles.path(stack), folder / "Dockerfile")
    _place(dockerfiles.INSTALL, folder / "install.sh")
    _make_folder(folder / "programs")
    for file in dockerfiles.program_scripts(stack):
        _place(file, folder / "programs" / file.name)
    for name, file in kit_files(stack).items():
        _place(file, folder / "kit" / name)
    if base_inventory is not None:
        _write(base_inventory, folder / "kit" / "base.json")


def _locked(entry: RequirementsFile, target: Mapping[str, str]) -> list[Requirement]:
    """Return the requirements of a locked file that a target needs. Raises ``InputError`` where the file was changed."""
    return [
        pin for pin in requirements.read(agreement.locked_text(entry), entry.file) if requirements.serves(pin, target)
    ]


def kit_files(stack: PinnedStack) -> dict[str, Path]:
    """Return path below the kit to file of everything that the image of a stack holds of this checkout."""
    return {**recipe.kit_files(), stack.requirements.file: paths.ROOT / stack.requirements.file}


def inputs(name: str, lock: Lock, pins: Sequence[str]) -> str:
    """Return the sha256 of everything that decides an image of the stack, less the commit: ``pins``, recipe, locks, runner."""
    stack = lock.stacks[name]
    hashed = hashlib.sha256("\0".join([name, *pins, ""]).encode())
    files = [dockerfiles.path(stack), *dockerfiles.program_scripts(stack), dockerfiles.INSTALL]
    files += [paths.ROOT / lock.requirements[tools].file for tools in recipe.BUILD_TOOLS]
    files += [paths.ROOT / stack.torch.file] if stack.torch else []
    named = {**kit_files(stack), **{str(file.relative_to(paths.ROOT)): file for file in files}}
    for path, file in sorted(named.items()):
        hashed.update(f"{path}\0{sha256_of_file(file)}\0".encode())
    return hashed.hexdigest()


def platforms(glibc: str) -> list[str]:
    """Return the wheel platforms that x86-64 Linux with a glibc such as 2.36 takes, newest first. Raises ``Unsupported``."""
    major, minor = (int(part) for part in glibc.split("."))
    if major != 2:
        raise Unsupported(f"The base image has glibc {glibc}; wheels are known for 2.x only. Name another base.")
    newer = [f"manylinux_2_{number}_x86_64" for number in range(minor, 4, -1)]
    return [*newer, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def _fetch(pins: Sequence[Requirement], python: str, glibc: str, folder: Path, index: str | None) -> None:
    """Fetch the wheels of requirements into a folder, from an index or the user's own."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / ("torch.txt" if index else "requirements.txt")
        file.write_text("".join(pin.plain for pin in pins), encoding="utf-8")
        package_index.fetch_wheels(file, ".".join(python.split(".")[:2]), platforms(glibc), folder, index)


def _matching(folder: Path, pins: Sequence[Requirement]) -> list[Path]:
    """Return the wheels of a folder whose hash a requirement has. Raises ``Unsupported`` for a requirement without a wheel."""
    names = {sha256: pin.name for pin in pins for sha256 in pin.hashes}
    wheels = {names[sha256]: file for file in folder.glob("*.whl") if (sha256 := sha256_of_file(file)) in names}
    missing = sorted({pin.name for pin in pins} - set(wheels))
    if missing:
        raise Unsupported(f"No wheel was found for {', '.join(missing)}. Remove {folder} and try again.")
    return list(wheels.values())


def _place_sources(stack: PinnedStack, lock: Lock, checkouts: Mapping[str, Path], folder: Path) -> None:
    """Put the pinned trees of git sources into the context, and what to build of them into git.txt and programs.txt."""
    epochs = {}
    _make_folder(folder / "sources")
    for name, where in stack.sources.items():
        source = lock.sources[where]
        for value, part in ((source.commit, "commit"), (source.tree, "tree")):
            lockfile.need(value, f"The {part} of {where}, which {name} is built from,")
        target = folder / "sources" / name
        _make_folder(target)
        epochs[name] = git.export_tree(checkouts.get(where, source.repository), source.commit, source.tree, target)
    _write(contract.git_text(recipe.sources(stack, lock), epochs), folder / "requirements" / "git.txt")
    _write(contract.programs_text(list(stack.programs)), folder / "requirements" / "programs.txt")


def _link(file: Path, target: Path) -> None:
    """Link a file that is only read while building; copy it where the disk cannot link."""
    _make_folder(target.parent)
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _place(file: Path, target: Path) -> None:
    """Copy a file into the context, with the one mode that files of an image have."""
    _make_folder(target.parent)
    shutil.copyfile(file, target)
    target.chmod(0o644)


def _write(text: str, target: Path) -> None:
    """Write a file of the context, with the one mode that files of an image have."""
    _make_folder(target.parent)
    target.write_text(text, encoding="utf-8")
    target.chmod(0o644)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, with the one mode that folders of an image have."""
    if not path.exists():
        _make_folder(path.parent)
        path.mkdir()
        path.chmod(0o755)
