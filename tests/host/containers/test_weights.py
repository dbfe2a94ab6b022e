"""Where a container finds the weights of its request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.contract.request import Weights
from runner.host import cases
from runner.host.containers import plans, weights
from runner.host.containers.command import Bind
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import ANY
from runner.host.objects import names
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles

REVISION = "2f4c4f3ebcf171dbbe2bae989ea2d2f3d3486a97"
INSIDE = "hub/models--bigscience--bloomz-7b1"


@pytest.fixture
def job() -> JobPlan:
    catalog = catalogs.read()
    request = cases.make(catalog, lockfile.read(), "gaudi2-1-bloomz-7b1", draft=True)
    request = replace(request, model=replace(request.model, revision=REVISION), weights=Weights("hub", None, None))
    return plans.make(catalog, profiles.read(catalog), request, f"x.example/y@sha256:{'12' * 32}", ANY).job


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
    expected = {names.MODELS: Bind(folder.parents[1], INSIDE)}
    assert weights.volumes(job, None) == weights.volumes(job, folder) == expected
    assert job.model_dir == f"/models/{INSIDE}/snapshots/{REVISION}"


def test_a_folder_of_the_revision_s_name_stands_for_the_snapshot(job: JobPlan, tmp_path: Path) -> None:
    folder = tmp_path / REVISION
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert weights.volumes(job, folder) == {names.MODELS: Bind(folder, f"{INSIDE}/snapshots/{REVISION}")}


def test_weights_that_are_not_here_are_said_with_the_way_to_them(
    job: JobPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="bloomz-7b1 is not on this host: .* holds no config.json. Fetch it"):
        weights.volumes(job, None)


def test_a_folder_of_another_name_is_refused(job: JobPlan, tmp_path: Path) -> None:
    """Its name is all that the container sees of the folder's revision."""
    with pytest.raises(InputError, match=f"is not named {REVISION}"):
        weights.volumes(job, tmp_path)


def test_dummy_weights_need_no_volume() -> None:
    catalog = catalogs.read()
    request = cases.make(catalog, lockfile.read(), "cpu-1")
    job = plans.make(catalog, profiles.read(catalog), request, f"x.example/y@sha256:{'12' * 32}", ANY).job
    assert weights.volumes(job, None) == {}
