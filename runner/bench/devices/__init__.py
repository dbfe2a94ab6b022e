"""The kinds of processor, one sibling module each; every module satisfies the Protocol ``Device``.

No other room asks which kind of processor it runs on: other rooms call the functions of the module that ``load`` returns.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Callable, Protocol, cast

from runner.bench.devices.observation import Observation
from runner.bench.devices.profiling import Profile
from runner.contract.errors import KitError, Unsupported
from runner.contract.records import RankDevice
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch


class Device(Protocol):
    """A kind of processor. The sibling modules satisfy this Protocol: their functions are its methods."""

    backend: str
    """The name of the backend of torch.distributed."""

    shared: bool
    """Whether other work of the host runs on the device too; slow calls of a shared device are flagged and not refused."""

    emulated: bool
    """Whether something else stands in for the device; the results of an emulated device are comparable with nothing."""

    unread: tuple[str, ...]
    """Names of variables that mean nothing on the device, so that a launcher may set them to anything."""

    has_int64: bool
    """Whether the device computes with 64-bit integers; elsewhere dummy weights are made on the host."""

    cannot_tell: dict[str, str]
    """The checks that cannot be made on the device, each with the reason; every other check must be made.

    ``open`` may add the checks that the installed release of the device's software does not allow.
    """

    def environment(self, ranks: int, hosts: int = 1) -> dict[str, str]:
        """Return the variables that a launch of ``ranks`` ranks on each host needs before any import; imports no torch."""
        ...

    def missing(self, request: Request) -> KitError | None:
        """Return the error that keeps the request from running, found before anything is loaded, else None.

        ``DoesNotFit`` says that the model does not fit, ``LaunchFailed`` that there is nothing to run it on.
        """
        ...

    def open(self, local_rank: int) -> torch.device:
        """Select the device of this rank. Raises ``LaunchFailed`` where the device or its software is missing."""
        ...

    def prepare_collectives(self) -> None:
        """Set what DeepSpeed needs before its ``init_distributed``."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""
        ...

    def peak_memory_bytes(self) -> int | None:
        """Return the largest use of the device's memory since ``open``, None where the device has no memory of its own."""
        ...

    def describe(self) -> RankDevice:
        """Return name, driver and accelerator (as the catalog names it) of the device, and what else it tells of itself."""
        ...

    def observe(self) -> Observation:
        """Return what the device tells of itself now."""
        ...

    def energy_j(self) -> float | None:
        """Return the joules that the device's own counter has counted so far, None where nothing tells them.

        On the CPU these are the joules of all processors of the host.
        """
        ...

    def clock(self, call: Callable[[], object]) -> float:
        """Make ``call()`` and return its duration in seconds by the device's own clock.

        Raises ``Unsupported`` where ``cannot_tell`` names ``device_clock``.
        """
        ...

    def profiled(self, call: Callable[[], object]) -> Profile:
        """Make ``call()`` under torch's profiler and return how often each operator and each kernel ran.

        Raises ``Unsupported`` where ``cannot_tell`` names ``operators``.
        """
        ...

    def numa_node(self) -> int | None:
        """Return the memory node of the host that the device is attached to, None where nothing tells it."""
        ...


_MODULES = {name: f"runner.bench.devices.{name}" for name in ("cpu", "cuda", "hpu")}

if TYPE_CHECKING:
    # mypy holds every module against the Protocol here.
    from runner.bench.devices import cpu, cuda, hpu

    _cpu: Device = cpu
    _cuda: Device = cuda
    _hpu: Device = hpu


def load(device: str) -> Device:
    """Return the module for ``device``. Raises ``Unsupported`` where this version has no such module."""
    if device not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise Unsupported(
            f"Device {device} cannot be measured by this version, only {known}. Take a case of accelerator cpu."
        )
    # mypy has held each module against the Protocol, see above.
    return cast(Device, importlib.import_module(_MODULES[device]))
