"""Who may talk to whom: nobody, but what fetches weights and the ranks of one run.

A policy binds only where the cluster's network plugin enforces it, and never what goes past the kernel's network (RoCE). The pods
are set offline by their variables too.
"""

from runner.host.objects import names

SSH_PORT = 2222  # a port below 1024 would need a capability
DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def deny_all(site):
    """Cut off every pod of this kit, and no other: the namespace may be shared."""
    return _policy(site, "bench-deny-all", {"app.kubernetes.io/name": "bloomz-bench"}, egress=[], ingress=[])


def allow_prefetch(site):
    """Let a prefetch look up names and speak HTTPS."""
    return _policy(
        site,
        "bench-prefetch",
        names.of_this_kit(names.PREFETCH),
        egress=[{"ports": DNS}, {"ports": [{"protocol": "TCP", "port": 443}]}],
    )


def allow_ranks(site, case):
    """Let the pods of one multi-node case talk to each other, on any port: collectives choose their own."""
    peers = {**names.of_this_kit(names.BENCH), "app.kubernetes.io/instance": f"bench-{case.replace('.', '-')}"}
    beside = [{"podSelector": {"matchLabels": peers}}]
    return _policy(
        site, f"bench-ranks-{case}", peers, egress=[{"ports": DNS}, {"to": beside}], ingress=[{"from": beside}]
    )


def _policy(site, name, selected, **directions):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": site.namespace, "labels": names.common_labels()},
        "spec": {
            "podSelector": {"matchLabels": selected},
            "policyTypes": [direction.capitalize() for direction in sorted(directions, reverse=True)],
            **directions,
        },
    }
