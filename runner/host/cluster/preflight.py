"""Ask the cluster before anything is created: rights, what the runs name, what its admission says, and what its nodes have."""

import shlex
from typing import Any

from runner.contract.errors import ClusterRefused, InputError
from runner.contract.text import printable
from runner.host.cluster import errors, image_ids
from runner.host.cluster.client import GROUPS, Refused, Unanswered
from runner.host.objects import names, submitted, walk
from runner.host.objects.manifest_files import Manifest
from runner.host.objects.quantities import quantity
from runner.host.objects.status import condition

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
# What a queue is looked up with, where the runs name one; a watch of Workloads, which is not granted, is made up for by lists.
QUEUE_RIGHTS = tuple(
    (GROUPS[kind][0], GROUPS[kind][2], "", (verb,)) for kind, verb in (("LocalQueue", "get"), ("Workload", "list"))
)


def rights(kinds, queued=False):
    """Return the rights that runs of these kinds take, ``queued`` ones or others, as (group, resource, subresource, verb)."""
    own = [(GROUPS[kind][0], GROUPS[kind][2], "", VERBS) for kind in sorted(set(kinds) - {"Job"})]
    every = (*RIGHTS, *own, *(QUEUE_RIGHTS if queued else ()))
    return [(group, resource, sub, verb) for group, resource, sub, verbs in every for verb in verbs]


def check_images(runs: list[dict[str, Any]]) -> None:
    """Refuse runs whose images cannot be pulled, or are not named by digest. No cluster is asked."""
    for thing in runs:
        name = thing["metadata"]["name"]
        problem = thing["metadata"].get("annotations", {}).get(names.IMAGE_PROBLEM)
        if problem:
            raise ClusterRefused(f"The image of {name} cannot be pulled: {printable(problem, 600).rstrip('.')}.")
        tagged = image_ids.by_tag(thing)
        if tagged:
            raise InputError(
                f"{name} takes the image {printable(tagged[0], 300) or 'without a name'}, which is not named by digest"
                " (REPOSITORY@sha256:...): what a tag names can change between two runs. Render with"
                " `--image STACK=REPOSITORY@sha256:...`, or put the digest into the manifest."
            )


def check(cluster, manifests, runs, show):
    """Raise ``ClusterRefused`` with the first thing that would keep ``runs`` (objects as submitted) from running.

    Returns the ConfigMaps of the manifests that they name and that are not there yet.
    """
    try:
        _check_rights(cluster, manifests, runs)
        missing = _check_needs(cluster, manifests, runs)
        _check_volumes(cluster, runs)
        _check_queues(cluster, runs, show)
        for thing in [*missing, *runs]:
            create_once(cluster, thing, dry_run=True)
        _tell_nodes(cluster, runs, show)
    except (Refused, Unanswered) as problem:
        raise errors.as_error(problem, cluster) from None
    return missing


def settings(manifests: list[Manifest], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ConfigMaps of the manifests that runs name."""
    named = {need for thing in runs for need in walk.needs(thing)}
    return [
        submitted.without_namespace(one.content)
        for one in manifests
        if one.kind == "ConfigMap" and (one.kind, one.name) in named
    ]


def _check_rights(cluster, manifests, runs):
    lacking = [
        f"{verb} {resource}{f'/{sub}' if sub else ''}"
        for group, resource, sub, verb in rights({thing["kind"] for thing in runs}, any(map(names.queue_of, runs)))
        if not cluster.may(verb, group, resource, sub)
    ]
    if lacking:
        role = next((one.file for one in manifests if one.kind == "Role"), "k8s/11-rbac-submitter.yaml")
        raise ClusterRefused(
            f"These credentials lack rights in {cluster.namespace}: {', '.join(lacking)}. Ask for the Role in {role} to be bound"
            " to you."
        )


def _check_needs(cluster, manifests, runs):
    """Refuse what the runs name and nobody made; return the requests' own ConfigMaps that are missing."""
    missing = []
    for kind, name in sorted({need for thing in runs for need in walk.needs(thing)}):
        if cluster.get(kind, name) is not None:
            continue
        manifest = next((one for one in manifests if (one.kind, one.name) == (kind, name)), None)
        if kind == "ConfigMap" and manifest is not None:
            missing.append(submitted.without_namespace(manifest.content))
            continue
        raise ClusterRefused(
            f"The {kind} {name}, which the Jobs name, does not exist in {cluster.namespace}. Whoever keeps the namespace creates it:"
            f" {_how_to_create(cluster, manifest)}."
        )
    return missing


def _how_to_create(cluster, manifest):
    """Return the commands that create an object in the namespace that is used, whichever one its manifest was rendered for."""
    apply = shlex.join(["kubectl", *cluster.place, "apply", "-f"])
    rendered_for = manifest.content["metadata"].get("namespace", cluster.namespace) if manifest else names.NAMESPACE
    if rendered_for == cluster.namespace:
        return f"`{apply} {shlex.quote(str(manifest.file)) if manifest else 'k8s/'}`"
    return f"`python -m runner render --namespace {cluster.namespace} --out FOLDER`, then `{apply} FOLDER`"


def _check_volumes(cluster, runs):
    """Refuse a volume that one node at a time can have where pods on several nodes mount it."""
    for thing in runs:
        for name in walk.shared_claims(thing):
            modes = cluster.get("PersistentVolumeClaim", name).get("spec", {}).get("accessModes") or []
            if not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
                raise ClusterRefused(
                    f"The claim {name} can be mounted on one node at a time ({', '.join(modes)}), and the pods of"
                    f" {thing['metadata']['name']} mount it on several. Make it anew with a storage class that offers ReadWriteMany:"
                    f" `{cluster.kubectl} get pvc {name}`."
                )


def _check_queues(cluster, runs, show):
    """Refuse runs that name a queue that nobody made, or that takes nothing: they would wait in it for ever."""
    for name in sorted(filter(None, {names.queue_of(thing) for thing in runs})):
        try:
            found = cluster.get("LocalQueue", name)
        except Refused as refused:
            if refused.status != 404:
                raise
            show(f"queue: this cluster does not serve {'/'.join(GROUPS['LocalQueue'][:2])}; {name} was not looked up.")
            continue
        look = f"`{cluster.kubectl} get localqueues` shows what there is; render with such a `--queue`"
        if found is None:
            raise ClusterRefused(f"The LocalQueue {name} does not exist in {cluster.namespace}. {look}.")
        active = condition(found, "Active") or {}
        if active.get("status") == "False":
            why = printable(active.get("message") or active.get("reason") or "it does not say why", 300).rstrip(".")
            raise ClusterRefused(f"The LocalQueue {name} takes nothing: {why}. {look}, or ask its owner.")


def create_once(cluster, thing, dry_run=False):
    """Create an object; one that is there already stays: what to do with a run is decided when its turn comes, and the name of a
    ConfigMap tells its content."""
    try:
        cluster.create(thing, dry_run)
    except Refused as refused:
        if refused.status != 409:
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
    containers = [container for spec in walk.pod_specs(thing) for container in spec["containers"]]
    limits = [container.get("resources", {}).get("limits", {}) for container in containers]
    return {name: value for one in limits for name, value in one.items() if "/" in name}
