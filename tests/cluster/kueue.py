"""A queue of Kueue's for one test: a LocalQueue in its namespace, with a quota, in which a higher priority goes first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from runner.contract.records import JsonObject
from tests.cluster.conftest import Real

QUEUE = "accelerators"
VERSION = {"apiVersion": "kueue.x-k8s.io/v1beta2"}


@contextlib.contextmanager
def made(real: Real, quota: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Make what Kueue needs for a queue; yield labels with which a Job goes before others in it."""
    name = f"bench-{real.namespace[-6:]}"
    resources = [{"name": resource, "nominalQuota": amount} for resource, amount in quota.items()]
    group = {"coveredResources": list(quota), "flavors": [{"name": name, "resources": resources}]}
    real.apply(
        {**VERSION, "kind": "ResourceFlavor", "metadata": {"name": name}},
        {**VERSION, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": 1000},
        {
            **VERSION,
            "kind": "ClusterQueue",
            "metadata": {"name": name},
            "spec": {
                "namespaceSelector": {},
                "resourceGroups": [group],
                "preemption": {"withinClusterQueue": "LowerPriority"},
            },
        },
        {**VERSION, "kind": "LocalQueue", "metadata": {"name": QUEUE}, "spec": {"clusterQueue": name}},
    )
    real.until(lambda: active(real.get("localqueue", QUEUE)))
    try:
        yield {"kueue.x-k8s.io/queue-name": QUEUE, "kueue.x-k8s.io/priority-class": name}
    finally:
        for kind in ("clusterqueue", "resourceflavor", "workloadpriorityclass"):
            real.kubectl("delete", kind, name, "--wait=false")


def active(queue: JsonObject) -> bool:
    return any(
        one["type"] == "Active" and one["status"] == "True" for one in queue.get("status", {}).get("conditions", [])
    )
