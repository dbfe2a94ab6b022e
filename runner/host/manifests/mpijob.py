"""MPIJobs (kubeflow.org/v2beta1, mpi-operator 0.8): the operator makes keys, names and hostfile, and ends the workers.

The operator's defaults would keep workers, and their devices, for ever, and start a failed launcher again
(kubeflow/mpi-operator@caa3c47 pkg/apis/kubeflow/v2beta1/default.go).
"""

from runner.host.manifests import job, multinode
from runner.host.objects import names

HOSTFILE = "/etc/mpi/hostfile"  # where the operator mounts it, the launcher's own pod first


def bench(site, run, config_name, models):
    """Return the objects of one run on several nodes: what ssh needs, and an MPIJob."""
    first = multinode.first(site, run, config_name, models, HOSTFILE)
    other = multinode.other(site, run, config_name, models)
    for template in (first, other):  # the operator warns of one here: the replica's is taken
        del template["spec"]["restartPolicy"]
    spec = {
        "slotsPerWorker": run.devices_per_node,
        "runLauncherAsWorker": True,  # its devices would else be hidden, or idle
        "sshAuthMountPath": multinode.KEYS,
        "runPolicy": {
            "cleanPodPolicy": "Running",
            "backoffLimit": 0,
            "activeDeadlineSeconds": job.A_DAY_S,
            "ttlSecondsAfterFinished": job.A_WEEK_S,
        },
        "mpiReplicaSpecs": {
            "Launcher": {"replicas": 1, "restartPolicy": "Never", "template": first},
            "Worker": {"replicas": run.nodes - 1, "restartPolicy": "Never", "template": other},
        },
    }
    return [
        multinode.shell_files(site),
        job.named(site, "kubeflow.org/v2beta1", "MPIJob", names.bench(run.request.case), first["metadata"], spec),
    ]
