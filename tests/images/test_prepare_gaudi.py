"""`make bench-gaudi2` from a clean clone: base, forks and hub are served on this machine in place of the vendor's.

The fork and pdsh are served out of the copies that BLOOMZ_BENCH_DEEPSPEED_GIT and BLOOMZ_BENCH_PDSH_GIT name, by git's own server.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.host.pins.origins import container_registry
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import UNRESOLVED, LockPath
from tests.images import bases, cells, registries
from tests.images.cells import Cell
from tests.images.clones import Clone, Made
from tests.images.gaudi import COPIES, copies
from tests.images.registries import Registry
from tests.support import gitserver, hub

STACK, FORK, PDSH = "gaudi-1.10", "habana-deepspeed-1.10", "pdsh-2.31"
WEIGHTS = b"the weights"
MODELS = ("bloomz", "bloomz-7b1")


@dataclass(frozen=True)
class Walk:
    """The same command, ended at four places, then to its end, and once more; and what it has made."""

    clone: Clone
    cell: Cell
    runs: list[Made]
    fork: tuple[str, str]


@pytest.fixture(scope="module")
def registry(runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if len(copies()) < len(COPIES):
        pytest.skip(f"Name copies of the fork and of pdsh in {' and '.join(COPIES.values())}.")
    with registries.serve(tmp_path_factory.mktemp("registry")) as served:
        yield served


@pytest.fixture(scope="module")
def walk(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    lock = lockfile.read()
    base = f"{registry.address}/gaudi-docker/pytorch-installer"
    tag = lock.stacks[STACK].image.tag
    # 4.8 GB: to pack them takes minutes, and proves nothing
    push = ["buildah", "push", "--quiet", "--disable-compression"]
    registries.run(*push, bases.make(STACK), f"docker://{base}:{tag}")
    repositories = {
        ("model", pin.repository): (pin.revision, {"config.json": b"{}", "a.safetensors": WEIGHTS})
        for pin in (lock.models[name] for name in MODELS)
    }
    served = tmp_path_factory.mktemp("git")
    for source, folder in copies().items():
        (served / source).symlink_to(folder.resolve())
    with (
        gitserver.serve(served, tmp_path_factory.mktemp("certificate")) as (git, certificate),
        hub.serve(repositories) as (endpoint, _),
        pytest.MonkeyPatch.context() as patch,
        cells.serve(registry, tmp_path_factory.mktemp("cell")) as cell,
    ):
        patch.setenv("GIT_SSL_CAINFO", str(certificate))
        patch.setenv("HF_ENDPOINT", endpoint)
        clone = Clone(tmp_path_factory.mktemp("clean") / "clone", lambda folder: change(folder, base, git))
        command = ("bench-gaudi2", *cell.variables)
        runs = [
            clone.make(*command, until=f"resolved: stacks.{STACK}.image.digest", ended_by=signal.SIGKILL),
            clone.make(*command, until=f"resolved: sources.{FORK}.commit"),
            clone.make(*command, until=f"build {STACK}"),
            clone.make(*command, until=f"push {STACK}", ended_by=signal.SIGKILL),
            clone.make(*command),
            clone.make(*command),
        ]
        yield Walk(clone, cell, runs, (lock.sources[FORK].commit, lock.sources[FORK].tree))


def change(folder: Path, base: str, git: str) -> None:
    """Change the lock so that everything open is asked of servers on this machine, and the fork is looked for on its branch."""
    lock = folder / "versions.lock"
    row = f"  {FORK}:\n"
    text = lock.read_text()
    assert text.count(row) == 1
    lock.write_text(text.replace(row, f"{row}    branch: 1.10.0\n"))
    image: LockPath = ("stacks", STACK, "image")
    opened = {(*image, "repository"): base, ("built",): "{}"}
    opened |= {(*image, key): UNRESOLVED for key in ("digest", "platform", "inventory")}
    opened |= {("sources", name, "repository"): f"{git}/{name}" for name in (FORK, PDSH)}
    opened |= {("sources", FORK, key): UNRESOLVED for key in ("commit", "tree")}
    opened |= {("models", name, "files"): UNRESOLVED for name in MODELS}
    lock_editor.edit(lock, opened)


def test_the_same_command_goes_on_where_it_was_ended(walk: Walk) -> None:
    assert [made.status for made in walk.runs] == [None, None, None, None, 0, 0], walk.runs[-2].output
    assert walk.runs[2].steps() == ["resolve to do", f"build {STACK} to do"]
    assert walk.runs[3].steps() == ["resolve done", f"build {STACK} to do", f"push {STACK} to do"]
    assert walk.runs[4].steps() == ["resolve done", f"build {STACK} done", f"push {STACK} to do"]
    assert walk.runs[5].steps() == ["resolve done", f"build {STACK} done", f"push {STACK} done"]


def test_every_pin_is_the_one_that_its_origin_told(walk: Walk) -> None:
    lock = walk.clone.lock
    stack = lock.stacks[STACK]
    assert container_registry.image_digest(stack.image.repository, stack.image.tag) == stack.image.digest
    assert (lock.sources[FORK].commit, lock.sources[FORK].tree) == walk.fork
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    assert [lock.models[name].files for name in MODELS] == [{"a.safetensors": sha256}] * 2
    told_by_the_build = [
        stack.image.inventory,
        stack.packages["habana-torch-plugin"].version,
        stack.packages["deepspeed"].sha256,
    ]
    assert UNRESOLVED not in told_by_the_build and None not in told_by_the_build


def test_the_jobs_run_what_was_pushed(walk: Walk) -> None:
    entry = walk.clone.lock.built[STACK]
    bench = [job for job in walk.cell.jobs() if "prefetch" not in job["metadata"]["name"]]
    assert len(bench) == 3 and len(walk.cell.jobs()) == 4
    images = {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in walk.cell.jobs()}
    assert images == {entry.reference}
    assert container_registry.manifest(entry.reference) is not None
    assert "walk-through, not a reproduction" in walk.runs[-1].output
