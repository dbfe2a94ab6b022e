"""The requests of a set in one immutable ConfigMap, whose name is a hash of its content: a pod reads what its manifest names."""

from __future__ import annotations

from collections.abc import Iterable

from runner.contract import strictjson
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.objects import names


def requests(site: Site, set_name: str, plans: Iterable[JobPlan]) -> JsonObject:
    """Return the ConfigMap with the requests of the set. Raises ``InputError`` where its name would be too long."""
    data = {file_name(plan.request): strictjson.pretty(plan.request.to_json()) for plan in plans}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.config(set_name, data),
            "namespace": site.namespace,
            "labels": names.common_labels(),
        },
        "immutable": True,
        "data": data,
    }


def file_name(request: Request) -> str:
    """Return the key of a request in the ConfigMap."""
    return f"{request.case}.json"


def path(request: Request) -> str:
    """Return where a pod finds the request."""
    return f"/config/{file_name(request)}"
