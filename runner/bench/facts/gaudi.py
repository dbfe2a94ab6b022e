"""Ask the driver for the facts of Gaudi devices: by HLML where pyhlml is installed, else by hl-smi."""

from __future__ import annotations

from runner.bench.facts import hl_smi, hlml
from runner.bench.facts.hl_smi import Gaudis


def query() -> Gaudis | None:
    """Return what the driver says of all devices; None where neither HLML nor hl-smi answers."""
    gaudis = hlml.query()
    return hl_smi.query() if gaudis is None else gaudis
