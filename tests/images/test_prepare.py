"""From a clean clone to a verdict with one command: real registries on this machine, a scripted cluster, and interruptions."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.contract.files import sha256_of_file
from runner.host.pins.origins import container_registry
from runner.host.readers import lock_editor
from runner.host.readers.lockfile import UNRESOLVED
from runner.host.stacks import requirements
from tests.images import bases, cells, registries
from tests.images.cells import Cell
from tests.images.clones import Clone, Made
from tests.images.registries import Registry


@pytest.fixture(scope="module")
def registry(runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.serve(tmp_path_factory.mktemp("registry")) as served:
        yield served


@pytest.fixture(scope="module")
def clone(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose base is the registry's, by a tag that nobody has resolved."""
    reference = f"{registry.address}/library/python"
    registries.run("buildah", "push", "--quiet", bases.make("cpu"), f"docker://{reference}:slim")
    base = {"repository": reference, "tag": "slim", "digest": UNRESOLVED, "platform": UNRESOLVED}

    def change(folder: Path) -> None:
        lock_editor.edit(
            small(folder), {("stacks", "cpu", "image", key): value for key, value in base.items()} | {("built",): "{}"}
        )

    return Clone(tmp_path_factory.mktemp("clean") / "clone", change)


def small(folder: Path) -> Path:
    """Leave two packages of the cpu stack, and no torch, so that its image is built in seconds; return the path of the lock."""
    file, lock = folder / "images" / "cpu" / "requirements-cpu.txt", folder / "versions.lock"
    pins = [pin.text for pin in requirements.read(file.read_text()) if pin.name in ("packaging", "typing-extensions")]
    assert len(pins) == 2
    file.write_text("".join(pins))
    before, _, after = lock.read_text().partition("    torch:\n      file: images/cpu/torch-cpu.txt\n")
    _, _, packages = after.partition("    packages:\n")
    lock.write_text(f"{before}    packages:\n{packages}")
    lock_editor.edit(lock, {("stacks", "cpu", "requirements", "sha256"): sha256_of_file(file)})
    return lock


@pytest.fixture(scope="module")
def cell(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with cells.serve(registry, tmp_path_factory.mktemp("cell")) as served:
        yield served


@pytest.fixture(scope="module")
def runs(clone: Clone, cell: Cell) -> list[Made]:
    """The same command, ended when it builds, ended when it pushes, then to its end, and once more."""
    command = ("bench-cpu-cluster", *cell.variables)
    return [
        clone.make(*command, until="build cpu", ended_by=signal.SIGINT),
        clone.make(*command, until="push cpu", ended_by=signal.SIGKILL),
        clone.make(*command),
        clone.make(*command),
    ]


def test_the_same_command_goes_on_where_it_was_ended(runs: list[Made]) -> None:
    building, pushing, whole, again = runs
    assert building.steps() == ["resolve to do", "build cpu to do"]
    assert "resolved: stacks.cpu.image.platform is sha256:" in building.output
    assert pushing.steps() == ["resolve done", "build cpu to do", "push cpu to do"]
    assert whole.status == 0, whole.output
    assert whole.steps() == ["resolve done", "build cpu done", "push cpu to do"]
    assert again.status == 0, again.output
    assert again.steps() == ["resolve done", "build cpu done", "push cpu done"]


def test_the_jobs_run_what_was_pushed_and_their_results_get_a_verdict(
    runs: list[Made], clone: Clone, cell: Cell
) -> None:
    entry = clone.lock.built["cpu"]
    assert container_registry.manifest(entry.reference) is not None
    images = {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in cell.jobs()}
    assert images == {entry.reference}
    assert len(cell.jobs()) == 2, "the second whole run met the Jobs of the first"
    assert "walk-through, not a reproduction" in runs[-1].output


def test_the_image_says_truly_what_it_was_built_from(runs: list[Made], clone: Clone) -> None:
    entry = clone.lock.built["cpu"]
    shown = registries.run("skopeo", "inspect", "--config", f"docker://{entry.reference}")
    labels = json.loads(shown)["config"]["Labels"]
    lock = clone.folder / "build" / "images" / "cpu" / "versions.lock"
    revision = f"{clone.commit}-lock-{sha256_of_file(lock)[:12]}"
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["bloomz-bench.lock"] == sha256_of_file(lock)
    assert labels["bloomz-bench.inputs"] == entry.inputs
    assert labels["bloomz-bench.builder"].startswith("buildah ")
    assert container_registry.image_digest(entry.repository, revision) == entry.digest
    assert sorted(clone.git("status", "--porcelain").splitlines()) == ["M versions.lock"]


def test_a_change_that_no_commit_has_is_refused_before_anything_is_asked(
    clone: Clone, cell: Cell, runs: list[Made]
) -> None:
    module = clone.folder / "runner" / "bench" / "parent" / "rows.py"
    before = module.read_text()
    module.write_text(before + "# edited\n")
    try:
        refused = clone.make("bench-cpu-cluster", *cell.variables)
    finally:
        module.write_text(before)
    assert refused.status == 2
    assert "cpu: runner/bench/parent/rows.py holds changes that no commit has. Commit them" in refused.output
    assert refused.steps() == []


def test_a_registry_without_a_login_is_refused_before_anything_is_built(
    clone: Clone, cell: Cell, runs: list[Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    other = [variable.replace("/team", "/others") for variable in cell.variables]
    refused = clone.make("bench-cpu-cluster", *other)
    assert refused.status == 2
    assert "Error 9" in refused.output and "it asks for a login, which is missing or wrong" in refused.output
    assert refused.steps() == []


def test_the_plan_is_shown_to_its_last_step_without_a_network(
    clone: Clone, runs: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1")
    done = clone.make("bench-gaudi2", "REGISTRY=registry.invalid/team", "ARGS=--dry-run")
    assert done.status == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines() if "  to do  " in line][-1] == "compare"
    assert "the weights of bigscience/bloomz: 352.5 GB" in done.output
