"""The table of accelerators: what is wrong in it is said with file and line, and what it does not say is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers import accelerators


@pytest.mark.parametrize(
    "old, new, told",
    [
        ('pci: ["1da3:1020"]', 'pci: ["1020"]', "each of 'pci' must be VENDOR:DEVICE ids of one vendor"),
        ('pci: ["1da3:1020"]', 'pci: ["1da3:1020", "10de:20b2"]', "pci must be VENDOR:DEVICE ids of one vendor"),
        ("accelerator: [gaudi2]", "accelerator: []", "has no value. Name those that serve"),
        ('products: ["HL-225*"]', 'products: ["*"]', "each of 'products' must be the name of a product"),
        ('products: ["HL-225*"]', 'products: ["HL*225"]', "each of 'products' must be the name of a product"),
        ("locked_firmware: yes", "locked_firmware: maybe", "'locked_firmware' must be yes or no"),
        ("  h200:\n", "  h200:\n    others: yes\n", "two rows of one device are for others"),
        ("    node:\n", "    nodes:\n", "the key 'nodes' is unknown"),
        ("device: hpu", "device: tpu", "'device' is 'tpu'; it must be one of"),
        ("resource: habana.ai/gaudi", "resource: gaudi", "must be a resource of Kubernetes"),
    ],
)
def test_a_mistake_in_the_table_is_said_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    content = (paths.CATALOG / "accelerators.yaml").read_text()
    assert old in content
    (tmp_path / "accelerators.yaml").write_text(content.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        accelerators.read(tmp_path)
    assert told in str(caught.value) and "accelerators.yaml" in str(caught.value)


def test_a_node_that_nobody_has_described_is_asked_for() -> None:
    rows = accelerators.read()
    with pytest.raises(InputError, match="does not say how a node with h200 is found. Add node to the row h200."):
        rows["h200"].found_node()
    assert rows["gaudi2"].found_node().labels == {"bloomz-bench.dev/accelerator": ["gaudi2"]}
