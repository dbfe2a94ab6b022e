"""What the tests on a real cluster do alike: run a verb, put into a namespace what its keeper does, move an object there."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def runner(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "runner", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=900,
        **options,
    )


def submit(real, kubeconfig, *things, extra=()):
    """Return the arguments with which ``things`` are submitted into the test's namespace."""
    folder = real.folder / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / "60.yaml").write_text(yaml.safe_dump_all(things))
    return ["submit", folder, *there(real, kubeconfig), *extra]


def there(real, kubeconfig):
    """Return the arguments that name the test's namespace and where its runs are kept."""
    return ["--kubeconfig", kubeconfig, "--namespace", real.namespace, "--runs", real.folder / "runs"]


def moved(thing, namespace):
    thing = copy.deepcopy(thing)
    if thing["metadata"].get("namespace"):
        thing["metadata"]["namespace"] = namespace
    return thing


def claim(name):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }


ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bench-run"}}
ACCOUNT_AND_CLAIM = (ACCOUNT, claim("bench-results"))


def furnish(real, *more_claims):
    """Make the account that runs have, and claims with volumes where no storage class makes any."""
    names = ("bench-results", *more_claims)
    real.apply(ACCOUNT, *map(claim, names))
    classes = real.get("storageclass")
    default = "storageclass.kubernetes.io/is-default-class"
    if any(one["metadata"].get("annotations", {}).get(default) == "true" for one in classes):
        return
    real.apply(*(_volume(real, name) for name in names))
    for name in names:
        real.until(lambda name=name: real.get("pvc", name)["status"].get("phase") == "Bound")


def _volume(real, name):
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
