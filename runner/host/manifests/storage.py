"""The claims of the volumes: weights and packages, which are fetched once and read by every bench; results, which bench writes."""

from __future__ import annotations

from typing import NamedTuple

from runner.contract.records import JsonObject
from runner.host.manifests.site import Site
from runner.host.objects import names

# 352 GB of BLOOMZ, 14 GB of BLOOMZ-7B1, and room for the temporary files of a download.
MODELS_SIZE = "500Gi"
RESULTS_SIZE = "5Gi"
# The packages of every stack of the lock, and of their next versions; a folder of the volume belongs to one recipe.
PACKAGES_SIZE = "40Gi"


class Claims(NamedTuple):
    """The names of the claims that pods read from."""

    models: str
    packages: str


# The claims of pods of which each may be on a node of its own.
OWN = Claims(names.MODELS, names.PACKAGES_CLAIM)


def claims(shared: bool) -> Claims:
    """Return the names of the claims. Those that several nodes have ``shared`` are others, since a claim cannot be changed."""
    return Claims(*(f"{name}-shared" for name in OWN)) if shared else OWN


def models(site: Site, shared: bool = False) -> JsonObject:
    """Return the claim of the weights, which several nodes may have ``shared``."""
    return _read_by_all(site, claims(shared).models, MODELS_SIZE, shared)


def packages(site: Site, shared: bool = False) -> JsonObject:
    """Return the claim of the packages that pods install stacks from, which several nodes may have ``shared``."""
    return _read_by_all(site, claims(shared).packages, PACKAGES_SIZE, shared)


def results(site: Site) -> JsonObject:
    """Return the claim of the results."""
    return _claim(site, names.RESULTS, RESULTS_SIZE, site.access_mode)


def _read_by_all(site: Site, name: str, size: str, shared: bool) -> JsonObject:
    return _claim(site, name, size, "ReadWriteMany" if shared else site.access_mode)


def _claim(site: Site, name: str, size: str, access_mode: str) -> JsonObject:
    spec: JsonObject = {"accessModes": [access_mode], "resources": {"requests": {"storage": size}}}
    if site.storage_class is not None:
        spec["storageClassName"] = site.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": site.namespace, "labels": names.common_labels()},
        "spec": spec,
    }
