"""JobSets (jobset.x-k8s.io/v1alpha2): pods on several nodes without an MPI operator.

The names of the pods are known beforehand; the user makes the keys of ssh.

A pod is named <jobset>-<replicated job>-<job index>-<pod index>.<subdomain>, and the subdomain is the name of the JobSet where no
other is chosen (kubernetes-sigs/jobset@08dfbdf api/jobset/v1alpha2). The first pod writes the hostfile: the name of the JobSet may be
changed when it is submitted.
"""

from __future__ import annotations

from runner.contract.records import JsonObject
from runner.host.manifests import job, multinode
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.manifests.storage import Claims
from runner.host.objects import names
from runner.host.objects.names import FIRST, OTHER

KEYS_SECRET = "bench-ssh"  # noqa: S105 - the name of a Secret
MAKE_KEYS = f"""Make the keys of its pods once:
  ssh-keygen -q -t ed25519 -N '' -f key
  kubectl create secret generic {KEYS_SECRET} --namespace={{namespace}} --from-file=id_rsa=key --from-file=authorized_keys=key.pub"""
# On the pod's own volume for temporary files.
HOSTFILE = "/tmp/hostfile"  # noqa: S108


def bench(site: Site, plan: JobPlan, config_name: str, claims: Claims) -> list[JsonObject]:
    """Return the objects of one run on several nodes: the files of ssh, and a JobSet."""
    first = _with_keys(multinode.first(site, plan, config_name, claims, HOSTFILE, _write_hosts(plan)))
    other = _with_keys(multinode.other(site, plan, config_name, claims))
    # The controller puts the label with the name of the JobSet on every pod.
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{names.JOBSET_NAME}']"}}
    first["spec"]["containers"][0]["env"].append({"name": "JOBSET", "valueFrom": field})
    spec = {
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "successPolicy": {"operator": "All", "targetReplicatedJobs": [FIRST]},
        "failurePolicy": {"maxRestarts": 0},
        "ttlSecondsAfterFinished": job.A_WEEK_S,
        "replicatedJobs": [
            {"name": FIRST, "replicas": 1, "template": {"spec": _indexed(first, 1)}},
            {"name": OTHER, "replicas": 1, "template": {"spec": _indexed(other, plan.nodes - 1)}},
        ],
    }
    name = names.bench(plan.request.case)
    jobset = job.named(site, "jobset.x-k8s.io/v1alpha2", "JobSet", name, first["metadata"], spec)
    return [multinode.shell_files(site), jobset]


def _indexed(template: JsonObject, pods: int) -> JsonObject:
    """Return the spec of a Job whose pods are named by their index."""
    return {**job.one_attempt(template, pods), "completionMode": "Indexed"}


def _write_hosts(plan: JobPlan) -> str:
    """Return the shell line that writes the hostfile: the name of every pod, the first pod first."""
    pods = [f"{FIRST}-0-0", *(f"{OTHER}-0-{index}" for index in range(plan.nodes - 1))]
    hosts = " ".join(f'"$JOBSET-{pod}.$JOBSET"' for pod in pods)
    return f"printf '%s slots={plan.devices_per_node}\\n' {hosts} > {HOSTFILE}"


def _with_keys(template: JsonObject) -> JsonObject:
    secret = {"secretName": KEYS_SECRET, "defaultMode": 0o440}
    template["spec"]["volumes"].append({"name": "ssh-auth", "secret": secret})
    mount = {"name": "ssh-auth", "mountPath": multinode.KEYS, "readOnly": True}
    template["spec"]["containers"][0]["volumeMounts"].append(mount)
    return template
