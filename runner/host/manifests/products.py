"""The table of products for the containers, which have neither YAML nor the catalog: runner/contract/accelerators.json."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runner.host.readers.accelerators import AcceleratorRow

GENERATED = "by `python -m runner render` from runner/catalog/accelerators.yaml; edit that"


def text(accelerators: Mapping[str, AcceleratorRow]) -> str:
    """Return the table as JSON: accelerator to its device and products, the same bytes for the same rows."""
    table = {
        name: {"device": row.in_request.device, "products": list(row.products)} for name, row in accelerators.items()
    }
    return json.dumps({"generated": GENERATED, "accelerators": table}, indent=2) + "\n"
