"""Read from a launch's record what several checks judge."""

from __future__ import annotations

from typing import Iterable

from runner.contract.records import Rank, Watched
from runner.contract.request import Request


def watched(rank: Rank) -> Watched:
    """Return what the rank's device and host said around the timed window."""
    observations = rank["watched"]
    # Null only in results of schema 1; every rank of this version writes it.
    assert observations is not None
    return observations


def variables(rank: Rank) -> dict[str, str]:
    """Return the variables that reached the rank."""
    recorded = rank["variables"]
    # Null only in results of schema 1; every rank of this version writes it.
    assert recorded is not None
    return recorded


def weight_bytes(request: Request) -> list[int]:
    """Return the sizes in bytes that a rank's weights may have, the smaller first.

    One is with the LM head cut, the other with a head that is tied and whole. On one device both sizes are the same.
    """
    architecture, precision = request.model.architecture, request.workload.precision
    sizes = {architecture.weight_bytes_per_rank(precision, request.devices, head_cut) for head_cut in (True, False)}
    return sorted(sizes)


def largest(values: Iterable[float | None]) -> float | None:
    """Return the largest of the ranks' values; None if a rank has no value, or there is no rank."""
    present = []
    for value in values:
        if value is None:
            return None
        present.append(value)
    return max(present) if present else None
