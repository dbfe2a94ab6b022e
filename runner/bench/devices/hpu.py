"""Gaudi: the device hpu of the vendor's torch. Its facts come from the vendor's modules, and from hl-smi.

Nothing here ran on the real device yet; it ran over a stand-in (``emulated``) that has the calls and none of the hardware.
"""

import importlib
import importlib.util
import os

from runner.bench.devices import cpu, fit
from runner.bench.facts import hl_smi
from runner.contract.errors import LaunchFailed

backend = "hccl"

# A guess at what the software keeps on a device beside weights and cache; recipes and workspaces are not counted.
RUNTIME_BYTES = 2_000_000_000


def _emulated():
    """Return whether the tests' stand-in is installed instead of the vendor's package."""
    if importlib.util.find_spec("habana_frameworks") is None:
        return False
    return bool(getattr(importlib.import_module("habana_frameworks"), "EMULATED", False))


emulated = _emulated()
unread = ()
shared = emulated  # a Gaudi is its process's own; what stands in for it is the host's processor

_STAND_IN = "something stands in for the device"
cannot_tell = {
    "exclusive_device": "hl-smi shows other processes to root on the host alone",
    "throttling": "no query of hl-smi is known for it",
    "numa": "no query of hl-smi is known for it",
    "device_clock": "events of the device were not tried",
}
if emulated:
    _HARDWARE = ("device_memory", "operator_fallback", "compilations", "compile_cache")
    _CLOCK = ("synchronised", "synchronisation_control")
    cannot_tell.update(dict.fromkeys((*cannot_tell, *_HARDWARE, *_CLOCK), _STAND_IN))


def environment(ranks, hosts=1):
    return {}


def missing(request):
    return fit.missing(request, RUNTIME_BYTES)


def open(local_rank):
    if importlib.util.find_spec("habana_frameworks") is None:
        raise LaunchFailed(
            "The vendor's package habana_frameworks is not installed here. Run this in the image of a gaudi stack."
        )
    import torch
    from habana_frameworks.torch import core, hpu  # noqa: F401  (the device exists once they are imported)
    from habana_frameworks.torch.distributed.hccl import initialize_distributed_hpu

    initialize_distributed_hpu()
    if hl_smi.query() is None:
        cannot_tell.update(dict.fromkeys(("accelerator", "driver", "firmware"), "hl-smi is not here, or fails"))
    for check, metric in (("compilations", "graph_compilation"), ("operator_fallback", "cpu_fallback")):
        if "TotalNumber" not in _metric(metric):
            cannot_tell.setdefault(check, "this release of the bridge does not count it")
    return torch.device("hpu")


def prepare_collectives():
    """Import what registers the backend; the vendor's DeepSpeed does so too. A public one, over the stand-in, is the CPU's."""
    from habana_frameworks.torch.distributed import hccl  # noqa: F401

    if emulated:
        cpu.prepare_collectives()


def synchronize():
    from habana_frameworks.torch import hpu

    hpu.synchronize()


def peak_memory_bytes():
    if emulated:
        return None
    from habana_frameworks.torch import hpu

    return hpu.memory_stats()["MaxInUse"]


def observe():
    """Tell memory and the bridge's own counters; a counter that this release has not is left out."""
    if emulated:
        return {}
    from habana_frameworks.torch import hpu

    return {
        "memory_bytes": hpu.memory_stats()["InUse"],
        "compilations": _metric("graph_compilation").get("TotalNumber"),
        "cached_kernels": cached_recipes(),
        "fallbacks": _metric("cpu_fallback").get("TotalNumber"),
    }


def cached_recipes():
    """Return how many files the cache of compiled recipes holds: none where PT_RECIPE_CACHE_PATH is unset, as by default."""
    folder = os.environ.get("PT_RECIPE_CACHE_PATH")
    return sum(len(files) for _, _, files in os.walk(folder)) if folder else 0


def _metric(name):
    """Return a global metric of the bridge as a dict, empty where this release has it not."""
    try:
        from habana_frameworks.torch.hpu.metrics import metric_global

        return dict(metric_global(name).stats())
    except (ImportError, KeyError, ValueError, RuntimeError):
        return {}


def describe():
    told, local_rank = hl_smi.query(), int(os.environ.get("LOCAL_RANK", "0"))
    if told is None:
        return {"name": None, "accelerator": None, "driver": None, "firmware": None}
    name = told["names"][local_rank] if local_rank < len(told["names"]) else None
    product = hl_smi.accelerator(name) if name else None
    return {"name": name, "accelerator": product, "driver": told["driver"], "firmware": told["firmware"]}
