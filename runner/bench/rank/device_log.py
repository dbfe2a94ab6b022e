"""Put together what a device told of itself while it was measured. Pure: the device modules make the observations."""

from __future__ import annotations

from typing import TypedDict, TypeVar

from runner.bench.devices.observation import Observation

# The keys of an observation.
OBSERVED: tuple[str, ...] = tuple(Observation.__annotations__)

_Member = TypeVar("_Member", int, str)


class Summary(TypedDict):
    """The part of a rank's ``Watched`` that the device tells; a value is None where an observation does not tell it."""

    memory_rise_bytes: int | None
    compilations: int | None
    cached_kernels: int | None
    fallbacks: int | None
    foreign_processes: list[int] | None
    throttle_reasons: list[str] | None


def summary(opened: Observation, loaded: Observation, before: Observation, after: Observation) -> Summary:
    """Return what four observations say: with the device open, with the model loaded, before and after the timed window."""
    return {
        "memory_rise_bytes": _difference(opened.get("memory_bytes"), loaded.get("memory_bytes")),
        "compilations": _difference(before.get("compilations"), after.get("compilations")),
        "cached_kernels": opened.get("cached_kernels"),
        "fallbacks": _difference(before.get("fallbacks"), after.get("fallbacks")),
        "foreign_processes": _union(*(part.get("foreign_processes") for part in (opened, before, after))),
        "throttle_reasons": _union(*(part.get("throttle_reasons") for part in (before, after))),
    }


def _difference(earlier: int | None, later: int | None) -> int | None:
    return None if earlier is None or later is None else later - earlier


def _union(*parts: list[_Member] | None) -> list[_Member] | None:
    """Return the sorted members of all parts; None if a part is missing, since members may be missing with it."""
    members: set[_Member] = set()
    for part in parts:
        if part is None:
            return None
        members.update(part)
    return sorted(members)
