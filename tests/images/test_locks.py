"""Every stack's lock can be installed on its target: pip takes each file for that Python and that C library, by its hash.

torch's own files are left to the builds of images: they are gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.contract.errors import Unreachable
from runner.contract.requirements import Requirement
from runner.host import paths
from runner.host.images import build_context
from runner.host.pins.origins import package_index
from runner.host.readers import lockfile
from runner.host.stacks import requirements

STACKS = sorted(lockfile.read().stacks)


def targets(name: str) -> list[tuple[str, str]]:
    """Return (Python, glibc) of every target of a stack; without a platform of its own it serves four Pythons."""
    stack = lockfile.read().stacks[name]
    if stack.platform is not None:
        return [(f"{stack.python}.1", stack.platform.split("manylinux_")[1].replace("_", "."))]
    return [(f"3.{minor}.1", "2.36") for minor in (10, 11, 12, 13)]


def locked(name: str, python: str) -> list[Requirement]:
    file = paths.ROOT / lockfile.read().stacks[name].requirements.file
    target = requirements.target_environment(python)
    return [
        requirement for requirement in requirements.read(file.read_text()) if requirements.serves(requirement, target)
    ]


def fetch(wanted: Sequence[Requirement], python: str, glibc: str, folder: Path) -> list[Path]:
    file = folder / "requirements.txt"
    file.write_text("".join(requirement.plain for requirement in wanted))
    destination = folder / "wheels"
    package_index.fetch_wheels(file, ".".join(python.split(".")[:2]), build_context.platforms(glibc), destination)
    return list(destination.iterdir())


@pytest.mark.parametrize("name, python, glibc", [(name, *target) for name in STACKS for target in targets(name)])
def test_every_package_has_a_wheel_for_the_target(name: str, python: str, glibc: str, tmp_path: Path) -> None:
    wanted = [requirement for requirement in locked(name, python) if requirement.name not in requirements.SOURCE_ONLY]
    files = fetch(wanted, python, glibc, tmp_path)
    assert len(build_context._matching(tmp_path / "wheels", wanted)) == len(files) == len(wanted)


@pytest.mark.parametrize("name", STACKS)
def test_source_distributions_are_fetched_by_their_hash(name: str, tmp_path: Path) -> None:
    for requirement in locked(name, "3.12.1" if lockfile.read().stacks[name].platform is None else targets(name)[0][0]):
        if requirement.name in requirements.SOURCE_ONLY:
            file = package_index.fetch_source_distribution(requirement.name, requirement.hashes, tmp_path)
            assert requirement.version in file.name
            with pytest.raises(Unreachable, match="it has no source distribution with a locked hash any more"):
                package_index.fetch_source_distribution(requirement.name, {"0" * 64}, tmp_path)


def test_one_altered_hash_is_refused(tmp_path: Path) -> None:
    (requirement,) = [requirement for requirement in locked("gaudi-1.10", "3.8.1") if requirement.name == "filelock"]
    text = requirement.text
    for sha256 in requirement.hashes:
        text = text.replace(sha256, sha256[::-1])
    altered = Requirement(requirement.name, requirement.version, None, text)
    with pytest.raises(Unreachable, match="the index, for the wheels"):
        fetch([altered], "3.8.1", "2.31", tmp_path)
    assert [file.name for file in (tmp_path / "wheels").glob("*")] == []


def test_no_locked_release_was_withdrawn() -> None:
    """One page of the index a package; the reason of one that was withdrawn would have to stand in the lock."""
    known: dict[str, dict[str, str | None]] = {}
    for name in STACKS:
        stack = lockfile.read().stacks[name]
        for requirement in requirements.read((paths.ROOT / stack.requirements.file).read_text()):
            files = known.setdefault(requirement.name, package_index.index_files(requirement.name))
            assert requirement.hashes & set(files), (name, requirement.name)
            assert {files[sha256] for sha256 in requirement.hashes & set(files)} == {None}, (name, requirement.name)
