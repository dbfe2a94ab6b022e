"""Immutable ConfigMaps, each named by a hash of its content: a pod reads what its manifest names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from runner.contract import strictjson
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.objects import names

# `kubectl apply` keeps the whole object in an annotation, and the annotations of an object have at most 262,144 bytes (Kubernetes 1.36
# apimachinery ValidateAnnotationsSize). The rest is for what the object has beside its data.
MAX_DATA_BYTES = 240_000
# Go's encoding/json, which kubectl uses, writes these characters as an escape of six.
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def requests(site: Site, set_name: str, plans: Iterable[JobPlan]) -> JsonObject:
    """Return the ConfigMap with the requests of the set. Raises ``InputError`` where its name would be too long."""
    data = {file_name(plan.request): strictjson.pretty(plan.request.to_json()) for plan in plans}
    return immutable(site, names.config(set_name, data), data)


def immutable(site: Site, name: str, data: Mapping[str, str]) -> JsonObject:
    """Return an immutable ConfigMap with such a name."""
    metadata = {"name": name, "namespace": site.namespace, "labels": names.common_labels()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": dict(data)}


def parts(stem: str, data: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return data as the data of ConfigMaps by their names, each small enough for `kubectl apply`; ``stem`` begins the names.

    The keys keep their order. Raises ``InputError`` where a name would be too long.
    """
    groups: list[dict[str, str]] = []
    room = 0
    for key, text in data.items():
        size = applied_bytes({key: text})
        if size > room:
            groups.append({})
            room = MAX_DATA_BYTES
        groups[-1][key] = text
        room -= size
    return {names.config(f"{stem}-{number}", group): group for number, group in enumerate(groups, start=1)}


def applied_bytes(value: object) -> int:
    """Return how many bytes a value has in the annotation that `kubectl apply` keeps."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED).encode())


def file_name(request: Request) -> str:
    """Return the key of a request in the ConfigMap."""
    return f"{request.case}.json"


def path(request: Request) -> str:
    """Return where a pod finds the request."""
    return f"/config/{file_name(request)}"
