"""MPIJobs (kubeflow.org/v2beta1, mpi-operator 0.8): the operator makes keys, names and hostfile, and ends the workers.

By the operator's defaults, workers keep their devices for ever and a failed launcher starts again
(kubeflow/mpi-operator@caa3c47 pkg/apis/kubeflow/v2beta1/default.go).
"""

from __future__ import annotations

from runner.contract.records import JsonObject
from runner.host.manifests import job, multinode
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.manifests.storage import Claims
from runner.host.objects import names

# Where the operator mounts the hostfile. The launcher's own pod is the first in it.
HOSTFILE = "/etc/mpi/hostfile"


def bench(site: Site, plan: JobPlan, config_name: str, claims: Claims) -> list[JsonObject]:
    """Return the objects of one run on several nodes: the files of ssh, and an MPIJob."""
    first = multinode.first(site, plan, config_name, claims, HOSTFILE)
    other = multinode.other(site, plan, config_name, claims)
    # The operator takes the restart policy of the replica, and warns of a policy in the template.
    for template in (first, other):
        del template["spec"]["restartPolicy"]
    spec = {
        "slotsPerWorker": plan.devices_per_node,
        # Without this, the devices of the launcher's pod are hidden, or idle.
        "runLauncherAsWorker": True,
        "sshAuthMountPath": multinode.KEYS,
        "runPolicy": {
            "cleanPodPolicy": "Running",
            "backoffLimit": 0,
            "activeDeadlineSeconds": job.A_DAY_S,
            "ttlSecondsAfterFinished": job.A_WEEK_S,
        },
        "mpiReplicaSpecs": {
            "Launcher": {"replicas": 1, "restartPolicy": "Never", "template": first},
            "Worker": {"replicas": plan.nodes - 1, "restartPolicy": "Never", "template": other},
        },
    }
    return [
        multinode.shell_files(site),
        job.named(site, "kubeflow.org/v2beta1", "MPIJob", names.bench(plan.request.case), first["metadata"], spec),
    ]
