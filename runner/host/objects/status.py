"""Read the status of an object: its conditions, and how a run ended."""

from __future__ import annotations

from typing import Literal

from runner.contract.records import JsonObject

Ending = Literal["complete", "failed"]

# The condition that says an ending, by the word of each kind: Job, MPIJob, JobSet.
_ENDINGS: tuple[tuple[Ending, tuple[str, ...]], ...] = (
    ("complete", ("Complete", "Succeeded", "Completed")),
    ("failed", ("Failed",)),
)


def condition(manifest: JsonObject | None, kind: str) -> JsonObject | None:
    """Return the condition of one type, None where the object has no condition of this type, or is not there."""
    conditions = (manifest or {}).get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), None)


def holds(manifest: JsonObject | None, kind: str) -> bool:
    """Return whether an object has a condition of this type and its status is True."""
    return (condition(manifest, kind) or {}).get("status") == "True"


def ending(run: JsonObject | None) -> Ending | None:
    """Return how a Job, MPIJob or JobSet ended, None while it goes on."""
    return next((word for word, kinds in _ENDINGS if any(holds(run, kind) for kind in kinds)), None)
