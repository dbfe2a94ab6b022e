"""What torch.compile did in this process, on whichever device."""

import sys


def graphs():
    """Return how many graphs it has made so far: none where it was never loaded, as in torch 1.13."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo.counters["stats"]["unique_graphs"] if dynamo else 0
