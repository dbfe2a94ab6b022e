"""The namespace with its security level, the account of the pods, which has no rights, and the role of a user who submits."""

from __future__ import annotations

from runner.contract.records import JsonObject
from runner.host.manifests.site import Site
from runner.host.objects import names, rights
from runner.host.readers.profiles import JobKind

BIND = "Bind the role to who may submit:\n  kubectl create rolebinding {role} --role={role} --user=NAME --namespace={namespace}"


def namespace(level: str = "restricted") -> JsonObject:
    """Return the kit's namespace; ``level`` is the profile of the Pod Security Standards that it enforces."""
    enforced = {f"{names.POD_SECURITY_DOMAIN}{mode}": level for mode in ("enforce", "audit", "warn")}
    metadata = {"name": names.NAMESPACE, "labels": {**names.common_labels(), **enforced}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def run_account(site: Site) -> JsonObject:
    """Return the ServiceAccount of all pods. The account gets no token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": names.ACCOUNT, "namespace": site.namespace, "labels": names.common_labels()},
        "automountServiceAccountToken": False,
    }


def submitter_role(site: Site, job_kind: JobKind) -> JsonObject:
    """Return the Role of a user who submits Jobs of one kind. With a queue, the user may read the objects of the queue."""
    operator = [rights.OPERATOR_RULES[job_kind]] if job_kind in rights.OPERATOR_RULES else []
    rules = [*rights.JOB_RULES, *operator, *([rights.QUEUE_RULE] if site.queue else [])]
    name = names.SUBMITTER if job_kind == "job" else f"{names.SUBMITTER}-{job_kind}"
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": site.namespace, "labels": names.common_labels()},
        "rules": [rule.to_json() for rule in rules],
    }


def how_to_bind(role: JsonObject) -> str:
    """Return the comment that says how to give a role to a user."""
    return BIND.format(role=role["metadata"]["name"], namespace=role["metadata"]["namespace"])
