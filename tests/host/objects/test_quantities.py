"""Quantities of Kubernetes as numbers."""

from __future__ import annotations

import pytest

from runner.host.objects.quantities import is_extended, quantity, total


@pytest.mark.parametrize(
    "text, number",
    [
        *(("8", 8), ("690Gi", 690 * 2**30), ("500m", 0.5), ("42000Mi", 42000 * 2**20), ("1k", 1000), ("1.5", 1.5)),
        *(("x", 0), ("", 0), (".", 0), ("1..2", 0), ("1ki", 0), ("-1", 0)),
    ],
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    "texts, added",
    [
        (("20Gi", "2Gi"), "22Gi"),
        (("20Gi", "32Mi"), "20512Mi"),
        (("512Mi", "512Mi"), "1Gi"),
        (("1k",), "1Mi"),
        ((), "0Gi"),
    ],
    ids=["Gi", "Mi", "Mi to Gi", "rounded up", "none"],
)
def test_sizes_are_added_and_rounded_up(texts: tuple[str, ...], added: str) -> None:
    assert total(*texts) == added


@pytest.mark.parametrize(
    "resource, extended",
    [("habana.ai/gaudi", True), ("vpc.amazonaws.com/efa", True), ("cpu", False), ("hugepages-2Mi", False)],
)
def test_a_resource_with_a_domain_is_offered_by_a_device_plugin(resource: str, extended: bool) -> None:
    assert is_extended(resource) is extended
