"""Gather everything that an image is built from into one folder, so that the build itself needs no network.

The folder holds the Dockerfile, ``install.sh``, ``tools`` (pip and wheel), ``wheels`` (every locked file for the base's
Python), ``sources`` (trees of git), ``programs`` (how those are compiled that are no Python), ``requirements`` (the hashes of
all) and ``kit`` (the runner without its host side).
Modes are set here, never taken from a checkout; times are the builder's.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from runner.contract.errors import Unsupported
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.pins import agreement, git_source, origins, requirements
from runner.host.readers import lockfile

# What an image holds of the repository; runner/host and the catalog stay outside.
KIT = ("LICENSE", "runner/__init__.py", "runner/__main__.py", "runner/contract", "runner/bench")

INSTALL = paths.ROOT / "images" / "install.sh"

# The lock's requirements of pip, setuptools and wheel: for a Python of today, and for 3.8.
BUILD_TOOLS = ("build", "build38")


def dockerfile(stack):
    return paths.ROOT / Path(stack.requirements.file).parent / "Dockerfile"


def recipes(stack):
    """Return the scripts that compile a stack's programs; they lie beside its Dockerfile."""
    return [dockerfile(stack).with_name(f"{name}.sh") for name in stack.programs]


def gather(stack, lock, python, glibc, wheelhouse, folder, checkouts, base):
    """Fill ``folder`` with the build context of a stack whose base has CPython ``python`` and glibc ``glibc`` (3.12.1, 2.36).

    Files fetched before are found in ``wheelhouse``. ``checkouts`` names local copies of git sources. ``base`` is the
    inventory of the base's packages, None where the image does not use them. Raises ``Unreachable`` where an index does
    not answer or its file has another hash.
    """
    target = requirements.target_environment(python)
    build_tools = _build_tools(lock, python)
    locked = [
        (one, entry.index)
        for entry in (stack.torch, stack.requirements)
        if entry is not None
        for one in requirements.read(agreement.locked_text(entry), entry.file)
        if one.serves(target)
    ]
    tools = [
        one
        for one in requirements.read(agreement.locked_text(build_tools), build_tools.file)
        if one.serves(target) and one.name in ("pip", "wheel")
    ]
    sources = [one for one, _ in locked if one.name in requirements.SOURCE_ONLY]
    wheels = [one for one, _ in locked if one.name not in requirements.SOURCE_ONLY]
    wheelhouse.mkdir(parents=True, exist_ok=True)
    for index in sorted({index for _, index in locked}, key=str):
        wanted = [one for one, of in locked if of == index and one in wheels]
        _fetch(wanted, python, glibc, wheelhouse, index)
    _fetch(tools, python, glibc, wheelhouse, None)
    files = [origins.source_distribution(one.name, one.hashes, wheelhouse) for one in sources]
    for part, chosen in (("wheels", files + _matching(wheelhouse, wheels)), ("tools", _matching(wheelhouse, tools))):
        for file in chosen:
            _link(file, folder / part / file.name)
    for file, chosen in (("wheels.txt", wheels), ("sources.txt", sources)):
        _write("".join(one.text for one in chosen), folder / "requirements" / file)
    _sources(stack, lock, checkouts, folder)
    _place(dockerfile(stack), folder / "Dockerfile")
    _place(INSTALL, folder / "install.sh")
    _folder(folder / "programs")
    for file in recipes(stack):
        _place(file, folder / "programs" / file.name)
    for file in kit_files(stack):
        _place(file, folder / "kit" / file.relative_to(paths.ROOT))
    if base is not None:
        _write(base, folder / "kit" / "base.json")


def _build_tools(lock: lockfile.Lock, python: str) -> lockfile.Requirements:
    """Return the file of the pip and wheel that run on a Python such as 3.12.1."""
    modern = tuple(int(part) for part in python.split(".")[:2]) >= (3, 10)
    return lock.requirements[BUILD_TOOLS[0 if modern else 1]]


def kit_files(stack):
    """Return the repository's files that the image of a stack holds."""
    found = [paths.ROOT / stack.requirements.file]
    for part in KIT:
        path = paths.ROOT / part
        found += [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sorted(file for file in found if "__pycache__" not in file.parts)


def inputs(name, lock, pins):
    """Return the sha256 of everything that decides an image of the stack, less the commit: ``pins``, recipe, locks, runner."""
    stack = lock.stacks[name]
    hashed = hashlib.sha256("\0".join([name, *pins, ""]).encode())
    files = [*kit_files(stack), dockerfile(stack), *recipes(stack), INSTALL]
    files += [paths.ROOT / lock.requirements[tools].file for tools in BUILD_TOOLS]
    files += [paths.ROOT / stack.torch.file] if stack.torch else []
    for file in sorted(files):
        hashed.update(f"{file.relative_to(paths.ROOT)}\0{sha256_of_file(file)}\0".encode())
    return hashed.hexdigest()


def platforms(glibc):
    """Return the wheel platforms that x86-64 Linux with this glibc takes."""
    major, minor = (int(part) for part in glibc.split("."))
    if major != 2:
        raise Unsupported(f"The base image has glibc {glibc}; wheels are known for 2.x only. Name another base.")
    newer = [f"manylinux_2_{number}_x86_64" for number in range(minor, 4, -1)]
    return [*newer, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def _fetch(wanted, python, glibc, folder, index):
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / ("torch.txt" if index else "requirements.txt")
        file.write_text("".join(one.plain for one in wanted), encoding="utf-8")
        origins.wheels(file, ".".join(python.split(".")[:2]), platforms(glibc), folder, index)


def _matching(folder, wanted):
    """Return the files of a folder whose hash one of the requirements has; each has one."""
    known = {sha256: one.name for one in wanted for sha256 in one.hashes}
    found = {known[sha256]: file for file in folder.glob("*.whl") if (sha256 := sha256_of_file(file)) in known}
    missing = sorted({one.name for one in wanted} - set(found))
    if missing:
        raise Unsupported(f"No wheel was found for {', '.join(missing)}. Remove {folder} and try again.")
    return list(found.values())


def _sources(stack, lock, checkouts, folder):
    """Put the pinned trees of git sources into the context, and what to build of them into git.txt and programs.txt."""
    told = ""
    _folder(folder / "sources")
    for name, where in stack.sources.items():
        source = lock.sources[where]
        for value, what in ((source.commit, "commit"), (source.tree, "tree")):
            lockfile.need(value, f"The {what} of {where}, which {name} is built from,")
        target = folder / "sources" / name
        _folder(target)
        epoch = git_source.export_tree(checkouts.get(where, source.repository), source.commit, source.tree, target)
        if name in stack.packages:
            told += f"{name} {source.commit} {epoch} {stack.packages[name].sha256 or lockfile.UNRESOLVED}\n"
    _write(told, folder / "requirements" / "git.txt")
    _write("".join(f"{name}\n" for name in stack.programs), folder / "requirements" / "programs.txt")


def _link(file, target):
    """Link a file that is only read while building; copy it where the disk cannot link."""
    _folder(target.parent)
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _place(file, target):
    """Copy a file into the context, with the one mode that files of an image have."""
    _folder(target.parent)
    shutil.copyfile(file, target)
    target.chmod(0o644)


def _write(text, target):
    _folder(target.parent)
    target.write_text(text, encoding="utf-8")
    target.chmod(0o644)


def _folder(path):
    if not path.exists():
        _folder(path.parent)
        path.mkdir()
        path.chmod(0o755)
