"""From a clean clone to a verdict with one command: real registries on this machine, a scripted cluster, and interruptions."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.contract.files import sha256_of_file
from runner.contract.records import JsonObject
from runner.host.pins.origins import container_registry
from runner.host.readers.lockfile import UNRESOLVED
from tests.images import bases, registries
from tests.images.clones import Clone, Made
from tests.images.registries import Registry
from tests.support import apiserver, clusterplay
from tests.support.client import FAST
from tests.support.scriptedcluster import Cluster

BASE = "library/python"


@pytest.fixture(scope="module")
def registry(runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.serve(tmp_path_factory.mktemp("registry")) as served:
        yield served


@pytest.fixture(scope="module")
def clone(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose base is the registry's, by a tag that nobody has resolved."""
    reference = f"{registry.address}/{BASE}"
    registries.run("buildah", "push", "--quiet", bases.make("cpu"), f"docker://{reference}:slim")
    base = {"repository": reference, "tag": "slim", "digest": UNRESOLVED, "platform": UNRESOLVED}
    made = Clone(
        tmp_path_factory.mktemp("clean") / "clone",
        {("stacks", "cpu", "image", key): value for key, value in base.items()},
    )
    made.borrow_wheels()
    return made


class Cell:
    """A scripted cluster that runs well, and the variables of make that lead to it."""

    def __init__(self, cluster: Cluster, server: apiserver.Server, folder: Path, team: str) -> None:
        self.cluster = cluster
        arguments = [
            "--kubeconfig",
            server.kubeconfig(folder / "kubeconfig"),
            "--runs",
            str(folder / "runs"),
            *FAST["submit"],
        ]
        self.variables = [
            f"REGISTRY={team}", f"RESULTS={folder}/results", "RENDER=--namespace bench", f"ARGS={' '.join(arguments)}",
        ]  # fmt: skip

    def jobs(self) -> list[JsonObject]:
        return self.cluster.all("Job")


@contextmanager
def cell_of(registry: Registry, folder: Path) -> Iterator[Cell]:
    """Serve a cluster that runs every Job well; images go to this registry."""
    cluster = Cluster(rules=clusterplay.role())
    clusterplay.furnish(cluster)
    cluster.put({**cluster.existing("PersistentVolumeClaim", "bench-results"), "metadata": {"name": "bench-weights"}})
    attempts = (f"20261122T1{number}0000Z-0123abc{number}" for number in range(10))
    clusterplay.Play(cluster, lambda play, job: clusterplay.runs_well(play, job, next(attempts)))
    with apiserver.Server(cluster) as server:
        yield Cell(cluster, server, folder, f"{registry.address}/team")


@pytest.fixture(scope="module")
def cell(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with cell_of(registry, tmp_path_factory.mktemp("cell")) as served:
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
    assert "NOT-COMPARABLE" in runs[-1].output


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
