"""A small checkout of the kit in which a bump can be carried out, and an index on loopback that has what its stacks need. For tests.

The lock is the kit's own; the requirements files that a bump of the stacks cpu and cuda compiles hold a dozen packages in place of a
hundred. The index has further releases of ``datasets``, and each file is a wheel with nothing in it but its metadata.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.contract.announce import Announcer
from runner.host import paths
from runner.host.bump import recipe
from runner.host.pins import uv
from runner.host.pins.origins import package_index as index_questions
from runner.host.readers import catalog, lock_editor, lockfile, profiles
from runner.host.readers.lockfile import LockPath
from runner.host.stacks import agreement, requirements
from runner.host.verbs import bump
from tests.support import package_index
from tests.support.package_index import Package

# What a bump of a stack may write, and what it reads. Pages and manifests are made by programs that the tests of them run.
_COPIED = ("versions.lock", "CHANGELOG.md", "README.md", "requirements", "images", "runner/catalog")
# Where the kit itself is; `paths` names the small checkout while a test runs.
_ROOT, _LOCK = paths.ROOT, paths.LOCK
EARLY, LATE = "2026-06-01T12:00:00Z", "2026-11-25T23:30:00Z"
LATE_DAY = LATE[:10]

# Releases of datasets beside the locked one, with what each demands. 5.4.0 demands what is not there, 5.5.0 was withdrawn.
DATASETS: Mapping[str, tuple[str, Sequence[str]]] = {
    "5.1.0": (EARLY, ["dill", "fsspec", "multiprocess"]),
    "5.2.0": (EARLY, ["dill", "fsspec", "multiprocess"]),
    "5.3.0": (LATE, ["dill", "fsspec", "xxhash"]),
    "5.4.0": (EARLY, ["dill>=7"]),
}
# What no stack has, or what the kit's own files alone have.
OTHERS = {"pyyaml": "6.0.3", "iniconfig": "2.3.0"}
# What the locked datasets needs in turn. Versions are those that the stack has: the demands of packages that are installed hold here too.
NEEDED = ("dill", "multiprocess", "xxhash")
STACKS = ("cpu", "cuda", "gaudi-1.24")


def wheel(project: str, version: str, demands: Sequence[str] = (), uploaded: str | None = EARLY) -> Package:
    """Return a wheel that holds nothing but its metadata."""
    stem = f"{project.replace('-', '_')}-{version}"
    lines = [f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"]
    lines += [f"Requires-Dist: {demand}\n" for demand in demands]
    files = {
        "METADATA": "".join(lines),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{file}", (2020, 1, 1, 0, 0, 0)), text)
    return Package(project, version, f"{stem}-py3-none-any.whl", packed.getvalue(), uploaded)


@dataclass
class World:
    """The checkout, and the index that its bumps ask; ``asked`` grows by the path of each question."""

    folder: Path
    asked: list[str]
    scratch: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def lock(self) -> Path:
        return self.folder / "versions.lock"

    def bump(self, *arguments: str) -> int:
        """Run the verb ``bump`` on the checkout, and return its exit code. Raises as the verb does."""
        return bump.main(list(arguments))

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout

    def commit(self) -> None:
        """Commit all that is there."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "all")

    def changed(self) -> list[str]:
        """Return the files that differ from the commit, those that it does not have included."""
        told = self.git("status", "--porcelain", "--no-renames", "--untracked-files=all")
        return [line[3:] for line in told.splitlines()]

    def contents(self) -> dict[str, bytes]:
        """Return what every file holds that is not git's own."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def edit(self, changes: Mapping[LockPath, str]) -> None:
        """Change values of the lock, and commit that."""
        assert lock_editor.edit(self.lock, changes)
        self.commit()

    def read(self) -> lockfile.Lock:
        return lockfile.read(self.lock)

    def versions(self, file: str) -> dict[str, str]:
        """Return the versions of a requirements file by package."""
        return {pin.name: pin.version for pin in requirements.read((self.folder / file).read_text())}

    def after_write(self, act: object) -> None:
        """Let something happen where the bump renders: ``act`` is called with the words of the program."""
        self.monkeypatch.setattr(recipe._Work, "_run", lambda work, words: act(words))  # type: ignore[operator]


def _pinned(
    versions: Mapping[str, str],
    files: Mapping[tuple[str, str], Package],
    source: str,
    entry: lockfile.RequirementsFile,
    platform: str | None = None,
) -> str:
    """Return a requirements file as `lock` writes it."""
    python = entry.python if platform else f"{entry.python} and newer"
    head = uv.HEADER.format(source=source, python=python, day=entry.exclude_newer)
    return head + "".join(files[name, version].requirement() for name, version in sorted(versions.items()))


def _locked(stack: str) -> dict[str, str]:
    """Return the versions of a stack's own requirements file, as the kit has it."""
    file = lockfile.read(_LOCK).stacks[stack].requirements.file
    return {pin.name: pin.version for pin in requirements.read((_ROOT / file).read_text())}


def _kept(stack: str) -> dict[str, str]:
    """Return what the small requirements file of a stack holds."""
    locked, packages = _locked(stack), lockfile.read(_LOCK).stacks[stack].packages
    direct = [name for name, pin in packages.items() if pin.origin == "index" and name != "torch"]
    needed = [] if stack == "gaudi-1.24" else list(NEEDED[:2])
    return {name: locked[name] for name in (*requirements.TORCH_NEEDS, *direct, *needed)}


def index() -> list[Package]:
    """Return the files of the index: all that the stacks of the small checkout need, in the versions that the lock pins."""
    listed = {(name, version): wheel(name, version) for name, version in OTHERS.items()}
    listed.update({(name, _locked("cpu")[name]): wheel(name, _locked("cpu")[name]) for name in NEEDED})
    for version, (uploaded, demands) in DATASETS.items():
        listed["datasets", version] = wheel("datasets", version, demands, uploaded)
    for stack in STACKS:
        for name, version in _kept(stack).items():
            listed.setdefault((name, version), wheel(name, version))
    for tool, version in lockfile.read(_LOCK).tools.items():
        listed[tool, version] = wheel(tool, version)
    listed["uv", "99.0"] = wheel("uv", "99.0", (), LATE)
    listed["fsspec", "9999.0"] = wheel("fsspec", "9999.0", (), EARLY)
    return [*listed.values(), wheel("datasets", "5.5.0")._replace(withdrawn="broken")]


def _shrink(folder: Path, packages: Sequence[Package]) -> None:
    """Write small requirements files into the checkout, with their hashes into its lock."""
    files = {(one.project, one.version): one for one in packages}
    lock = lockfile.read(folder / "versions.lock")
    values: dict[LockPath, str] = {}
    texts: dict[LockPath, str] = {}
    for stack in STACKS:
        told = _kept(stack)
        pinned = lock.stacks[stack]
        texts["stacks", stack, "requirements"] = _pinned(
            told, files, f"stack {stack}", pinned.requirements, pinned.platform
        )
        for package, pin in lock.stacks[stack].packages.items():
            if package in told and pin.sha256 is not None:
                values["stacks", stack, "packages", package, "sha256"] = files[package, pin.version].sha256
    edited = {"host": ["pyyaml", "fsspec"], "dev": ["iniconfig", "uv"], "mutation": ["iniconfig"]}
    versions = {**OTHERS, **_kept("cpu"), **lock.tools}
    for name, lines in edited.items():
        (folder / "requirements" / f"{name}.in").write_text("".join(f"{line}\n" for line in lines))
        told = {line: versions[line] for line in lines}
        texts["requirements", name] = _pinned(told, files, f"requirements/{name}.in", lock.requirements[name])
    entries = lockfile.requirements_files(lock)
    for where, text in texts.items():
        (folder / entries[where].file).write_text(text)
        values.update({(*where, "sha256"): hashlib.sha256(text.encode()).hexdigest()})
    assert lock_editor.edit(folder / "versions.lock", values)


@contextmanager
def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Make the checkout below ``folder``, let the verb work on it, and serve the index."""
    clone = folder / "kit"
    clone.mkdir()
    for name in _COPIED:
        source = _ROOT / name
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    packages = index()
    _shrink(clone, packages)
    with package_index.serve(packages, as_json=True) as (address, asked):
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            monkeypatch.delenv(name)
        for name, value in {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": address,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "UV_CACHE_DIR": str(folder / "uv-cache"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(paths, "ROOT", clone)
        monkeypatch.setattr(paths, "LOCK", clone / "versions.lock")
        monkeypatch.setattr(paths, "CATALOG", clone / "runner" / "catalog")
        for reader in (lockfile.read, lockfile.notes):
            monkeypatch.setattr(reader, "__defaults__", (paths.LOCK,))
        for table in (catalog.read, profiles.read):
            monkeypatch.setattr(table, "__defaults__", (paths.CATALOG,))
        for held in (agreement.locked_text, agreement.refuse_contradictions):
            monkeypatch.setattr(held, "__defaults__", (clone,))
        index_questions._listed.cache_clear()
        # manifests and pages are made by programs that have tests of their own
        monkeypatch.setattr(recipe, "RENDER", ("-c", "pass"))
        monkeypatch.setattr(recipe, "GENERATE", ("-c", "pass"))
        world = World(clone, asked, folder, monkeypatch)
        world.git("init", "--quiet", "--initial-branch=main")
        world.commit()
        yield world
    index_questions._listed.cache_clear()


def announcer() -> Announcer:
    return Announcer(False)
