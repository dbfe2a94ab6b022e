"""Network policies: no pod of this kit talks to anything, but what fetches packages or weights, and the ranks of one run to each other.

A policy binds only where the cluster's network plugin enforces it, and never traffic that bypasses the kernel's network (RoCE).
Variables keep the pods offline too.
"""

from __future__ import annotations

from typing import Any

from runner.contract.records import JsonObject
from runner.host.manifests.site import Site
from runner.host.objects import names

# A port below 1024 would need a capability.
SSH_PORT = 2222
HTTPS_PORT = 443
DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def deny_all(site: Site) -> JsonObject:
    """Cut off every pod of this kit, and no other pod: the namespace may be shared."""
    return _policy(site, "bench-deny-all", names.KIT, egress=[], ingress=[])


def allow_fetching(site: Site, component: str) -> JsonObject:
    """Let the pods of a component that fetches look up names and speak HTTPS, or to the mirror or proxy that the site names."""
    ports = [{"protocol": "TCP", "port": port} for port in (HTTPS_PORT, *site.fetching_ports)]
    egress = [{"ports": DNS}, {"ports": ports}]
    return _policy(site, f"bench-{component}", names.of_this_kit(component), egress=egress)


def allow_ranks(site: Site, case: str) -> JsonObject:
    """Let the pods of one case on several nodes talk to each other, on any port: collectives choose their ports."""
    labels = {**names.of_this_kit(names.BENCH), names.INSTANCE: names.instance(case)}
    ranks = [{"podSelector": {"matchLabels": labels}}]
    return _policy(
        site, f"bench-ranks-{case}", labels, egress=[{"ports": DNS}, {"to": ranks}], ingress=[{"from": ranks}]
    )


def _policy(site: Site, name: str, labels: dict[str, str], **directions: list[dict[str, Any]]) -> JsonObject:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": site.namespace, "labels": names.common_labels()},
        "spec": {
            "podSelector": {"matchLabels": dict(labels)},
            "policyTypes": [direction.capitalize() for direction in sorted(directions, reverse=True)],
            **directions,
        },
    }
