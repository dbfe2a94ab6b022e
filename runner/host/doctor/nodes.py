"""The nodes of a cluster, against what the pods of a case ask for. Pure: nodes as the API has them in, answers out.

What a node can give is its allocatable amount; whether other pods hold some of it is not looked at, since that takes a right to list
all pods of the cluster. A cluster that grows on demand may have no node yet: no node of the accelerator at all is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.contract.records import JsonObject
from runner.host.doctor.findings import Answer, not_looked_at, not_ready, ready, warning
from runner.host.manifests import pod
from runner.host.manifests.plan import JobPlan
from runner.host.objects.quantities import is_extended, quantity

Nodes = Sequence[JsonObject] | None


def plugin(nodes: Nodes, resource: str) -> Answer:
    """Say how many nodes offer devices of a resource: without a device plugin none does."""
    if nodes is None:
        return _not_listed()
    if not is_extended(resource):
        return ready("The cases ask for no device.")
    offers = [_allocatable(node, resource) for node in nodes]
    total, offering = sum(offers), sum(offer > 0 for offer in offers)
    if not offering:
        return warning(
            f"No node offers {resource}.",
            "Install the device plugin of the vendor, or start a node that has the devices: `kubectl describe node` shows them.",
        )
    return ready(f"{offering} of {len(nodes)} nodes offer {total:.0f} {resource} in all.")


def labels(nodes: Nodes, plan: JobPlan) -> Answer:
    """Say how many nodes have the labels by which the pods find their accelerator."""
    if nodes is None:
        return _not_listed()
    if not plan.node.labels:
        return ready("The pods look for no label.")
    fitting = [node for node in nodes if _is_labelled(node, plan)]
    wanted = ", ".join(f"{key}={' or '.join(values)}" for key, values in plan.node.labels.items())
    if len(fitting) < plan.nodes:
        key, values = next(iter(plan.node.labels.items()))
        return warning(
            f"{len(fitting)} of {len(nodes)} nodes have {wanted}; {plan.nodes} must.",
            f"`kubectl label node NODE {key}={values[0]}`, or `kubectl apply -f k8s/nfd/` for the kit's own labels.",
        )
    return ready(f"{len(fitting)} of {len(nodes)} nodes have {wanted}.")


def room(nodes: Nodes, plan: JobPlan) -> Answer:
    """Say how many nodes have the labels of a case, and at least what its pod asks for; what the best other node lacks."""
    if nodes is None:
        return _not_listed()
    asked = pod.resources(plan)
    lacking = [_lacking(node, asked) for node in nodes if _is_labelled(node, plan)]
    enough = sum(not missing for missing in lacking)
    if enough >= plan.nodes:
        return ready(f"{enough} of {len(nodes)} nodes have what a pod asks for: {_shown(asked)}.")
    found = f"{enough} of {len(nodes)} nodes have what a pod asks for, and {plan.nodes} must"
    if not any(lacking):
        return warning(f"{found}: {_shown(asked)}.", "Start such a node, or label one.")
    nearest = min(filter(None, lacking), key=len)
    return not_ready(
        f"{found}; the nearest has {', '.join(f'{has} {name} of {asked[name]}' for name, has in nearest.items())}.",
        _remedy(nearest),
    )


def _remedy(missing: dict[str, str]) -> str:
    steps = ["set vm.nr_hugepages on the node and restart its kubelet"] if "hugepages-2Mi" in missing else []
    steps += ["start a larger node"] if set(missing) - {"hugepages-2Mi"} else []
    listed = " and ".join(steps)
    return f"{listed[0].upper()}{listed[1:]}; or ask for less in runner/catalog/profiles.yaml, and render."


def _lacking(node: JsonObject, asked: dict[str, str]) -> dict[str, str]:
    """Return what a node has of each amount that it has too little of."""
    return {
        name: str(_allocatable_text(node, name))
        for name, amount in asked.items()
        if _allocatable(node, name) < quantity(amount)
    }


def _is_labelled(node: JsonObject, plan: JobPlan) -> bool:
    found = node.get("metadata", {}).get("labels") or {}
    return all(found.get(key) in values for key, values in plan.node.labels.items())


def _allocatable_text(node: JsonObject, resource: str) -> object:
    return ((node.get("status") or {}).get("allocatable") or {}).get(resource, 0)


def _allocatable(node: JsonObject, resource: str) -> float:
    return quantity(_allocatable_text(node, resource))


def _shown(asked: dict[str, str]) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in asked.items())


def _not_listed() -> Answer:
    return not_looked_at("The nodes could not be listed.", "Look as somebody who may list nodes.")
