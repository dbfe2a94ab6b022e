"""The rule by which Node Feature Discovery gives nodes the kit's own label, in place of ``kubectl label node``.

Gaudi generations share their resource name and their vendor's id; the id of the device tells them apart.
"""

from runner.host.objects import names

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
    vendors, devices = zip(*(ids.split(":") for ids in place.pci), strict=True)
    expressions = {"vendor": {"op": "In", "value": [vendors[0]]}, "device": {"op": "In", "value": list(devices)}}
    return {
        "name": accelerator,
        "labels": {label: values[0] for label, values in place.labels.items()},
        "matchFeatures": [{"feature": "pci.device", "matchExpressions": expressions}],
    }
