"""Watch host and device around the timed calls: just before and just after, and never inside."""

from __future__ import annotations

import time
from types import TracebackType

from runner.bench.devices import Device
from runner.bench.devices.observation import Observation
from runner.bench.facts import host as hostfacts
from runner.bench.rank import collectives
from runner.contract.records import HostClock, HostNoise


class Window:
    """A context around the timed calls of one rank. Its attributes other than ``before`` are set when the context ends."""

    before: Observation
    after: Observation
    clock: HostClock
    host_noise: HostNoise
    # How often this process waited for a page from disk inside the window.
    major_faults: int
    # Joules of the device between just before and just after; None where its counter tells none, or began anew meanwhile.
    energy_j: float | None

    def __init__(self, device_module: Device, ranks: int) -> None:
        self._device_module, self._ranks = device_module, ranks

    def __enter__(self) -> Window:
        self.before = self._device_module.observe()
        # An observation may take a tool's second: no rank reads its energy, and no rank's clock starts, while another rank still observes.
        collectives.wait_for_all(self._ranks)
        self._energy_j = self._device_module.energy_j()
        collectives.wait_for_all(self._ranks)
        self._faults, self._counters = hostfacts.major_faults(), hostfacts.noise_counters()
        self._started_s, self._started_ns = time.time(), time.monotonic_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        elapsed_s = (time.monotonic_ns() - self._started_ns) / 1e9
        # The wall clock against the monotonic clock shows whether the wall clock was set meanwhile.
        drift_s = time.time() - self._started_s - elapsed_s
        resolution_s = time.get_clock_info("perf_counter").resolution
        self.clock = {"resolution_s": resolution_s, "elapsed_s": elapsed_s, "drift_s": drift_s}
        self.host_noise = hostfacts.noise_between(self._counters, hostfacts.noise_counters(), elapsed_s)
        self.major_faults = hostfacts.major_faults() - self._faults
        self.energy_j = _rise(self._energy_j, self._device_module.energy_j())
        self.after = self._device_module.observe()


def _rise(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None or after < before else after - before
