from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runner.host.judging import image_ledger
from runner.host.judging.findings import Finding
from runner.host.readers import catalog as catalogs
from runner.host.readers.catalog import Catalog


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return catalogs.read()


def findings_of(catalog: Catalog, kind: str) -> list[Finding]:
    return [finding for finding in image_ledger.findings(catalog) if finding.kind == kind]


def changed(catalog: Catalog, name: str, **values: Any) -> Catalog:
    """Return the catalog with one number of images changed."""
    return replace(catalog, images={**catalog.images, name: replace(catalog.images[name], **values)})


def said(catalog: Catalog, says: str) -> Finding:
    """Return the one finding about a claimed factor."""
    (finding,) = [found for found in image_ledger.findings(catalog) if f" {says} for images" in found.text]
    return finding


def test_the_published_numbers_of_images_are_complete(catalog: Catalog) -> None:
    post = {
        c.accelerator: (c.value, c.batch_sizes, c.precision) for c in catalog.images.values() if c.source == "sd-2022"
    }
    assert post == {
        "gaudi": ("4.34", (4, 8), "bfloat16/float32"),
        "gaudi2": ("1.19", (4, 8), "bfloat16/float32"),
        "a100-80gb": ("2.63", (1,), "float16"),
    }


def test_a_factor_of_unlike_batches_and_precisions_is_told_with_both(catalog: Catalog) -> None:
    finding = said(catalog, "2.2")
    assert finding.kind == "ratio of unlike conditions"
    assert finding.text == (
        "post-1 and post-3 say 2.2 for images: 2.63 / 1.19 = 2.210, which rounds to it; it sets 1 x a100-80gb, batch 1 in float16, against"
        " 1 x gaudi2, batch 4 or 8 in bfloat16/float32, on equal batches it is 1.71 against 1.54 s/image of diffusers-2023-03, still in"
        " bfloat16/float32"
    )
    without = {name: claim for name, claim in catalog.images.items() if not name.startswith("diffusers-")}
    assert "on equal batches it is not published" in said(replace(catalog, images=without), "2.2").text


def test_the_same_factor_on_equal_batches_and_precisions_holds(catalog: Catalog) -> None:
    alike = changed(catalog, "sd-2022-a100", batch_sizes=(4, 8), precision="bfloat16/float32")
    finding = said(alike, "2.21")
    assert (finding.kind, finding.text) == (
        "ratio holds",
        "sd-2022 says 2.21 for images: 2.63 / 1.19 = 2.210, which rounds to it",
    )
    assert said(changed(alike, "sd-2022-a100", value="2.73"), "2.21").kind == "ratio differs"


def test_the_factor_whose_cell_was_not_found_says_what_the_cell_would_be_and_the_nearest_one(catalog: Catalog) -> None:
    finding = said(catalog, "2.37")
    assert finding.kind == "ratio without a cell"
    # 2.63 / 2.375 and 2.63 / 2.365; 2.63 * 0.904
    assert "the cell would be 1.107 to 1.112 s" in finding.text
    assert (
        "0.904 images/s of 1 x gaudi2, batch 8 in bfloat16/float32 (diffusers-2023-03), makes 2.378, which does not"
        in finding.text
    )
    assert finding.claims == ["sd-2022-a100", "diffusers-2023-03-gaudi2-8"]
    nearer = changed(catalog, "diffusers-2023-03-gaudi2-8", value="1.11", unit="s/image")
    assert "makes 2.369, which rounds to it" in said(nearer, "2.37").text


def test_a_table_whose_columns_differ_in_batch_and_precision_is_told(catalog: Catalog) -> None:
    first, last = findings_of(catalog, "unlike columns")
    assert first.text == "sd-2022: gaudi and gaudi2: batch 4 or 8 in bfloat16/float32; a100-80gb: batch 1 in float16"
    assert last.text.startswith("sd-2023-synapse-1.10: ")
    alike = changed(catalog, "sd-2022-a100", batch_sizes=(4, 8), precision="bfloat16/float32")
    assert [found.text for found in findings_of(alike, "unlike columns")] == [last.text]


def test_the_a100_was_not_measured_again_for_the_later_table(catalog: Catalog) -> None:
    (finding,) = findings_of(catalog, "not measured again")
    assert finding.claims == ["sd-2022-a100", "sd-2023-synapse-1.10-a100"]
    assert findings_of(changed(catalog, "sd-2022-a100", value="2.64"), "not measured again") == []
