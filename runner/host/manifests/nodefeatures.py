"""The rule by which Node Feature Discovery gives nodes the kit's own label, in place of ``kubectl label node``.

The generations of Gaudi share the name of their resource and the id of their vendor. The id of the device tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.contract.records import JsonObject
from runner.host.objects import names
from runner.host.readers.accelerators import AcceleratorRow, NodeSelection

FOLDER, FILE = "nfd", "10-accelerators.yaml"
NOTE = """For a cluster with Node Feature Discovery (kubernetes-sigs/node-feature-discovery), which then labels the nodes by itself:
  kubectl apply -f k8s/nfd/
The label is a claim: the container looks at the device itself, and refuses another one."""


def rule(accelerators: Mapping[str, AcceleratorRow]) -> JsonObject:
    """Return the NodeFeatureRule of all accelerators whose nodes are found by PCI ids (vendor and device, in hexadecimal)."""
    return {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeatureRule",
        "metadata": {"name": names.KIT_NAME, "labels": names.common_labels()},
        "spec": {"rules": [_rule(name, row.node) for name, row in accelerators.items() if row.node and row.node.pci]},
    }


def _rule(accelerator: str, node: NodeSelection) -> JsonObject:
    vendors, devices = zip(*(ids.split(":") for ids in node.pci), strict=True)
    expressions = {"vendor": {"op": "In", "value": [vendors[0]]}, "device": {"op": "In", "value": list(devices)}}
    return {
        "name": accelerator,
        "labels": {label: values[0] for label, values in node.labels.items()},
        "matchFeatures": [{"feature": "pci.device", "matchExpressions": expressions}],
    }
