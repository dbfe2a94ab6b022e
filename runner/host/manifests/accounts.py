"""Who may do what: the namespace with its security level, the account that runs and has no rights, the role that submits."""

from runner.host.objects import names

# Everything that following a Job to its end and collecting it takes, and nothing else: no exec, no secrets, no update.
SUBMITTER_RULES = (
    (["batch"], ["jobs"], ["create", "get", "list", "watch", "delete"]),
    ([""], ["pods"], ["list", "watch"]),
    ([""], ["pods/log"], ["get"]),
    ([""], ["events"], ["list", "watch"]),
    ([""], ["persistentvolumeclaims"], ["get"]),
    ([""], ["configmaps"], ["create", "get"]),
    ([""], ["serviceaccounts"], ["get"]),
)
MULTINODE_RULES = {
    "mpijob": (["kubeflow.org"], ["mpijobs"], ["create", "get", "list", "watch", "delete"]),
    "jobset": (["jobset.x-k8s.io"], ["jobsets"], ["create", "get", "list", "watch", "delete"]),
}
QUEUE_RULES = ((["kueue.x-k8s.io"], ["workloads", "localqueues"], ["get", "list"]),)

BIND = "Bind the role to who may submit:\n  kubectl create rolebinding {role} --role={role} --user=NAME --namespace={namespace}"


def namespace(level="restricted"):
    enforced = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")}
    metadata = {"name": names.NAMESPACE, "labels": {**names.common_labels(), **enforced}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def run_account(site):
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": names.ACCOUNT, "namespace": site.namespace, "labels": names.common_labels()},
        "automountServiceAccountToken": False,
    }


def submitter_role(site, engine):
    """Return the Role of who submits Jobs of one engine, with the queue's objects where there is one."""
    rules = [*SUBMITTER_RULES, *([MULTINODE_RULES[engine]] if engine in MULTINODE_RULES else [])]
    rules += QUEUE_RULES if site.queue else ()
    name = names.SUBMITTER if engine == "job" else f"{names.SUBMITTER}-{engine}"
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": site.namespace, "labels": names.common_labels()},
        "rules": [{"apiGroups": groups, "resources": kinds, "verbs": verbs} for groups, kinds, verbs in rules],
    }


def how_to_bind(role):
    return BIND.format(role=role["metadata"]["name"], namespace=role["metadata"]["namespace"])
