"""What the tests on a real cluster do alike: run a verb, put into a namespace what its keeper does, move an object there."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from runner.contract.records import JsonObject
from tests.cluster.conftest import Real

ROOT = Path(__file__).parents[2]


def runner(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=900,
    )


def submit(real: Real, kubeconfig: str, *things: JsonObject, extra: Sequence[str] = ()) -> list[str | Path]:
    """Return the arguments with which ``things`` are submitted into the test's namespace."""
    folder = real.folder / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / "60.yaml").write_text(yaml.safe_dump_all(things))
    return ["submit", folder, *there(real, kubeconfig), *extra]


def there(real: Real, kubeconfig: str) -> list[str | Path]:
    """Return the arguments that name the test's namespace and where its runs are kept."""
    return ["--kubeconfig", kubeconfig, "--namespace", real.namespace, "--runs", real.folder / "runs"]


def moved(thing: JsonObject, namespace: str) -> JsonObject:
    thing = copy.deepcopy(thing)
    if thing["metadata"].get("namespace"):
        thing["metadata"]["namespace"] = namespace
    return thing


def claim(name: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }


ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bench-run"}}
ACCOUNT_AND_CLAIM = (ACCOUNT, claim("bench-results"))


def furnish(real: Real, *more_claims: str) -> None:
    """Make the account that runs have, and claims with volumes where no storage class makes any."""
    names = ("bench-results", *more_claims)
    real.apply(ACCOUNT, *map(claim, names))
    classes = real.get_all("storageclass")
    default = "storageclass.kubernetes.io/is-default-class"
    if any(one["metadata"].get("annotations", {}).get(default) == "true" for one in classes):
        return
    real.apply(*(_volume(real, name) for name in names))
    for name in names:
        real.until(partial(_is_bound, real, name))


def _is_bound(real: Real, name: str) -> bool:
    return real.get("pvc", name)["status"].get("phase") == "Bound"


def _volume(real: Real, name: str) -> JsonObject:
    place = Path(f"/tmp/{real.namespace}/{name}")
    if Path("/tmp").is_dir():  # where the node is this machine, its folder must be writable for the pod's user
        place.mkdir(parents=True, exist_ok=True)
        shutil.chown(place, 10001, 10001)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{real.namespace}-{name}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": real.namespace, "name": name},
            "hostPath": {"path": str(place), "type": "DirectoryOrCreate"},
        },
    }
