"""Rows for a pod that no node takes: the scheduler's message, the claims, and the nodes where the credentials may list them.

A node that fails a late filter of the scheduler fits better than a node that fails an early filter, so the latest filter is told.
Order and words of the filters: pkg/scheduler/framework/plugins of Kubernetes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from runner.contract.records import JsonObject
from runner.host.diagnosis.observed import Observed
from runner.host.diagnosis.problem import Problem, quoted
from runner.host.objects.names import BENCH, COMPONENT, name_of
from runner.host.objects.pods import requested
from runner.host.objects.quantities import is_extended, quantity
from runner.host.objects.status import condition, holds
from runner.host.objects.walk import claims

PROFILES = "runner/catalog/profiles.yaml"


def unschedulable(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of the newest pod while no node takes it."""
    pod = observed.pod
    scheduled = condition(pod, "PodScheduled")
    if (
        pod is None
        or scheduled is None
        or scheduled.get("status") != "False"
        or scheduled.get("reason") == "SchedulingGated"
    ):
        return None
    message = scheduled.get("message", "")
    counts = _reasons(message)
    for pattern, row in _FILTERS:
        matching = {reason: count for reason, count in counts.items() if re.search(pattern, reason)}
        if matching:
            return row(observed, pod, matching)
    return Problem(
        "unschedulable",
        f"No node takes the pod {name_of(pod)}: {quoted(message)}.",
        f"Look: `{observed.kubectl} describe pod {name_of(pod)}`.",
        "unschedulable",
    )


def _reasons(message: str) -> dict[str, int]:
    """Return the reasons in the scheduler's message with the number of nodes that each holds for; 0 for a reason without a number."""
    # The reasons are one sentence. What follows is of the filters that look for a way out: of preemption, and from 1.34 on of claims.
    listed, _, _ = message.partition(". ")
    listed = re.sub(r"^[0-9]+/[0-9]+ nodes are available: ?", "", listed).rstrip(". ")
    counts = {}
    for part in re.split(r", (?![^{]*})", listed):
        match = re.match(r"([0-9]+) (.*)", part)
        counts[match.group(2) if match else part] = int(match.group(1)) if match else 0
    return counts


def _claims(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    reason = next(iter(reasons))
    missing = re.search(r'persistentvolumeclaim "([^"]+)" not found', reason)
    if missing:
        return Problem(
            "claim-missing",
            f"The claim {missing.group(1)} does not exist in {observed.namespace}.",
            "Create it: `kubectl apply -f` the file of the manifests that holds it (30-*.yaml).",
            "unschedulable",
        )
    for name, claim in observed.claims.items():
        if claim.get("status", {}).get("phase") != "Bound":
            return _unbound(observed, name, claim)
    return Problem(
        "claim-unbound",
        f"A claim of the pod {name_of(pod)} is bound to no volume: {quoted(reason)}.",
        f"Look which: `{observed.kubectl} get pvc`.",
        "volume",
    )


def _unbound(observed: Observed, name: str, claim: JsonObject) -> Problem:
    events = observed.events_of("ProvisioningFailed", "FailedBinding", "WaitForFirstConsumer", about=name)
    reason, message = (events[0].get("reason"), quoted(events[0].get("message", ""))) if events else (None, "")
    storage_class = claim.get("spec", {}).get("storageClassName")
    if reason == "FailedBinding" and not storage_class:
        return Problem(
            "claim-no-class",
            f"The claim {name} names no storage class and the cluster has no default one: {message}.",
            "Render with `--storage-class` and one of `kubectl get storageclass`, and create the claim again.",
            "volume",
        )
    if reason == "WaitForFirstConsumer":
        return Problem(
            "claim-first-consumer",
            f"The claim {name} waits for its first pod, which alone is normal, but no node serves both the pod and the volume.",
            f"Look where its class can make one: `kubectl describe storageclass {storage_class or ''}`.".replace(
                " `.", "`."
            ),
            "volume",
        )
    return Problem(
        "claim-unbound",
        f"The claim {name} is bound to no volume{f': {message}' if message else ''}.",
        f"Look: `{observed.kubectl} describe pvc {name}`.",
        "volume",
    )


def _volume_place(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    names = sorted(claims(pod.get("spec", {})))
    return Problem(
        "volume-place",
        f"The volume of a claim ({', '.join(names)}) lies where no node that fits can reach it: {quoted(next(iter(reasons)))}.",
        "Use a class that all these nodes reach, or delete the claim and let the prefetch Job bind it on a node with accelerators.",
        "unschedulable",
    )


def _exclusive(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    others = _holders(observed, pod, None)
    return Problem(
        "exclusive",
        f"Each node that fits runs another benchmark{f' ({others})' if others else ''}, and two at once would disturb each other.",
        f"Wait for it, or end it: `{observed.kubectl} get jobs -l {COMPONENT}={BENCH}`.",
        "unschedulable",
    )


def _insufficient(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    counts = {reason.removeprefix("Insufficient "): count for reason, count in reasons.items()}
    resource = min(counts, key=lambda name: (-counts[name], _rank(name)))
    if is_extended(resource):
        return _no_device(observed, pod, resource)
    largest = _largest(observed, resource)
    has = f"; the largest node has {largest}" if largest else ""
    if resource.startswith("hugepages-"):
        return Problem(
            "hugepages",
            f"No node has {requested(pod, resource)} of {resource} free{has}.",
            "Reserve them on the node (`sysctl vm.nr_hugepages=N`, N of 2 MiB, then restart the kubelet), or set `hugepages`"
            f" of the profile in {PROFILES} lower or to none, and render again.",
            "unschedulable",
        )
    return Problem(
        "resources",
        f"No node has {requested(pod, resource)} of {resource} free{has}.",
        f"Lower `{resource.replace('-', '_')}` of the profile in {PROFILES} and render again.",
        "unschedulable",
    )


def _rank(resource: str) -> int:
    """Return the rank of a resource: of resources that equally many nodes lack, a diagnosis tells the one of the lowest rank."""
    if is_extended(resource):
        return 0
    scarce = ("hugepages-2Mi", "memory", "cpu")
    return 1 + (scarce.index(resource) if resource in scarce else len(scarce))


def _no_device(observed: Observed, pod: JsonObject, resource: str) -> Problem:
    number = requested(pod, resource)
    if observed.nodes is None:
        return Problem(
            "device",
            f"No node has {number} {resource} free (nodes may not be listed with these rights).",
            f"Ask an administrator which nodes have it: `kubectl describe nodes | grep {resource}`.",
            "unschedulable",
        )
    amounts = {name_of(node): _allocatable(node, resource) for node in observed.nodes}
    offered = {name: amount for name, amount in amounts.items() if quantity(amount)}
    if not offered:
        return Problem(
            "device-plugin",
            f"No node offers {resource} at all.",
            f"Install its device plugin, then look: `kubectl describe nodes | grep {resource}`.",
            "unschedulable",
        )
    nodes = ", ".join(f"{name} has {amount}" for name, amount in sorted(offered.items()))
    holders = _holders(observed, pod, resource)
    return Problem(
        "device",
        f"No node has {number} {resource} free: {nodes}{f', held by {holders}' if holders else ''}.",
        "Wait until they are free, or look who holds them: `kubectl get pods -A -o wide`.",
        "unschedulable",
    )


def _selector(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    labels = _selected_labels(pod)
    command = f"`{observed.kubectl} describe pod {name_of(pod)}`"
    if labels:
        key, values = labels[0]
        command = f"`kubectl label node NODE {shlex.quote(f'{key}={values[0]}')}`"
    selected = " and ".join(f"{key}={'|'.join(values)}" for key, values in labels) or "its node selector"
    return Problem(
        "selector",
        f"No node has the label that the pod asks for: {selected}.",
        f"If a node is such a machine, say so: {command}.",
        "unschedulable",
    )


def _selected_labels(pod: JsonObject) -> list[tuple[str, list[str]]]:
    """Return (label, the values that serve) of every label by which a pod selects its node."""
    spec = pod.get("spec", {})
    labels = [(key, [value]) for key, value in (spec.get("nodeSelector") or {}).items()]
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or []:
        expressions = term.get("matchExpressions") or []
        labels += [(expression["key"], expression["values"]) for expression in expressions if expression.get("values")]
    return labels


def _taint(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    taints = re.search(r"\{([^}]*)\}", next(iter(reasons)))
    taint = taints.group(1).replace(": }", "}").rstrip(": ") if taints else quoted(next(iter(reasons)))
    key = taint.split(":")[0]
    tolerated, removed = shlex.quote(key), shlex.quote(f"{key.split('=')[0]}-")
    return Problem(
        "taint",
        f"Every node that is left has a taint that the pod does not tolerate: {taint}.",
        f"Render with `--toleration {tolerated}`, or remove it: `kubectl taint node NODE {removed}`.",
        "unschedulable",
    )


def _cordoned(observed: Observed, pod: JsonObject, reasons: dict[str, int]) -> Problem:
    return Problem(
        "cordoned",
        "Every node that is left is closed for new pods.",
        "Open it when its maintenance is over: `kubectl uncordon NODE`.",
        "unschedulable",
    )


# From the last filter to the first. The scheduler looks at missing and unbound claims before it looks at any node.
_FILTERS: tuple[tuple[str, Callable[[Observed, JsonObject, dict[str, int]], Problem]], ...] = (
    (r"persistentvolumeclaim .* not found|unbound immediate PersistentVolumeClaims", _claims),
    (r"anti-affinity", _exclusive),
    (r"find available persistent volumes", _claims),
    (r"volume node affinity conflict|PersistentVolume's node affinity", _volume_place),
    (r"^Insufficient ", _insufficient),
    (r"node affinity/selector|node selector", _selector),
    (r"untolerated taint", _taint),
    (r"were unschedulable", _cordoned),
)


def _allocatable(node: JsonObject, resource: str) -> str:
    return node.get("status", {}).get("allocatable", {}).get(resource, "0")


def _largest(observed: Observed, resource: str) -> str | None:
    return max((_allocatable(node, resource) for node in observed.nodes or ()), key=quantity, default=None)


def _holders(observed: Observed, pod: JsonObject, resource: str | None) -> str:
    """Return the names of the kit's other pods that hold a resource, or with None that run; three names at most."""
    holders = [
        f"{name_of(other)}{f' ({requested(other, resource)})' if resource else ''}"
        for other in observed.neighbours
        if name_of(other) != name_of(pod)
        and other.get("spec", {}).get("nodeName")
        and other.get("status", {}).get("phase") in ("Pending", "Running")
        and (resource is None or quantity(requested(other, resource)))
    ]
    return ", ".join(holders[:3]) + (f" and {len(holders) - 3} more" if len(holders) > 3 else "")


def gated(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a pod that is held back by a gate, as Kueue does with single pods."""
    pod = observed.pod
    if pod is None or holds(pod, "PodScheduled"):
        return None
    if (condition(pod, "PodScheduled") or {}).get("reason") == "SchedulingGated":
        gates = ", ".join(gate["name"] for gate in pod.get("spec", {}).get("schedulingGates") or [])
        return Problem(
            "gated",
            f"The pod {name_of(pod)} is held back by the gate {gates}.",
            "Its owner opens it; for a queue see `kubectl get workloads`.",
            "queue",
        )
    return None


ROWS = (unschedulable, gated)
