"""The names of products that driver's tools were seen to give, and the accelerators that they are."""

from __future__ import annotations

import pytest

from runner.bench.facts import products
from runner.contract.errors import InputError


@pytest.mark.parametrize(
    "device, name, known",
    [
        ("hpu", "HL-225", "gaudi2"),
        ("hpu", "HL-225B", "gaudi2"),
        ("hpu", "HL-205", "gaudi"),
        ("hpu", "HL-325L", "gaudi3"),
        ("hpu", "HL-328", "gaudi3"),
        ("hpu", "X", None),
        ("hpu", "XHL-225", None),
        ("cuda", "HL-225", None),
        ("cuda", "NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("cuda", "A100-SXM4-80GB", "a100-80gb"),
        ("cuda", "NVIDIA A100-SXM4-40GB", None),
        ("cuda", "NVIDIA A100 80GB PCIe", None),
        ("cuda", "NVIDIA A100-SXM4-80GB MIG 3g.40gb", None),
        ("cuda", "NVIDIA H100 80GB HBM3", "h100"),
        ("cuda", "NVIDIA H100 PCIe", None),
        ("cuda", "NVIDIA H200", "h200"),
    ],
)
def test_product_names_stand_for_accelerators(device, name, known):
    assert products.accelerator(device, name) == known


def test_a_table_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(products, "TABLE", str(tmp_path / "accelerators.json"))
    with pytest.raises(InputError, match="accelerators.json"):
        products.accelerator("hpu", "HL-225")
