"""Rows for a pod that no node takes: the scheduler's words, the claims, and the nodes where they may be seen.

A node that fails a later filter is nearer to fitting than one that fails an earlier one, so the latest one is told. Order and
words of the filters: pkg/scheduler/framework/plugins of Kubernetes.
"""

import re
import shlex

from runner.host.diagnosis.problem import Problem, condition, events_of, holds, name_of, quantity, quoted, wanted

DEVICES = ("habana.ai/gaudi", "nvidia.com/gpu")
PROFILES = "runner/catalog/profiles.yaml"


def unschedulable(observed):
    """Return the ``Problem`` of the newest pod while no node takes it."""
    pod = observed.pod
    scheduled = condition(pod, "PodScheduled")
    if scheduled is None or scheduled.get("status") != "False" or scheduled.get("reason") == "SchedulingGated":
        return None
    message = scheduled.get("message", "")
    counts = _reasons(message)
    for matches, row in _FILTERS:
        found = {reason: count for reason, count in counts.items() if re.search(matches, reason)}
        if found:
            return row(observed, pod, found)
    return Problem(
        "unschedulable",
        f"No node takes the pod {name_of(pod)}: {quoted(message)}.",
        f"Look: `{observed.kubectl} describe pod {name_of(pod)}`.",
        "unschedulable",
    )


def _reasons(message):
    """Return the reasons in the scheduler's message with how many nodes gave each; 0 for one that holds for all."""
    told = message.split(" preemption:")[0]
    told = re.sub(r"^[0-9]+/[0-9]+ nodes are available: ?", "", told).rstrip(". ")
    counts = {}
    for part in re.split(r", (?![^{]*})", told):
        found = re.match(r"([0-9]+) (.*)", part)
        counts[found.group(2) if found else part] = int(found.group(1)) if found else 0
    return counts


def _claims(observed, pod, found):
    reason = next(iter(found))
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


def _unbound(observed, name, claim):
    events = events_of(observed, "ProvisioningFailed", "FailedBinding", "WaitForFirstConsumer", about=name)
    reason, told = (events[0].get("reason"), quoted(events[0].get("message", ""))) if events else (None, "")
    wanted_class = claim.get("spec", {}).get("storageClassName")
    if reason == "FailedBinding" and not wanted_class:
        return Problem(
            "claim-no-class",
            f"The claim {name} names no storage class and the cluster has no default one: {told}.",
            "Render with `--storage-class` and one of `kubectl get storageclass`, and create the claim again.",
            "volume",
        )
    if reason == "WaitForFirstConsumer":
        return Problem(
            "claim-first-consumer",
            f"The claim {name} waits for its first pod, which alone is normal, but no node serves both the pod and the volume.",
            f"Look where its class can make one: `kubectl describe storageclass {wanted_class or ''}`.".replace(
                " `.", "`."
            ),
            "volume",
        )
    return Problem(
        "claim-unbound",
        f"The claim {name} is bound to no volume{f': {told}' if told else ''}.",
        f"Look: `{observed.kubectl} describe pvc {name}`.",
        "volume",
    )


def _volume_place(observed, pod, found):
    names = sorted(
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod.get("spec", {}).get("volumes") or []
        if "persistentVolumeClaim" in volume
    )
    return Problem(
        "volume-place",
        f"The volume of a claim ({', '.join(names)}) lies where no node that fits can reach it: {quoted(next(iter(found)))}.",
        "Use a class that all these nodes reach, or delete the claim and let the prefetch Job bind it on a node with accelerators.",
        "unschedulable",
    )


def _exclusive(observed, pod, found):
    others = _holders(observed, pod, None)
    return Problem(
        "exclusive",
        f"Each node that fits runs another benchmark{f' ({others})' if others else ''}, and two at once would disturb each other.",
        f"Wait for it, or end it: `{observed.kubectl} get jobs -l app.kubernetes.io/component=bench`.",
        "unschedulable",
    )


def _insufficient(observed, pod, found):
    counts = {reason.removeprefix("Insufficient "): count for reason, count in found.items()}
    first = {name: rank for rank, name in enumerate((*DEVICES, "hugepages-2Mi", "memory", "cpu"))}
    resource = min(counts, key=lambda name: (-counts[name], first.get(name, len(first))))
    if resource in DEVICES:
        return _no_device(observed, pod, resource)
    largest = _largest(observed, resource)
    has = f"; the largest node has {largest}" if largest else ""
    if resource.startswith("hugepages-"):
        return Problem(
            "hugepages",
            f"No node has {wanted(pod, resource)} of {resource} free{has}.",
            "Reserve them on the node (`sysctl vm.nr_hugepages=N`, N of 2 MiB, then restart the kubelet), or set `hugepages`"
            f" of the profile in {PROFILES} lower or to none, and render again.",
            "unschedulable",
        )
    return Problem(
        "resources",
        f"No node has {wanted(pod, resource)} of {resource} free{has}.",
        f"Lower `{resource.replace('-', '_')}` of the profile in {PROFILES} and render again.",
        "unschedulable",
    )


def _no_device(observed, pod, resource):
    number = wanted(pod, resource)
    if observed.nodes is None:
        return Problem(
            "device",
            f"No node has {number} {resource} free (nodes may not be listed with these rights).",
            f"Ask an administrator which nodes have it: `kubectl describe nodes | grep {resource}`.",
            "unschedulable",
        )
    offered = {name_of(node): _allocatable(node, resource) for node in observed.nodes}
    offered = {name: has for name, has in offered.items() if quantity(has)}
    if not offered:
        return Problem(
            "device-plugin",
            f"No node offers {resource} at all.",
            f"Install its device plugin, then look: `kubectl describe nodes | grep {resource}`.",
            "unschedulable",
        )
    nodes = ", ".join(f"{name} has {has}" for name, has in sorted(offered.items()))
    holders = _holders(observed, pod, resource)
    return Problem(
        "device",
        f"No node has {number} {resource} free: {nodes}{f', held by {holders}' if holders else ''}.",
        "Wait until they are free, or look who holds them: `kubectl get pods -A -o wide`.",
        "unschedulable",
    )


def _selector(observed, pod, found):
    labels = _wanted_labels(pod)
    first = next(iter(labels), None)
    line = (
        f"`kubectl label node NODE {shlex.quote(f'{first[0]}={first[1][0]}')}`"
        if first
        else f"`{observed.kubectl} describe pod {name_of(pod)}`"
    )
    wanted_labels = " and ".join(f"{key}={'|'.join(values)}" for key, values in labels) or "its node selector"
    return Problem(
        "selector",
        f"No node has the label that the pod asks for: {wanted_labels}.",
        f"If a node is such a machine, say so: {line}.",
        "unschedulable",
    )


def _wanted_labels(pod):
    spec = pod.get("spec", {})
    labels = [(key, [value]) for key, value in (spec.get("nodeSelector") or {}).items()]
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or []:
        labels += [(one["key"], one["values"]) for one in term.get("matchExpressions") or [] if one.get("values")]
    return labels


def _taint(observed, pod, found):
    taints = re.search(r"\{([^}]*)\}", next(iter(found)))
    taint = taints.group(1).replace(": }", "}").rstrip(": ") if taints else quoted(next(iter(found)))
    key = taint.split(":")[0]
    given, removed = shlex.quote(key), shlex.quote(f"{key.split('=')[0]}-")
    return Problem(
        "taint",
        f"Every node that is left has a taint that the pod does not tolerate: {taint}.",
        f"Render with `--toleration {given}`, or remove it: `kubectl taint node NODE {removed}`.",
        "unschedulable",
    )


def _cordoned(observed, pod, found):
    return Problem(
        "cordoned",
        "Every node that is left is closed for new pods.",
        "Open it when its maintenance is over: `kubectl uncordon NODE`.",
        "unschedulable",
    )


# From the last filter to the first; claims that do not exist or are unbound are seen before any node.
_FILTERS = (
    (r"persistentvolumeclaim .* not found|unbound immediate PersistentVolumeClaims", _claims),
    (r"anti-affinity", _exclusive),
    (r"find available persistent volumes", _claims),
    (r"volume node affinity conflict|PersistentVolume's node affinity", _volume_place),
    (r"^Insufficient ", _insufficient),
    (r"node affinity/selector|node selector", _selector),
    (r"untolerated taint", _taint),
    (r"were unschedulable", _cordoned),
)


def _allocatable(node, resource):
    return node.get("status", {}).get("allocatable", {}).get(resource, "0")


def _largest(observed, resource):
    return max((_allocatable(node, resource) for node in observed.nodes or ()), key=quantity, default=None)


def _holders(observed, pod, resource):
    """Return the other pods of this kit that hold the resource (or run at all), as far as they can be seen."""
    held = [
        f"{name_of(other)}{f' ({wanted(other, resource)})' if resource else ''}"
        for other in observed.neighbours
        if name_of(other) != name_of(pod)
        and other.get("spec", {}).get("nodeName")
        and other.get("status", {}).get("phase") in ("Pending", "Running")
        and (resource is None or quantity(wanted(other, resource)))
    ]
    return ", ".join(held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")


def gated(observed):
    """Return the ``Problem`` of a pod that is held back by a gate, as Kueue does with single pods."""
    pod = observed.pod
    if not holds(pod, "PodScheduled") and (condition(pod, "PodScheduled") or {}).get("reason") == "SchedulingGated":
        gates = ", ".join(gate["name"] for gate in pod.get("spec", {}).get("schedulingGates") or [])
        return Problem(
            "gated",
            f"The pod {name_of(pod)} is held back by the gate {gates}.",
            "Its owner opens it; for a queue see `kubectl get workloads`.",
            "queue",
        )
    return None


ROWS = (unschedulable, gated)
