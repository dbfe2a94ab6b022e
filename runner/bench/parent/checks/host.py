"""Checks of the host: what else it did before the launch and in the timed window.

A count that the host does not keep is not judged.
"""

from __future__ import annotations

from runner.bench.parent.checks import evidence
from runner.bench.parent.checks.outcome import FLAG, equal, not_made, within
from runner.contract.records import Check, Environment, Launch

# The fraction of the timed window in which work waited for a core.
CPU_PRESSURE = 0.10


def cpu_pressure(launch: Launch) -> Check:
    """Work rarely waited for a core. Evidence: the kernel's pressure stall information. Source: accounting/psi."""
    return _at_most("cpu_pressure", CPU_PRESSURE, launch["host_noise"]["cpu_pressure"])


def throttled_periods(launch: Launch) -> Check:
    """No quota stopped the ranks.

    Evidence: ``nr_throttled`` of the control groups. Source: the kernel's scheduler/sched-bwc.
    """
    return _at_most("throttled_periods", 0, launch["host_noise"]["throttled_periods"])


def swapped_pages(launch: Launch) -> Check:
    """The host wrote no memory to swap. Evidence: ``pswpout`` of /proc/vmstat."""
    return _at_most("swapped_pages", 0, launch["host_noise"]["swapped_pages"])


def oom_kills(launch: Launch) -> Check:
    """The kernel killed no process for want of memory. Evidence: ``oom_kill`` of /proc/vmstat."""
    return _at_most("oom_kills", 0, launch["host_noise"]["oom_kills"])


def idle_before(launch: Launch) -> Check:
    """No other thread of the host wanted a core before the launch. Evidence: the runnable threads of /proc/loadavg."""
    return _at_most("idle_before", 0, launch["runnable_before"])


def governor(environment: Environment) -> Check:
    """The processor's clock is not lowered to save power.

    Evidence: the kernel's governor of core 0, at the attempt's start.
    """
    name = environment["cpu"]["governor"]
    if name is None:
        return not_made("governor", FLAG, "this host does not tell it")
    return equal("governor", "performance", name, FLAG)


def major_faults(launch: Launch) -> Check:
    """No page came from disk in the timed window.

    Evidence: each rank's count of major faults, before and after the window.
    """
    faults = evidence.largest(evidence.watched(rank)["major_faults"] for rank in launch["ranks"])
    return within("major_faults", 0, 0, faults, FLAG)


def _at_most(name: str, most: float, count: float | None) -> Check:
    """Return the outcome of a check that passes up to ``most``."""
    if count is None:
        return not_made(name, FLAG, "this host does not count it")
    return within(name, 0, most, count, FLAG)
