"""Ask the cluster before anything is created: rights, what the runs name, what its admission says, and what its nodes have."""

from runner.contract.errors import ClusterRefused
from runner.host import attend, jobs
from runner.host.cluster import GROUPS, Refused, Unanswered
from runner.host.diagnosis.problem import quantity

# (group, resource, subresource, verbs): all that submitting, following, collecting and cancelling take. k8s/11-rbac-submitter.yaml
# grants these and no more; the tests hold both to each other, and each to be needed.
RIGHTS = (
    ("batch", "jobs", "", ("create", "get", "list", "watch", "delete")),
    ("", "pods", "", ("list", "watch")),
    ("", "pods", "log", ("get",)),
    ("", "events", "", ("list", "watch")),
    ("", "configmaps", "", ("create", "get")),
    ("", "persistentvolumeclaims", "", ("get",)),
    ("", "serviceaccounts", "", ("get",)),
)
VERBS = ("create", "get", "list", "watch", "delete")


def rights(kinds):
    """Return the rights that runs of these kinds take, as (group, resource, subresource, verb)."""
    more = [(GROUPS[kind][0], GROUPS[kind][2], "", VERBS) for kind in sorted(set(kinds) - {"Job"})]
    return [(group, resource, sub, verb) for group, resource, sub, verbs in (*RIGHTS, *more) for verb in verbs]


def check(cluster, manifests, runs, show):
    """Raise ``ClusterRefused`` with the first thing that would keep ``runs`` (objects as submitted) from running.

    Returns the ConfigMaps of the manifests that they name and that are not there yet.
    """
    _check_images(runs)
    try:
        _check_rights(cluster, {thing["kind"] for thing in runs})
        missing = _check_needs(cluster, manifests, runs)
        for thing in [*missing, *runs]:
            create_once(cluster, thing, dry_run=True)
        _tell_nodes(cluster, runs, show)
    except (Refused, Unanswered) as problem:
        raise attend.told(problem, cluster) from None
    return missing


def _check_images(runs):
    for thing in runs:
        problem = thing["metadata"].get("annotations", {}).get(jobs.IMAGE_PROBLEM)
        if problem:
            raise ClusterRefused(f"The image of {thing['metadata']['name']} cannot be pulled: {problem.rstrip('.')}.")


def _check_rights(cluster, kinds):
    lacking = [
        f"{verb} {resource}{f'/{sub}' if sub else ''}"
        for group, resource, sub, verb in rights(kinds)
        if not cluster.may(verb, group, resource, sub)
    ]
    if lacking:
        raise ClusterRefused(
            f"These credentials lack rights in {cluster.namespace}: {', '.join(lacking)}. Ask for the Role in"
            " k8s/11-rbac-submitter.yaml to be bound to you."
        )


def _check_needs(cluster, manifests, runs):
    """Refuse what the runs name and nobody made; return the requests' own ConfigMaps that are missing."""
    missing = []
    for kind, name in sorted({need for thing in runs for need in jobs.needs(thing)}):
        if cluster.get(kind, name) is not None:
            continue
        manifest = next((one for one in manifests if (one.kind, one.name) == (kind, name)), None)
        if kind == "ConfigMap" and manifest is not None:
            missing.append(jobs.anywhere(manifest.thing))
            continue
        where = f"kubectl apply -f {manifest.file}" if manifest else "kubectl apply -f k8s/"
        raise ClusterRefused(
            f"The {kind} {name}, which the Jobs name, does not exist in {cluster.namespace}. Whoever keeps the namespace creates it:"
            f" `{where}`."
        )
    return missing


def create_once(cluster, thing, dry_run=False):
    """Create an object; one that is there already stays: what to do with a run is decided when its turn comes, and the name of a
    ConfigMap tells its content."""
    try:
        cluster.create(thing, dry_run)
    except Refused as refusal:
        if refusal.status != 409:
            raise


def _tell_nodes(cluster, runs, show):
    """Say what the nodes have for the runs; a cluster that grows on demand may have none yet, so that nothing is refused here."""
    nodes = cluster.nodes()
    if nodes is None:
        show("nodes: may not be listed with these credentials; skipped.")
        return
    for resource in sorted({name for thing in runs for name in _devices(thing)}):
        wanted = max(quantity(_devices(thing).get(resource, 0)) for thing in runs)
        having = [quantity(node.get("status", {}).get("allocatable", {}).get(resource, 0)) for node in nodes]
        enough = sum(has >= wanted for has in having)
        show(f"nodes: {enough} of {len(nodes)} offer{'s' if enough == 1 else ''} {wanted:.0f} {resource} or more.")


def _devices(thing):
    """Return the extended resources that one pod of a run asks for."""
    containers = [container for spec in jobs.pod_specs(thing) for container in spec["containers"]]
    limits = [container.get("resources", {}).get("limits", {}) for container in containers]
    return {name: value for one in limits for name, value in one.items() if "/" in name}
