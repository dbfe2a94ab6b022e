"""A run over two pods that fits one small node: the case cpu-2 as the sets of several nodes are rendered, less what keeps pods apart."""

from __future__ import annotations

import subprocess
from typing import Literal

from runner.contract.records import JsonObject
from runner.host.manifests import jobset, plan, sets
from runner.host.manifests.site import Site
from runner.host.objects.walk import pod_specs
from runner.host.readers import catalog, lockfile, profiles
from tests.cluster.conftest import Real

SETS = {"MPIJob": "multinode", "JobSet": "multinode-jobset"}
JOB_KINDS: dict[str, Literal["mpijob", "jobset"]] = {"MPIJob": "mpijob", "JobSet": "jobset"}
DEFINITIONS = {"MPIJob": "mpijobs.kubeflow.org", "JobSet": "jobsets.jobset.x-k8s.io"}
ASKED = {"cpu": "200m", "memory": "512Mi", "ephemeral-storage": "1Gi"}
LIMITS = {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "2Gi"}


def objects(kind: str, image: str, namespace: str, queue: str | None = None) -> list[JsonObject]:
    """Return the objects of a set of one such run, started by what makes an MPIJob or JobSet."""
    tables, lock = catalog.read(), lockfile.read()
    row = profiles.Set(folder="several", job_kind=JOB_KINDS[kind], nodes=2, cases=("cpu-2",))
    one = plan.make(tables, lock, profiles.read(tables), "cpu-2", row.nodes, {"cpu": image}, None)
    site = Site(namespace=namespace, queue=queue)
    made = [thing for file in sets.files(site, "several", row, [one]).values() for thing in file.objects]
    for thing in made:
        if thing["kind"] == kind:
            for spec in pod_specs(thing):
                del spec["affinity"]
                spec["containers"][0]["resources"] = {"requests": dict(ASKED), "limits": dict(LIMITS)}
    return made


def command_of(thing: JsonObject, index: int) -> list[str]:
    """Return the command of a run's first pod (0), or of the others (1): its last word is a shell line."""
    command: list[str] = pod_specs(thing)[index]["containers"][0]["command"]
    return command


def make_keys(real: Real) -> None:
    """Make the Secret that the notes of a JobSet tell to make."""
    key = real.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    files = [f"--from-file=id_rsa={key}", f"--from-file=authorized_keys={key}.pub"]
    real.kubectl("create", "secret", "generic", jobset.KEYS_SECRET, *files)
