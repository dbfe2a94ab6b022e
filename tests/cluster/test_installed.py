"""Pods that install a stack by themselves over a base that is not the kit's, as `kubectl apply` of the rendered files starts them.

CPU_BASE names the base of the CPU stack by digest as nodes can pull it, or have it: the one of versions.lock, or a stand-in that has
a Python and a pip. CPU_IMAGE names the image that this checkout builds on the same base. PIP_VARIABLES holds settings of pip by which
pods reach an index, such as ``PIP_INDEX_URL=http://192.0.2.7:3141/simple PIP_TRUSTED_HOST=192.0.2.7``; without them pods ask the
public one.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import yaml

from runner.contract.errors import ClusterRefused, JobFailed
from runner.contract.records import JsonObject, Result
from runner.host import paths
from runner.host.objects.walk import pod_specs
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import LockPath
from runner.host.results import result_files
from runner.host.verbs import render
from tests.cluster.conftest import Real
from tests.cluster.steps import furnish, runner, there
from tests.support.house import output_ids
from tests.support.plain_transformers import plain_tokens

pytestmark = pytest.mark.cluster

# Downloading, installing and measuring on a node of two busy cores.
INSTALLED_S = 1200
FORK = "habana-deepspeed-1.10"
SMALL = {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"}


@pytest.fixture
def base() -> str:
    base = os.environ.get("CPU_BASE")
    if not base:
        pytest.skip("no base: set CPU_BASE to the base of the CPU stack by digest, as the nodes can pull it")
    return base


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a lock of the test's own, which rendering reads."""
    path = tmp_path / "versions.lock"
    path.write_bytes(paths.LOCK.read_bytes())
    monkeypatch.setattr(paths, "LOCK", path)
    monkeypatch.setattr(lockfile.read, "__defaults__", (path,))
    return path


def set_base(lock: Path, stack: str, base: str) -> None:
    """Let a stack stand on ``base``, a reference by digest."""
    repository, digest = base.split("@")
    pins = {"repository": repository, "digest": digest, "platform": lockfile.UNRESOLVED}
    change(lock, {("stacks", stack, "image", key): value for key, value in pins.items()})


def change(lock: Path, changes: dict[LockPath, str]) -> None:
    assert lock_editor.edit(lock, changes)


def rendered(real: Real, name: str, *arguments: str) -> Path:
    """Return the folder of a set that is rendered for the test's namespace, on the test's lock."""
    folder = real.folder / "rendered" / name
    assert render.main([name, "--namespace", real.namespace, "--out", str(folder), *arguments]) == 0
    return next(folder.rglob("40-config.yaml")).parent


def ended(real: Real, job: str) -> str | None:
    """Return how a Job ended, Complete or Failed."""
    conditions = real.get("job", job).get("status", {}).get("conditions", [])
    return next((one["type"] for one in conditions if one["type"] in ("Complete", "Failed")), None)


def collected(real: Real, logs: str, folder: str) -> tuple[Path, Result]:
    """Return the only result of logs, and its file."""
    done = runner("collect", *logs.split(), "--results", real.folder / folder)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    return path, result_files.read_one(path)[0]


def test_a_pod_installs_what_the_image_has_and_measures_the_same_tokens(real: Real, base: str, lock: Path) -> None:
    """Applied with kubectl alone, then followed; an image of ours beside it has the same packages, in the same inventory."""
    image = os.environ.get("CPU_IMAGE")
    if not image:
        pytest.skip("no image: set CPU_IMAGE to the CPU image by digest, as the nodes can pull it")
    set_base(lock, "cpu", base)
    settings = [word for pair in os.environ.get("PIP_VARIABLES", "").split() for word in ("--variable", pair)]
    folder = rendered(real, "cpu", *settings)
    for other in (
        *folder.glob("6*-bench-cpu-2.yaml"),
        folder / "30-pvc.yaml",
    ):  # the claims have a size for any cluster
        other.unlink()
    furnish(real, "bench-packages")
    person = real.person()
    real.kubectl("apply", "-f", str(folder))
    (name,) = [
        one["metadata"]["name"] for one in real.get_all("job") if one["metadata"]["name"].startswith("bench-cpu-1-")
    ]
    assert real.until(partial(ended, real, name), INSTALLED_S) == "Complete"
    done = runner("follow", name, *there(real, person))
    assert done.returncode == 0, done.stderr
    path, installed = collected(real, done.stdout, "installed")
    assert installed["attempt"]["status"] == "complete"
    assert installed["environment"]["installation"] == "pod"
    assert installed["environment"]["image"] == base
    assert output_ids(installed) == plain_tokens(29)
    compared = runner("compare", path)
    assert compared.returncode == 0 and "walk-through, not a reproduction" in compared.stdout.replace("\n", " ")

    real.kubectl("delete", "job", name)
    folder = rendered(real, "cpu", "--image", f"cpu={image}")
    done = runner("submit", folder, "--only", "cpu-1", *there(real, person))
    assert done.returncode == 0, done.stderr
    _, built = collected(real, done.stdout, "built")
    assert built["environment"]["installation"] == "image"
    assert output_ids(built) == output_ids(installed)
    assert built["environment"]["packages"] == installed["environment"]["packages"]
    assert built["environment"]["inventory"] == installed["environment"]["inventory"]


def test_a_fork_s_open_commit_is_refused_in_the_init_container_and_told(real: Real, base: str, lock: Path) -> None:
    """A Gaudi run, less what a small node lacks: kubectl describe and the client say the sentence of the init container."""
    set_base(lock, "gaudi-1.10", base)
    change(lock, {("stacks", "gaudi-1.10", "packages", "habana-torch-plugin", "version"): "1.10.0.494"})
    change(lock, {("sources", FORK, part): lockfile.UNRESOLVED for part in ("commit", "tree")})
    folder = rendered(real, "gaudi2")
    furnish(real, "bench-models", "bench-packages")
    things = [
        small(one) for file in sorted(folder.glob("*.yaml")) for one in yaml.safe_load_all(file.read_text()) if one
    ]
    real.apply(*(one for one in things if one["kind"] == "ConfigMap" or is_run(one)))
    (bench,) = filter(is_run, things)
    name = bench["metadata"]["name"]
    assert real.until(partial(ended, real, name)) == "Failed"
    (pod,) = real.get_all("pod")
    (install,) = [one for one in pod["status"]["initContainerStatuses"] if one["name"] == "install"]
    assert install["state"]["terminated"]["exitCode"] == 4
    refused = f"the commit of {FORK}, which deepspeed is built from,"
    assert refused in real.kubectl("describe", "pod", pod["metadata"]["name"])
    person = real.person()
    told = runner("follow", name, *there(real, person))
    assert told.returncode == JobFailed.exit_code and refused in told.stderr.splitlines()[-1]
    told = runner("submit", folder, "--only", "gaudi2-1", *there(real, person))
    assert told.returncode == ClusterRefused.exit_code and refused in told.stderr.splitlines()[-1]


def is_run(thing: JsonObject) -> bool:
    return thing["kind"] == "Job" and thing["metadata"]["name"].startswith("bench-gaudi2-1-")


def small(thing: JsonObject) -> JsonObject:
    """Return an object, its pods without devices, on any node."""
    for spec in pod_specs(thing):
        spec.pop("affinity", None)
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            container["resources"] = {"requests": dict(SMALL), "limits": dict(SMALL)}
    return thing
