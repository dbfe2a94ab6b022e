"""The rule by which Node Feature Discovery gives nodes the kit's own label, in place of ``kubectl label node``.

Gaudi generations share their resource name and their vendor's id; the id of the device tells them apart.
"""

from runner.host.manifests import names

FOLDER, FILE = "nfd", "10-accelerators.yaml"
NOTE = """For a cluster with Node Feature Discovery (kubernetes-sigs/node-feature-discovery), which then labels the nodes by itself:
  kubectl apply -f k8s/nfd/
The label is a claim: the container looks at the device itself, and refuses another one."""


def rule(places):
    """Return the NodeFeatureRule of all ``places`` that are told by their PCI devices, vendor and device in hexadecimal."""
    return {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeatureRule",
        "metadata": {"name": "bloomz-bench", "labels": names.common_labels()},
        "spec": {"rules": [_rule(accelerator, place) for accelerator, place in places.items() if place.pci]},
    }


def _rule(accelerator, place):
    by_vendor: dict[str, list[str]] = {}
    for ids in place.pci:
        vendor, _, device = ids.partition(":")
        by_vendor.setdefault(vendor, []).append(device)
    ((vendor, devices),) = by_vendor.items()
    expressions = {"vendor": {"op": "In", "value": [vendor]}, "device": {"op": "In", "value": devices}}
    return {
        "name": accelerator,
        "labels": {label: values[0] for label, values in place.labels.items()},
        "matchFeatures": [{"feature": "pci.device", "matchExpressions": expressions}],
    }
