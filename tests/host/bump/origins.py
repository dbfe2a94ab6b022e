"""All four origins on loopback, and a lock whose rows are there. For the tests of this folder and of the verb."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.host import paths
from runner.host.pins import silence
from runner.host.pins.origins import git
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock, LockPath
from tests.support import git_repository, locks
from tests.support import hub as hub_server
from tests.support import package_index as index_server
from tests.support.package_index import Package
from tests.support.registry import Registry

DAY = "2026-11-20"
NEXT_DAY = "2026-11-21"
HEAD = "3c" * 20


@dataclass
class Origins:
    """The origins, and the lock. ``repositories`` are folders of git repositories by name."""

    registry: Registry
    index: str
    hub: str
    folder: Path
    lock: Lock
    packages: list[Package] = field(default_factory=list)

    def repository(self, name: str) -> Path:
        return self.folder / name


def package(project: str, version: str, **more: str | None) -> Package:
    """Return a wheel of an index, uploaded on ``DAY`` unless it is said otherwise; its bytes are those of no wheel."""
    said: dict[str, str | None] = {"uploaded": f"{DAY}T12:00:00Z", **more}
    name = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
    return Package(project, version, name, f"{project} {version}".encode(), **said)


@contextmanager
def serve(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origins]:
    """Serve everything that the lock's rows name, nothing newer than they are, and make the verb read that lock."""
    real = lockfile.read()
    packages = [
        package(name, pin.version)
        for stack in real.stacks.values()
        for name, pin in stack.packages.items()
        if pin.origin == "index"
    ]
    packages += [package(name, version) for name, version in real.tools.items() if name != "buildah"]
    packages = list({one.name: one for one in packages}.values())
    hub_files: dict[str, bytes] = {}
    hub_rows = {
        ("model", pin.repository): (_revision(pin.revision, pin.short), hub_files) for pin in real.models.values()
    }
    hub_rows |= {("dataset", pin.repository): (pin.revision, hub_files) for pin in real.datasets.values()}
    with (
        Registry() as registry,
        index_server.serve(packages, as_json=True) as (index, _),
        hub_server.serve(hub_rows) as (hub, _),
    ):
        values = _images(real, registry)
        values.update(_sources(real, scratch))
        values.update(_actions(real, scratch / "forge"))
        monkeypatch.setattr(git, "FORGE", f"file://{scratch / 'forge'}")
        # images install torch from the same index
        values["stacks", "cpu", "torch", "index"] = index
        path, lock = locks.changed(scratch, values)
        _use(registry, index, hub, scratch, path, monkeypatch)
        yield Origins(registry, index, hub, scratch, lock, packages)


def _revision(revision: str, short: str | None) -> str:
    return revision if short is None else short + "0" * (40 - len(short))


def _images(real: Lock, registry: Registry) -> dict[LockPath, str | None]:
    """Put every image into the registry, and return where the lock names the images; those of kept stacks stay unresolved."""
    values: dict[LockPath, str | None] = {}
    for where, image in lockfile.images(real).items():
        name = image.repository.partition("/")[2]
        digest = registry.put(name, image.tag, f"{DAY}T00:00:00Z")
        repository: LockPath = (*where, "repository")
        pinned: LockPath = (*where, "digest")
        values[repository] = f"{registry.address}/{name}"
        values[pinned] = digest if image.digest != lockfile.UNRESOLVED else lockfile.UNRESOLVED
    return values


def _sources(real: Lock, scratch: Path) -> dict[LockPath, str | None]:
    """Make a repository for each row of sources, tag its commit as the lock says, and return where the lock names the repository."""
    values: dict[LockPath, str | None] = {}
    for name, source in real.sources.items():
        if source.tags is None:
            continue
        folder = scratch / name
        made = git_repository.make(folder)
        git_repository.tag(folder, source.tag or source.tags.replace("*", "1.22.0"))
        values["sources", name, "repository"] = made.repository
        values["sources", name, "commit"] = made.commit
    return values


def _actions(real: Lock, forge: Path) -> dict[LockPath, str | None]:
    """Make the repository of each action below ``forge``, tag its commit as the lock says, and return the commits."""
    values: dict[LockPath, str | None] = {}
    made: dict[Path, str] = {}
    for name, action in real.actions.items():
        # behind OWNER/NAME may stand a folder of the repository
        folder = forge.joinpath(*name.split("/")[:2])
        if folder not in made:
            folder.parent.mkdir(parents=True, exist_ok=True)
            made[folder] = git_repository.make(folder).commit
            git_repository.tag(folder, action.version)
        values["actions", name, "commit"] = made[folder]
    return values


def _use(registry: Registry, index: str, hub: str, scratch: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.settings(scratch)
    (scratch / "auth.json").write_text("{}")
    variables = {"HOME": str(scratch), "REGISTRY_AUTH_FILE": str(scratch / "auth.json"), "PIP_INDEX_URL": index}
    for name, value in {**variables, "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub)
    monkeypatch.setattr(paths, "LOCK", path)
    for reader in (lockfile.read, lockfile.notes):
        monkeypatch.setattr(reader, "__defaults__", (path,))
    silence.forget()
