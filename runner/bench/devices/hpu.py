"""Gaudi: the device hpu of the vendor's torch. Its facts come from the vendor's modules, and from HLML or hl-smi.

Nothing here ran on a real device yet. The module ran on the tests' stand-in, which has the vendor's calls and no hardware
(``emulated``).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Callable

from runner.bench.devices import cpu
from runner.bench.devices.observation import Observation
from runner.bench.devices.profiling import Profile
from runner.bench.facts import gaudi, hlml
from runner.contract import fit, products
from runner.contract.errors import DoesNotFit, LaunchFailed, Unsupported
from runner.contract.records import RankDevice
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch

backend = "hccl"
# A Gaudi casts 64-bit integers unless PT_ENABLE_INT64_SUPPORT is set (transformers' page perf_train_gaudi).
has_int64 = False


def _emulated() -> bool:
    """Return whether the tests' stand-in is installed instead of the vendor's package."""
    if importlib.util.find_spec("habana_frameworks") is None:
        return False
    return bool(getattr(importlib.import_module("habana_frameworks"), "EMULATED", False))


emulated = _emulated()
unread: tuple[str, ...] = ()
# A Gaudi belongs to one process. The stand-in runs on the host's processor, which is shared.
shared = emulated

_STAND_IN = "something stands in for the device"
cannot_tell: dict[str, str] = {
    "exclusive_device": "hl-smi shows other processes to root on the host alone",
    "throttling": "no query of hl-smi is known for it",
    "numa": "no query of hl-smi is known for it",
    "device_clock": "events of the device were not tried",
}
if emulated:
    _HARDWARE = ("device_memory", "operator_fallback", "compilations", "compile_cache")
    _CLOCK = ("synchronised", "synchronisation_control")
    cannot_tell.update(dict.fromkeys((*cannot_tell, *_HARDWARE, *_CLOCK), _STAND_IN))
else:
    # On the stand-in torch's profiler sees the operators of the CPU.
    cannot_tell["operators"] = "torch's profiler was not tried under the vendor's bridge"


def environment(ranks: int, hosts: int = 1) -> dict[str, str]:
    """Return no variables: those that a launch needs differ by engine, and each engine sets its own."""
    return {}


def missing(request: Request) -> DoesNotFit | None:
    """Return ``DoesNotFit`` if the model does not fit the devices, else None."""
    return fit.missing(request)


def open(local_rank: int) -> torch.device:
    """Load the vendor's modules, which take the device of this rank, and find out which checks the release allows.

    Raises ``LaunchFailed`` where the vendor's package is not installed.
    """
    if importlib.util.find_spec("habana_frameworks") is None:
        raise LaunchFailed(
            "The vendor's package habana_frameworks is not installed here. Run this in the image of a gaudi stack."
        )
    import torch

    # torch has the device hpu once these modules are imported.
    from habana_frameworks.torch import core, hpu  # noqa: F401
    from habana_frameworks.torch.distributed.hccl import initialize_distributed_hpu

    initialize_distributed_hpu()
    if gaudi.query() is None:
        cannot_tell.update(dict.fromkeys(("accelerator", "driver", "firmware"), "hl-smi is not here, or fails"))
    for check, metric in (("compilations", "graph_compilation"), ("operator_fallback", "cpu_fallback")):
        if "TotalNumber" not in _metric(metric):
            cannot_tell.setdefault(check, "this release of the bridge does not count it")
    return torch.device("hpu")


def prepare_collectives() -> None:
    """Import the module that registers the backend hccl, as the vendor's DeepSpeed does too.

    On the stand-in a public DeepSpeed runs on the CPU, and is prepared as on the CPU.
    """
    from habana_frameworks.torch.distributed import hccl  # noqa: F401

    if emulated:
        cpu.prepare_collectives()


def synchronize() -> None:
    """Wait until the device has finished all work."""
    from habana_frameworks.torch import hpu

    hpu.synchronize()


def peak_memory_bytes() -> int | None:
    """Return the largest use of the device's memory, None for the stand-in."""
    if emulated:
        return None
    from habana_frameworks.torch import hpu

    return int(hpu.memory_stats()["MaxInUse"])


def observe() -> Observation:
    """Return the memory in use and the counters of the vendor's bridge; None for a counter that this release lacks."""
    if emulated:
        return {}
    from habana_frameworks.torch import hpu

    return {
        "memory_bytes": hpu.memory_stats()["InUse"],
        "compilations": _metric("graph_compilation").get("TotalNumber"),
        "cached_kernels": cached_recipes(),
        "fallbacks": _metric("cpu_fallback").get("TotalNumber"),
    }


def energy_j() -> float | None:
    """Return the joules that the driver has counted for the device of this rank, None where HLML does not tell them."""
    return None if emulated else hlml.energy_j(int(os.environ.get("LOCAL_RANK", "0")))


def clock(call: Callable[[], object]) -> float:
    """Raise ``Unsupported``: events of the device were not tried."""
    raise Unsupported(cannot_tell["device_clock"])


def profiled(call: Callable[[], object]) -> Profile:
    """Make ``call()`` on the stand-in and return how often each operator ran, on the host's processor.

    Raises ``Unsupported`` on a device: torch's profiler was not tried there.
    """
    if not emulated:
        raise Unsupported(cannot_tell["operators"])
    return cpu.profiled(call)


def numa_node() -> None:
    """Return None: no query of hl-smi is known for the memory node."""


def cached_recipes() -> int:
    """Return how many files the cache of compiled recipes holds: 0 where PT_RECIPE_CACHE_PATH is unset, as by default."""
    folder = os.environ.get("PT_RECIPE_CACHE_PATH")
    return sum(len(files) for _, _, files in os.walk(folder)) if folder else 0


def _metric(name: str) -> dict[str, Any]:
    """Return a global metric of the bridge, empty where this release lacks the metric."""
    try:
        from habana_frameworks.torch.hpu.metrics import metric_global

        return dict(metric_global(name).stats())
    except (ImportError, KeyError, ValueError, RuntimeError):
        return {}


def describe() -> RankDevice:
    """Return what the driver says of the device of this rank; None for what it does not say."""
    devices, local_rank = gaudi.query(), int(os.environ.get("LOCAL_RANK", "0"))
    if devices is None:
        return {"name": None, "accelerator": None, "driver": None, "firmware": None}
    name = devices["names"][local_rank] if local_rank < len(devices["names"]) else None
    product = products.named("hpu", name) if name else None
    return {"name": name, "accelerator": product, "driver": devices["driver"], "firmware": devices["firmware"]}
