"""JobSets (jobset.x-k8s.io/v1alpha2): the same pods without an MPI operator. Their names are known beforehand, the keys are yours.

<jobset>-<replicated job>-<job index>-<pod index>.<subdomain> is a pod's name (kubernetes-sigs/jobset@08dfbdf api/jobset/v1alpha2).
"""

from runner.host.manifests import job, multinode, names

FIRST, OTHER = "first", "other"
KEYS_SECRET = "bench-ssh"  # noqa: S105 - the name of a Secret
MAKE_KEYS = f"""Make the keys of its pods once:
  ssh-keygen -q -t ed25519 -N '' -f key
  kubectl create secret generic {KEYS_SECRET} --namespace={{namespace}} --from-file=id_rsa=key --from-file=authorized_keys=key.pub"""
HOSTFILE = "/hosts/hostfile"


def bench(site, run, config_name, models):
    """Return the objects of one run on several nodes: what ssh needs, the hostfile, and a JobSet."""
    name = names.bench(run.request.case)
    hosts = _hosts(site, run, name)
    first = _with_keys(multinode.first(site, run, config_name, models, HOSTFILE))
    other = _with_keys(multinode.other(site, run, config_name, models))
    first["spec"]["volumes"].append({"name": "hosts", "configMap": {"name": hosts["metadata"]["name"]}})
    first["spec"]["containers"][0]["volumeMounts"].append({"name": "hosts", "mountPath": "/hosts", "readOnly": True})
    spec = {
        "network": {"enableDNSHostnames": True, "subdomain": name, "publishNotReadyAddresses": True},
        "successPolicy": {"operator": "All", "targetReplicatedJobs": [FIRST]},
        "failurePolicy": {"maxRestarts": 0},
        "ttlSecondsAfterFinished": job.A_WEEK_S,
        "replicatedJobs": [
            {"name": FIRST, "replicas": 1, "template": {"spec": _indexed(first, 1)}},
            {"name": OTHER, "replicas": 1, "template": {"spec": _indexed(other, run.nodes - 1)}},
        ],
    }
    made = job.named(site, "jobset.x-k8s.io/v1alpha2", "JobSet", name, first["metadata"], spec)
    return [multinode.shell_files(site), hosts, made]


def _indexed(template, pods):
    """Return the spec of a Job whose pods are named by their index."""
    return {**job.one_attempt(template, pods), "completionMode": "Indexed"}


def _hosts(site, run, name):
    """Return the ConfigMap with the hostfile: every pod's name, the first pod's first."""
    pods = [f"{name}-{FIRST}-0-0", *(f"{name}-{OTHER}-0-{index}" for index in range(run.nodes - 1))]
    data = {"hostfile": "".join(f"{pod}.{name} slots={run.devices_per_node}\n" for pod in pods)}
    metadata = {"name": names.config("hosts", data), "namespace": site.namespace, "labels": names.common_labels()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": data}


def _with_keys(template):
    secret = {"secretName": KEYS_SECRET, "defaultMode": 0o440}
    template["spec"]["volumes"].append({"name": "ssh-auth", "secret": secret})
    mount = {"name": "ssh-auth", "mountPath": multinode.KEYS, "readOnly": True}
    template["spec"]["containers"][0]["volumeMounts"].append(mount)
    return template
