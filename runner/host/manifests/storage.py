"""The claims of the two volumes: weights, which prefetch writes and every bench reads; results, which bench writes."""

from __future__ import annotations

from runner.contract.records import JsonObject
from runner.host.manifests.site import Site
from runner.host.objects import names

# 352 GB of BLOOMZ, 14 GB of BLOOMZ-7B1, and room for the temporary files of a download.
MODELS_SIZE = "500Gi"
RESULTS_SIZE = "5Gi"


def models(site: Site, shared: bool = False) -> JsonObject:
    """Return the claim of the weights. The claim that several nodes ``shared`` has another name, since a claim cannot be changed."""
    name = f"{names.MODELS}-shared" if shared else names.MODELS
    return _claim(site, name, MODELS_SIZE, "ReadWriteMany" if shared else site.access_mode)


def results(site: Site) -> JsonObject:
    """Return the claim of the results."""
    return _claim(site, names.RESULTS, RESULTS_SIZE, site.access_mode)


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
