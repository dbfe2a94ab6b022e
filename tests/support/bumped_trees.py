"""Trees with a bumped stack, for tests: a copy of this kit's files in which rows of a stack moved, compiled again by the user's index."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from runner.host.pins import compilation, uv
from runner.host.readers import lock_editor, lockfile, strictyaml
from runner.host.readers.lockfile import Lock, LockPath
from runner.host.stacks import agreement, requirements
from tests.support.planted_packages import Planted

ROOT = Path(__file__).parents[2]


def copy(folder: Path) -> Path:
    """Copy the files of this work tree into ``folder``, less those that git ignores, and return it."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def bump(tree: Path, folder: Path, rows: Mapping[str, Planted], others: Mapping[str, str] | None = None) -> Path:
    """Copy a tree into ``folder``, move rows of its stack cpu to planted releases, and compile the stack's file again.

    ``others`` are packages without a row that move too, each with its version. All else stays as it is wherever uv lets it.
    """
    shutil.copytree(tree, folder)
    path = folder / "versions.lock"
    row: LockPath = ("stacks", "cpu", "packages")
    changes: dict[LockPath, str] = {}
    for package, planted in rows.items():
        version, sha256 = ((*row, package, key) for key in ("version", "sha256"))
        changes[version], changes[sha256] = planted.package.version, planted.listed_sha256
    lock = lockfile.parse(
        strictyaml.loads(lock_editor.edited(path.read_bytes(), changes, path), "the test's lock"), path
    )
    asked = compilation.of_stack("cpu", lock.stacks["cpu"])
    target = folder / asked.entry.file
    text = uv.compile_file(
        target,
        asked.entry.python,
        asked.entry.exclude_newer,
        [*asked.names],
        [f"{package}=={version}" for package, version in (others or {}).items()],
        asked.source,
        excluded=asked.excluded,
        before=target.read_text(),
    )
    target.write_text(text)
    changes["stacks", "cpu", "requirements", "sha256"] = hashlib.sha256(text.encode()).hexdigest()
    changes.update(_in_shared_environments(folder, lock, text, {*rows, *(others or {})}))
    lock_editor.edit(path, changes)
    return folder


def _in_shared_environments(folder: Path, lock: Lock, text: str, packages: Collection[str]) -> dict[LockPath, str]:
    """Let the kit's own files, which share an environment with the stack's, hold moved packages as the stack's text does."""
    moved = {pin.name: pin.text for pin in requirements.read(text) if pin.name in packages}
    changes: dict[LockPath, str] = {}
    for name in agreement.TOGETHER:
        target = folder / lock.requirements[name].file
        before = target.read_text()
        after = before
        for pin in requirements.read(before):
            after = after.replace(pin.text, moved.get(pin.name, pin.text))
        target.write_text(after)
        changes["requirements", name, "sha256"] = hashlib.sha256(after.encode()).hexdigest()
    return changes
