"""A device of known speed behind the interface of a device module: asynchronous, exclusive, and able to tell everything.

Time is virtual, so that a test knows to the nanosecond what the timer must find: the device keeps its own record of when it began and
ended each piece of work. The host costs time too: every read of the clock and every order to the device takes ``host_ns()``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.bench.devices.observation import Observation
from runner.bench.devices.profiling import Profile
from runner.contract.records import RankDevice
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch

    from runner.bench.devices import Device


class KnownDevice:
    backend = "none"
    shared = False
    emulated = True
    has_int64 = True
    unread: tuple[str, ...] = ()

    def __init__(self, host_ns: Callable[[], int] = lambda: 0, waits: bool = True) -> None:
        self.cannot_tell: dict[str, str] = {}
        self.now_ns, self.free_ns = 0, 0
        self.host_ns, self.waits = host_ns, waits
        self.log: list[str] = []
        # The power that the device takes all the time.
        self.watts = 400.0
        # The begin and the end of each piece of work, in nanoseconds.
        self.work: list[tuple[int, int]] = []
        self.told: Observation = {
            "memory_bytes": 0,
            "compilations": 2,
            "cached_kernels": 0,
            "fallbacks": 0,
            "foreign_processes": [],
            "throttle_reasons": [],
        }

    def clock_ns(self) -> int:
        """Read the host's clock."""
        self.now_ns += self.host_ns()
        return self.now_ns

    def queue(self, duration_ns: int) -> None:
        """Give an order and come back at once; the device begins when it is free."""
        self.now_ns += self.host_ns()
        begin_ns = max(self.now_ns, self.free_ns)
        self.free_ns = begin_ns + duration_ns
        self.work.append((begin_ns, self.free_ns))
        self.log.append("call")

    def synchronize(self) -> None:
        """Wait until the device is free; a device that does not wait has a broken synchronisation."""
        self.log.append("synchronize")
        if self.waits:
            self.now_ns = max(self.now_ns, self.free_ns)

    def copy_out(self) -> None:
        """Copy a result to the host, which always waits."""
        self.now_ns = max(self.now_ns, self.free_ns)

    def busy_s(self, first: int, last: int) -> float:
        """Return the seconds from the begin of one piece of work to the end of another, by the device's own record."""
        return (self.work[last][1] - self.work[first][0]) / 1e9

    # The rest of the interface of a device module follows.

    def environment(self, ranks: int, hosts: int = 1) -> dict[str, str]:
        return {}

    def missing(self, request: Request) -> None:
        return None

    def open(self, local_rank: int) -> torch.device:
        raise AssertionError("a KnownDevice holds no tensor")

    def prepare_collectives(self) -> None:
        pass

    def peak_memory_bytes(self) -> int | None:
        return self.told["memory_bytes"]

    def describe(self) -> RankDevice:
        return {"name": "known", "driver": None, "threads": None}

    def observe(self) -> Observation:
        return self.told.copy()

    def energy_j(self) -> float | None:
        return self.watts * self.now_ns / 1e9

    def clock(self, call: Callable[[], object]) -> float:
        first = len(self.work)
        call()
        return self.busy_s(first, len(self.work) - 1)

    def profiled(self, call: Callable[[], object]) -> Profile:
        first = len(self.work)
        call()
        return Profile({"work": len(self.work) - first}, ["work"])

    def numa_node(self) -> int | None:
        return 0


if TYPE_CHECKING:
    # mypy holds the double against the Protocol here.
    _known: Device = KnownDevice()
