"""Count the graphs that torch.compile made in this process, on any device."""

from __future__ import annotations

import sys


def graphs() -> int:
    """Return how many graphs torch.compile has made so far: 0 where it was never loaded, as in torch 1.13."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo else 0
