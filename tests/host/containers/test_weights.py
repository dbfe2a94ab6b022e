"""Where a container finds the weights of its request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.contract.request import Weights
from runner.host import cases
from runner.host.containers import plans, starting, weights
from runner.host.containers.command import Bind
from runner.host.containers.images import StackImage
from runner.host.containers.plans import ContainerPlan
from runner.host.containers.starting import Setting
from runner.host.containers.weights import HostWeights
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import ANY
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from tests.host.containers import told

REVISION = "2f4c4f3ebcf171dbbe2bae989ea2d2f3d3486a97"
IMAGE = f"x.example/y@sha256:{'12' * 32}"
INSIDE = "hub/models--bigscience--bloomz-7b1"


@pytest.fixture
def plan() -> ContainerPlan:
    catalog = catalogs.read()
    request = cases.make(catalog, lockfile.read(), "gaudi2-1-bloomz-7b1", draft=True)
    request = replace(request, model=replace(request.model, revision=REVISION), weights=Weights("hub", None, None))
    return plans.make(catalog, profiles.read(catalog), request, IMAGE, ANY)


@pytest.fixture
def job(plan: ContainerPlan) -> JobPlan:
    return plan.job


def snapshot(folder: Path) -> Path:
    path = folder / "models--bigscience--bloomz-7b1" / "snapshots" / REVISION
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    return path


def test_a_snapshot_of_the_user_s_cache_comes_with_the_blobs_that_it_links_to(
    job: JobPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = snapshot(tmp_path / "cache")
    expected = HostWeights(Bind(folder.parents[1], INSIDE), f"/models/{INSIDE}/snapshots/{REVISION}")
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert weights.find(job, None) == weights.find(job, folder) == weights.find(job, link) == expected
    assert job.model_dir == expected.path


@pytest.mark.parametrize(
    "name", [REVISION, "1" * 40, "bloomz-7b1", "a copy"], ids=["pinned", "other", "model", "blank"]
)
def test_any_folder_is_mounted_by_its_own_name(plan: ContainerPlan, tmp_path: Path, name: str) -> None:
    """What the name tells of the revision, bench judges as outside of a container; a name of no revision must not become one."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    found = weights.find(plan.job, folder)
    assert found == HostWeights(Bind(folder, f"given/{name}"), f"/models/given/{name}")
    setting = Setting([told.docker("habana")], tmp_path, None, folder)
    words = starting.start_of(plan, StackImage(IMAGE, None), setting).command
    assert f"type=bind,source={folder},target=/models/given/{name},readonly" in words
    assert words[words.index("--model-dir") + 1] == f"/models/given/{name}"


def test_weights_that_are_not_here_are_said_with_the_way_to_them(
    job: JobPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="bloomz-7b1 is not on this host: .* holds no config.json. Fetch it"):
        weights.find(job, None)


def test_dummy_weights_need_no_volume() -> None:
    catalog = catalogs.read()
    request = cases.make(catalog, lockfile.read(), "cpu-1")
    job = plans.make(catalog, profiles.read(catalog), request, IMAGE, ANY).job
    assert weights.find(job, None) is None
