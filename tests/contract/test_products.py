"""The names of products that driver's tools were seen to give, and the accelerators that they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract import patterns, products
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
def test_product_names_stand_for_accelerators(device: str, name: str, known: str | None) -> None:
    assert products.accelerator(device, name) == known


def test_a_table_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "TABLE", str(tmp_path / "accelerators.json"))
    with pytest.raises(InputError, match="accelerators.json"):
        products.accelerator("hpu", "HL-225")


@pytest.mark.parametrize(
    "device, name, given",
    [
        ("cuda", "NVIDIA H100 80GB HBM3", "h100"),
        ("cuda", "NVIDIA A100-PCIE-40GB", "nvidia-a100-pcie-40gb"),
        ("cuda", "NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"),
        ("cuda", "NVIDIA A100-SXM4-80GB MIG 3g.40gb", "nvidia-a100-sxm4-80gb-mig-3g.40gb"),
        ("cuda", "NVIDIA A100-SXM4-80GB MIG 1g.10gb+me", "nvidia-a100-sxm4-80gb-mig-1g.10gb-me"),
        ("hpu", "HL-999", "hl-999"),
    ],
)
def test_a_product_without_a_row_is_named_by_its_own_name(device: str, name: str, given: str) -> None:
    assert products.named(device, name) == given
    assert patterns.NAME.fullmatch(given)


@pytest.mark.parametrize(
    "one, other",
    [
        (
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition II",
        ),
        ("H100", "NVIDIA H100 80GB HBM3"),  # a name that would be a row's
        ("A100-80GB", "NVIDIA A100-SXM4-80GB"),
        ("***", "+++"),
    ],
    ids=["long", "h100", "a100", "signs"],
)
def test_no_two_products_share_a_name(one: str, other: str) -> None:
    names = [products.named("cuda", one), products.named("cuda", other)]
    assert names[0] != names[1]
    assert all(patterns.NAME.fullmatch(name) for name in names)


def test_a_slice_is_told_by_its_name() -> None:
    assert products.is_slice("NVIDIA A100-SXM4-80GB MIG 3g.40gb")
    assert not products.is_slice("NVIDIA A100-SXM4-80GB")
