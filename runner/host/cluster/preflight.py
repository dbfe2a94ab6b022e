"""Check before anything is created: rights, the objects that runs name, volumes, queues, the cluster's admission, and its nodes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runner.contract.errors import ClusterRefused, InputError
from runner.contract.records import JsonObject
from runner.contract.text import printable
from runner.host.cluster import errors, image_ids
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.connection import CUSTOM_KINDS
from runner.host.cluster.runs import Show
from runner.host.objects import names, rights
from runner.host.objects.manifest_files import Manifest
from runner.host.objects.names import PROBLEM, queue_of
from runner.host.objects.quantities import quantity
from runner.host.objects.status import condition
from runner.host.objects.submitted import without_namespace
from runner.host.objects.walk import needs, pod_specs, shared_claims

# The file that has the Role, where the manifests at hand hold none.
_ROLE_FILE = "k8s/11-rbac-submitter.yaml"


def check_images(runs: Sequence[JsonObject]) -> None:
    """Refuse runs that would not measure, or whose images are not named by digest. No cluster is asked.

    The exception is a base whose digest nobody has published, which an annotation of the run names.

    Raises ``ClusterRefused`` and ``InputError``.
    """
    for manifest in runs:
        name = manifest["metadata"]["name"]
        problem = manifest["metadata"].get("annotations", {}).get(PROBLEM)
        if problem:
            raise ClusterRefused(f"{name} would not measure: {printable(problem, 600).rstrip('.')}.")
        bases = names.tagged_bases(manifest)
        tagged = [image for image in image_ids.without_digest(manifest) if image not in bases]
        if tagged:
            raise InputError(
                f"{name} takes the image {printable(tagged[0], 300) or 'without a name'}, which is not named by digest"
                " (REPOSITORY@sha256:...): what a tag names can change between two runs. Render with"
                " `--image STACK=REPOSITORY@sha256:...`, or put the digest into the manifest."
            )


def check_cluster(
    cluster: Cluster, manifests: Sequence[Manifest], runs: Sequence[JsonObject], show: Show
) -> list[JsonObject]:
    """Return the ConfigMaps of the manifests that runs name and that the cluster lacks; ``runs`` are objects as submitted.

    Raises ``ClusterRefused`` with the first thing that would keep the runs from running, and ``Unreachable``.
    """
    try:
        _check_rights(cluster, manifests, runs)
        missing = _check_named_objects(cluster, manifests, runs)
        _check_volumes(cluster, runs)
        _check_queues(cluster, runs, show)
        for manifest in [*missing, *runs]:
            create_once(cluster, manifest, dry_run=True)
        _show_nodes(cluster, runs, show)
    except (Refused, Unanswered) as problem:
        raise errors.as_kit_error(problem, cluster) from None
    return missing


def config_maps(manifests: Sequence[Manifest], runs: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the ConfigMaps of the manifests that runs name, without a namespace. No cluster is asked."""
    named = {need for run in runs for need in needs(run)}
    return [
        without_namespace(manifest.content)
        for manifest in manifests
        if manifest.kind == "ConfigMap" and (manifest.kind, manifest.name) in named
    ]


def create_once(cluster: Cluster, manifest: JsonObject, dry_run: bool = False) -> None:
    """Create an object, or leave the one of its name that exists. Raises ``Refused`` and ``Unanswered``.

    A ConfigMap's name holds a digest of its content; a run that exists is decided on when its turn comes.
    """
    try:
        cluster.create(manifest, dry_run)
    except Refused as refusal:
        if refusal.status != 409:
            raise


def _check_rights(cluster: Cluster, manifests: Sequence[Manifest], runs: Sequence[JsonObject]) -> None:
    needed = rights.needed({run["kind"] for run in runs}, queued=any(map(queue_of, runs)))
    lacking = [str(right) for right in needed if not cluster.may(right)]
    if lacking:
        role = next((manifest.file for manifest in manifests if manifest.kind == "Role"), _ROLE_FILE)
        raise ClusterRefused(
            f"These credentials lack rights in {cluster.namespace}: {', '.join(lacking)}. Ask for the Role in {role} to be bound"
            " to you."
        )


def _check_named_objects(
    cluster: Cluster, manifests: Sequence[Manifest], runs: Sequence[JsonObject]
) -> list[JsonObject]:
    """Refuse runs that name an object that neither the cluster nor the manifests have; return the ConfigMaps to create."""
    missing = []
    for kind, name in sorted({need for run in runs for need in needs(run)}):
        if cluster.get(kind, name) is not None:
            continue
        manifest = next((known for known in manifests if (known.kind, known.name) == (kind, name)), None)
        if kind == "ConfigMap" and manifest is not None:
            missing.append(without_namespace(manifest.content))
            continue
        raise ClusterRefused(
            f"The {kind} {name}, which the Jobs name, does not exist in {cluster.namespace}. Whoever keeps the namespace creates it:"
            f" {_commands_to_create(cluster, manifest)}."
        )
    return missing


def _commands_to_create(cluster: Cluster, manifest: Manifest | None) -> str:
    """Return the commands that create an object in the namespace at hand, whichever namespace its manifest was rendered for."""
    apply = shlex.join(["kubectl", *cluster.kubectl_flags, "apply", "-f"])
    rendered_for = manifest.content["metadata"].get("namespace", cluster.namespace) if manifest else names.NAMESPACE
    if rendered_for == cluster.namespace:
        return f"`{apply} {shlex.quote(str(manifest.file)) if manifest else 'k8s/'}`"
    return f"`python -m runner render --namespace {cluster.namespace} --out FOLDER`, then `{apply} FOLDER`"


def _check_volumes(cluster: Cluster, runs: Sequence[JsonObject]) -> None:
    """Refuse a volume that one node at a time can mount, where pods on several nodes mount it."""
    for run in runs:
        for name in shared_claims(run):
            claim = cluster.get("PersistentVolumeClaim", name) or {}
            modes = claim.get("spec", {}).get("accessModes") or []
            if not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
                raise ClusterRefused(
                    f"The claim {name} can be mounted on one node at a time ({', '.join(modes)}), and the pods of"
                    f" {run['metadata']['name']} mount it on several. Make it anew with a storage class that offers ReadWriteMany:"
                    f" `{cluster.kubectl} get pvc {name}`."
                )


def _check_queues(cluster: Cluster, runs: Sequence[JsonObject], show: Show) -> None:
    """Refuse runs for a queue that does not exist or accepts nothing: such runs would wait for ever."""
    for name in sorted(filter(None, {queue_of(run) for run in runs})):
        try:
            queue = cluster.get("LocalQueue", name)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            api_version = CUSTOM_KINDS["LocalQueue"].api_version
            show(f"queue: this cluster does not serve {api_version}; {name} was not looked up.")
            continue
        look = f"`{cluster.kubectl} get localqueues` shows what there is; render with such a `--queue`"
        if queue is None:
            raise ClusterRefused(f"The LocalQueue {name} does not exist in {cluster.namespace}. {look}.")
        active = condition(queue, "Active") or {}
        if active.get("status") == "False":
            reason = active.get("message") or active.get("reason") or "it does not say why"
            raise ClusterRefused(
                f"The LocalQueue {name} takes nothing: {printable(reason, 300).rstrip('.')}. {look}, or ask its owner."
            )


def _show_nodes(cluster: Cluster, runs: Sequence[JsonObject], show: Show) -> None:
    """Show how many nodes have the devices of the runs. Nothing is refused: a cluster that grows on demand may have no node yet."""
    nodes = cluster.nodes()
    if nodes is None:
        show("nodes: may not be listed with these credentials; skipped.")
        return
    for resource in sorted({name for run in runs for name in _devices(run)}):
        wanted = max(quantity(_devices(run).get(resource, 0)) for run in runs)
        offers = [quantity(node.get("status", {}).get("allocatable", {}).get(resource, 0)) for node in nodes]
        enough = sum(offer >= wanted for offer in offers)
        show(f"nodes: {enough} of {len(nodes)} offer{'s' if enough == 1 else ''} {wanted:.0f} {resource} or more.")


def _devices(run: JsonObject) -> JsonObject:
    """Return the extended resources, by name, that one pod of a run asks for."""
    containers = [container for spec in pod_specs(run) for container in spec["containers"]]
    limits = [container.get("resources", {}).get("limits", {}) for container in containers]
    return {name: amount for limit in limits for name, amount in limit.items() if "/" in name}
