"""JobSets (jobset.x-k8s.io/v1alpha2): the same pods without an MPI operator. Their names are known beforehand, the keys are yours.

<jobset>-<replicated job>-<job index>-<pod index>.<subdomain> is a pod's name, and the subdomain is the JobSet's own name where none
is chosen (kubernetes-sigs/jobset@08dfbdf api/jobset/v1alpha2). The first pod writes the hostfile, since whoever submits may choose
another name.
"""

from runner.host.manifests import job, multinode
from runner.host.objects import names

FIRST, OTHER = "first", "other"
KEYS_SECRET = "bench-ssh"  # noqa: S105 - the name of a Secret
MAKE_KEYS = f"""Make the keys of its pods once:
  ssh-keygen -q -t ed25519 -N '' -f key
  kubectl create secret generic {KEYS_SECRET} --namespace={{namespace}} --from-file=id_rsa=key --from-file=authorized_keys=key.pub"""
HOSTFILE = "/tmp/hostfile"  # noqa: S108 - the pod's own volume
NAME_LABEL = "jobset.sigs.k8s.io/jobset-name"  # which the controller puts on every pod


def bench(site, run, config_name, models):
    """Return the objects of one run on several nodes: what ssh needs, and a JobSet."""
    first = _with_keys(multinode.first(site, run, config_name, models, HOSTFILE, _write_hosts(run)))
    other = _with_keys(multinode.other(site, run, config_name, models))
    own_name = {"name": "JOBSET", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{NAME_LABEL}']"}}}
    first["spec"]["containers"][0]["env"].append(own_name)
    spec = {
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "successPolicy": {"operator": "All", "targetReplicatedJobs": [FIRST]},
        "failurePolicy": {"maxRestarts": 0},
        "ttlSecondsAfterFinished": job.A_WEEK_S,
        "replicatedJobs": [
            {"name": FIRST, "replicas": 1, "template": {"spec": _indexed(first, 1)}},
            {"name": OTHER, "replicas": 1, "template": {"spec": _indexed(other, run.nodes - 1)}},
        ],
    }
    name = names.bench(run.request.case)
    made = job.named(site, "jobset.x-k8s.io/v1alpha2", "JobSet", name, first["metadata"], spec)
    return [multinode.shell_files(site), made]


def _indexed(template, pods):
    """Return the spec of a Job whose pods are named by their index."""
    return {**job.one_attempt(template, pods), "completionMode": "Indexed"}


def _write_hosts(run):
    """Return the shell line that writes the hostfile: every pod's name, the first pod's first."""
    pods = [f"{FIRST}-0-0", *(f"{OTHER}-0-{index}" for index in range(run.nodes - 1))]
    hosts = " ".join(f'"$JOBSET-{pod}.$JOBSET"' for pod in pods)
    return f"printf '%s slots={run.devices_per_node}\\n' {hosts} > {HOSTFILE}"


def _with_keys(template):
    secret = {"secretName": KEYS_SECRET, "defaultMode": 0o440}
    template["spec"]["volumes"].append({"name": "ssh-auth", "secret": secret})
    mount = {"name": "ssh-auth", "mountPath": multinode.KEYS, "readOnly": True}
    template["spec"]["containers"][0]["volumeMounts"].append(mount)
    return template
