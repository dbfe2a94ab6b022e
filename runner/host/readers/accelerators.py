"""Read accelerators.yaml: all that the kit knows of an accelerator, in one row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.contract import patterns, secrets
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import DEVICES, Accelerator
from runner.host import paths
from runner.host.readers import strictyaml

# How the table says that no source gives a number.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class NodeSelection:
    """How a node with an accelerator is found, and what its pods need there.

    ``labels`` are labels of the node with the values that serve. ``pci`` are VENDOR:DEVICE ids of one vendor by which Node Feature
    Discovery tells such a node, where the labels are the kit's. ``tolerations`` are taints to tolerate. ``variables`` are what the
    software of the device reads.
    """

    labels: dict[str, list[str]]
    pci: tuple[str, ...]
    tolerations: tuple[str, ...]
    variables: dict[str, str]


@dataclass(frozen=True)
class AcceleratorRow:
    """One accelerator. ``in_request`` is what a request says of it; ``source`` says where memory and bandwidth were read.

    ``resource`` is the name by which Kubernetes counts the devices. ``products`` are the names that the driver's tool gives the
    device; a name that ends in * is the beginning of names. ``others`` says that the row stands for the products of its device that no
    row names. ``locked_firmware`` tells whether the firmware of a stack in the lock is
    the firmware of this accelerator. ``node`` is None where nobody has said how a node with the accelerator is found.
    """

    in_request: Accelerator
    source: str
    resource: str
    products: tuple[str, ...]
    others: bool
    locked_firmware: bool
    node: NodeSelection | None

    def found_node(self) -> NodeSelection:
        """Return how a node with the accelerator is found. Raises ``InputError`` where the row does not say."""
        if self.node is None:
            name = self.in_request.name
            raise InputError(
                f"runner/catalog/accelerators.yaml does not say how a node with {name} is found. Add node to the row {name}."
            )
        return self.node


def read(folder: Path = paths.CATALOG) -> dict[str, AcceleratorRow]:
    """Return the rows by the names of the accelerators. Raises ``InputError`` with file and line for a damaged table."""
    path = folder / "accelerators.yaml"
    table = Fields(strictyaml.read(path), paths.shown(path))
    rows = {name: _row(name, row) for name, row in table.each("accelerators", patterns.NAME)}
    table.done()
    others = [row.in_request.device for row in rows.values() if row.others]
    if len(others) > len(set(others)):
        raise InputError(f"{paths.shown(path)}: two rows of one device are for others. Leave others in one of them.")
    return rows


def _row(name: str, row: Fields) -> AcceleratorRow:
    bandwidth = _known(row, "hbm_bytes_per_s")
    accelerator = AcceleratorRow(
        in_request=Accelerator(
            name=name,
            device=row.choice("device", DEVICES),
            memory_bytes=_known(row, "memory_bytes"),
            hbm_bytes_per_s=None if bandwidth is None else float(bandwidth),
        ),
        source=row.form("source", patterns.TEXT),
        resource=row.form("resource", patterns.RESOURCE),
        products=tuple(row.forms("products", patterns.PRODUCT)),
        others=row.flag("others", False),
        locked_firmware=row.flag("locked_firmware"),
        node=None if row.take("node", dict, None) is None else _node(row.fields("node")),
    )
    row.done()
    return accelerator


def _known(row: Fields, key: str) -> int | None:
    return None if row.text(key) == UNKNOWN else int(row.count(key, least=1))


def _node(row: Fields) -> NodeSelection:
    labels, variables = row.fields("labels"), row.fields("variables")
    node = NodeSelection(
        labels={name: labels.forms(name, patterns.LABEL_VALUE) for name in labels.keys(patterns.LABEL_KEY)},
        pci=tuple(row.forms("pci", patterns.PCI)),
        tolerations=tuple(row.forms("tolerations", patterns.LABEL_KEY)),
        variables={name: variables.form(name, patterns.TEXT) for name in variables.keys(patterns.VARIABLE)},
    )
    for label, values in node.labels.items():
        if not values:
            raise labels.fail(label, f"{label!r} has no value. Name those that serve, or remove the label.")
    if len({ids[:4] for ids in node.pci}) > 1:
        raise row.fail("pci", "pci must be VENDOR:DEVICE ids of one vendor, such as 1da3:1020.")
    for name, value in node.variables.items():
        if secrets.is_secret_name(name) or secrets.mask(value) != value:
            raise variables.fail(name, f"{name!r} looks like a secret, and manifests are files that anyone can read.")
    row.done()
    return node
