"""Which checks of a launch say that its host or device did other work, and which launches they flagged. Pure.

A launch on a contended host or device measured the neighbour too: no word on its time can be relied upon, neither that it changed nor that
it did not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Each says that something beside the launch took time from it, or that the clock was not to be relied upon:
CONTENTION = frozenset(
    {
        # work waited for a core in the timed window
        "cpu_pressure",
        # a quota stopped the ranks
        "throttled_periods",
        # memory was short: pages went to swap, a process was killed, or a timed call waited for a page from disk
        "swapped_pages",
        "oom_kills",
        "major_faults",
        # other threads wanted a core before the launch; they share caches and memory with it even where cores are free
        "idle_before",
        # another process computed on the device
        "exclusive_device",
        # the device's clock was held down: heat, power
        "throttling",
        # host and device timed one call by more than 5% unlike
        "device_clock",
    }
)
# What is flagged and no contention. ``governor``, ``numa``, ``driver``, ``firmware``, ``interpreter``, ``inventory_added``,
# ``experimental`` and ``compile_cache`` stand for a whole host or environment: they are the same for both sides, or are told as moved.
# ``spread``, ``extremes``, ``drift``, ``first_call`` and ``decode_growth`` tell how the calls of one launch vary, which the variation
# between launches holds already. ``synchronisation_control`` is flagged on every fast GPU. ``output_ids`` is judged as a count.

# Launches that are named for each check.
_MOST_NAMED = 3


@dataclass
class FlaggedLaunches:
    """The launches that one check flagged or refused: their number, and the names of the first."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, launch: str) -> None:
        """Add a launch by its name."""
        self.number += 1
        if len(self.first) < _MOST_NAMED:
            self.first.append(launch)


@dataclass(frozen=True)
class Flag:
    """A check that flagged or refused launches of one side. ``side`` is ``before`` or ``after``; ``launches`` names the first of them."""

    side: str
    check: str
    contention: bool
    number: int
    launches: tuple[str, ...]


def of_sides(before: Mapping[str, FlaggedLaunches], after: Mapping[str, FlaggedLaunches]) -> list[Flag]:
    """Return the flags of both sides, contention first."""
    flags = [
        Flag(side, check, check in CONTENTION, flagged.number, tuple(flagged.first))
        for side, by_check in (("before", before), ("after", after))
        for check, flagged in sorted(by_check.items())
    ]
    return sorted(flags, key=lambda flag: not flag.contention)


def contended(flags: list[Flag]) -> str | None:
    """Return in words that launches ran on a contended host or device, by side; None where none did."""
    told = [f"{flag.side} {flag.check} in {words(flag)}" for flag in flags if flag.contention]
    return f"the host or the device did other work: {'; '.join(told)}" if told else None


def words(flag: Flag) -> str:
    """Return the launches of a flag in words: the names of the first, and how many more there are."""
    more = flag.number - len(flag.launches)
    return ", ".join(flag.launches) + (f" and {more} more" if more else "")
