"""The two volumes: weights, written by prefetch and read by all; results, written by bench."""

from runner.host.objects import names

MODELS_SIZE = "500Gi"  # 352 GB of BLOOMZ, 14 GB of BLOOMZ-7B1, and room for what a download leaves while it runs
RESULTS_SIZE = "5Gi"


def models(site, shared=False):
    """Return the claim of the weights; ``shared`` is for several nodes at once and has its own name, since a claim cannot change."""
    name = f"{names.MODELS}-shared" if shared else names.MODELS
    return _claim(site, name, MODELS_SIZE, "ReadWriteMany" if shared else site.access_mode)


def results(site):
    return _claim(site, names.RESULTS, RESULTS_SIZE, site.access_mode)


def _claim(site, name, size, access_mode):
    spec = {"accessModes": [access_mode], "resources": {"requests": {"storage": size}}}
    if site.storage_class is not None:
        spec["storageClassName"] = site.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": site.namespace, "labels": names.common_labels()},
        "spec": spec,
    }
