"""NVIDIA GPUs: the device cuda of torch. Its facts come from torch, from the driver, and from NVML or nvidia-smi.

A process numbers the devices that it may see; driver, tool and kernel all name a device by its PCI bus id. Written for torch
1.13.1 to 2.13; ran on an H100 under torch 2.11.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import TYPE_CHECKING, Callable

from runner.bench.devices import compiling, profiling
from runner.bench.devices.observation import Observation
from runner.bench.devices.profiling import Profile
from runner.bench.facts import host, nvidia, nvidia_smi, nvml
from runner.contract import fit, products, visible_devices
from runner.contract.errors import DoesNotFit, LaunchFailed
from runner.contract.records import RankDevice
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch

backend = "nccl"
shared = False
emulated = False
has_int64 = True
unread: tuple[str, ...] = ()

_LOOK = (
    "Run `nvidia-smi`. If it lists no device, the driver is missing, or the container was given none (--gpus all,"
    " nvidia.com/gpu); if it does, look at CUDA_VISIBLE_DEVICES."
)
_NO_TOOL = "nvidia-smi is not here, or fails"
cannot_tell: dict[str, str] = {"operator_fallback": "CUDA has none: an operator that it lacks is an error"}

_captured = {"graphs": 0}


def environment(ranks: int, hosts: int = 1) -> dict[str, str]:
    """Return the variable that makes newer releases of DeepSpeed take CUDA, whichever accelerator a launch inherited.

    Where CUDA_VISIBLE_DEVICES names the GPUs of one host, the launch gets the first that it names, one a rank.
    """
    named = visible_devices.named(os.environ)
    if named is None or hosts > 1:
        return {"DS_ACCELERATOR": "cuda"}
    return {"DS_ACCELERATOR": "cuda", visible_devices.CUDA: ",".join(named[:ranks])}


def missing(request: Request) -> DoesNotFit | LaunchFailed | None:
    """Return ``DoesNotFit`` if the model does not fit, ``LaunchFailed`` if the host has no GPU, else None.

    The launchers' own messages about a missing GPU do not say what to do.
    """
    problem = visible_devices.unlaunchable(os.environ) or fit.missing(request)
    return problem or (None if _visible() else LaunchFailed(f"There is no GPU here. {_LOOK}"))


def open(local_rank: int) -> torch.device:
    """Select the device of this rank, and find out which checks can be made on the device.

    Raises ``LaunchFailed`` for a torch without CUDA and for a missing GPU, with what to do.
    """
    import torch

    if torch.version.cuda is None:
        raise LaunchFailed(
            f"torch {torch.__version__} is a build without CUDA. Install the one that the stack locks, or use its image."
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if local_rank >= count:
        raise LaunchFailed(
            f"Rank {local_rank} of this host has no GPU: torch {torch.__version__} sees {count}; it may need a newer driver."
            f" {_LOOK}"
        )
    torch.cuda.set_device(local_rank)
    # The first allocation makes this process one of the processes on the device.
    torch.zeros(1, device="cuda")
    _count_captures(torch.cuda.CUDAGraph)
    cannot_tell.update(_untold(os.getpid(), _bus_id(local_rank)))
    return torch.device("cuda", local_rank)


def _untold(pid: int, bus_id: str | None) -> dict[str, str]:
    """Return the checks that cannot be made on the device at ``bus_id``, each with the reason."""
    if bus_id is None:
        return dict.fromkeys(
            ("driver", "throttling", "exclusive_device", "numa"), "the driver does not say where it is"
        )
    reasons: dict[str, str] = {}
    devices, processes = nvidia.query(), nvidia.processes()
    if devices is None or bus_id not in devices:
        reason = _NO_TOOL if devices is None else f"the driver lists no device at {bus_id}"
        reasons.update(dict.fromkeys(("driver", "throttling"), reason))
    elif devices[bus_id]["throttle_reasons"] is None:
        reasons["throttling"] = "the driver does not tell it of this device"
    if processes is None:
        reasons["exclusive_device"] = _NO_TOOL
    elif pid not in processes.get(bus_id, []):
        reasons["exclusive_device"] = (
            "the driver does not list this process, as in a container with process ids of its own"
        )
    if _memory_node(bus_id) is None:
        reasons["numa"] = "the kernel names no memory node for it"
    return reasons


def prepare_collectives() -> None:
    """Set nothing: ``open`` selected the device, and NCCL finds its own way."""


def synchronize() -> None:
    """Wait until the device has finished all work."""
    import torch

    torch.cuda.synchronize()


def peak_memory_bytes() -> int:
    """Return the most memory that torch's allocator has handed out at once."""
    import torch

    return int(torch.cuda.max_memory_allocated())


def observe() -> Observation:
    """Return memory, compiled and captured graphs, other processes on the device and its throttle reasons.

    Where NVML is not installed, an observation takes as long as nvidia-smi runs twice.
    """
    import torch

    bus_id = _own_bus_id()
    devices, processes = nvidia.query() or {}, nvidia.processes()
    return {
        "memory_bytes": torch.cuda.memory_allocated(),
        "compilations": _captured["graphs"] + compiling.graphs(),
        "cached_kernels": cached_kernels(),
        "foreign_processes": None
        if processes is None
        else [pid for pid in processes.get(bus_id or "", []) if pid != os.getpid()],
        "throttle_reasons": devices[bus_id]["throttle_reasons"] if bus_id in devices else None,
    }


def energy_j() -> float | None:
    """Return the joules that the driver has counted for the device of this rank, None where NVML does not tell them."""
    bus_id = _own_bus_id()
    return None if bus_id is None else nvml.energy_j(bus_id)


def clock(call: Callable[[], object]) -> float:
    """Make ``call()`` between two events of the device and return the seconds between the events."""
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    end.synchronize()
    milliseconds = begin.elapsed_time(end)
    return float(milliseconds) / 1e3


def profiled(call: Callable[[], object]) -> Profile:
    """Make ``call()`` and return how often each operator of torch and each kernel ran; not tried on a GPU yet."""
    return profiling.of_host_and_gpu(call)


def numa_node() -> int | None:
    """Return the memory node of the device of this rank, None where the kernel names none."""
    return _memory_node(_own_bus_id())


def describe() -> RankDevice:
    """Return name and driver of the device of this rank, the accelerator that it is, its bus id and its memory."""
    import torch

    name, bus_id = torch.cuda.get_device_name(), _own_bus_id()
    devices = nvidia.query() or {}
    return {
        "name": name,
        "accelerator": products.named("cuda", name),
        "driver": devices[bus_id]["driver"] if bus_id in devices else None,
        "bus_id": bus_id,
        "memory_bytes": torch.cuda.mem_get_info()[1],
    }


def cached_kernels() -> int:
    """Return how many files the caches of compiled kernels hold.

    Inductor's cache counts only where TORCHINDUCTOR_CACHE_DIR names it: elsewhere it lies below TMPDIR, which is the launch's
    own folder.
    """
    named = [os.environ.get(f"{owner}_DIR") for owner in ("TORCHINDUCTOR_CACHE", "TORCH_EXTENSIONS")]
    triton = os.environ.get("TRITON_CACHE_DIR") or os.path.join(os.path.expanduser("~"), ".triton", "cache")
    return sum(len(files) for folder in (*named, triton) if folder for _, _, files in os.walk(folder))


def _count_captures(graph: type[torch.cuda.CUDAGraph]) -> None:
    """Count every capture of ``torch.cuda.CUDAGraph``, the class ``graph``, whoever makes the capture: torch keeps no count."""
    capture_end = graph.capture_end

    @functools.wraps(capture_end)
    def counted(*arguments: object, **keywords: object) -> object:
        _captured["graphs"] += 1
        return capture_end(*arguments, **keywords)

    graph.capture_end = counted


def _own_bus_id() -> str | None:
    """Return the PCI bus id of the device of this rank, None where the driver does not say it."""
    import torch

    return _bus_id(torch.cuda.current_device())


@functools.lru_cache(maxsize=None)
def _bus_id(ordinal: int) -> str | None:
    """Return the PCI bus id of a device by its number in this process, which is the driver's number too.

    Return None where the driver does not say the bus id. torch 1.13 has no call for the bus id, so the driver is asked.
    """
    device, text = ctypes.c_int(), ctypes.create_string_buffer(32)
    if _succeeds(
        lambda driver: driver.cuDeviceGet(ctypes.byref(device), ordinal),
        lambda driver: driver.cuDeviceGetPCIBusId(text, len(text), device),
    ):
        return nvidia_smi.bus_id(text.value.decode("ascii"))
    return None


def _visible() -> int:
    """Return how many devices the driver shows this process, without torch; 0 where there is no driver."""
    count = ctypes.c_int()
    return count.value if _succeeds(lambda driver: driver.cuDeviceGetCount(ctypes.byref(count))) else 0


def _succeeds(*calls: Callable[[ctypes.CDLL], int]) -> bool:
    """Make calls of the driver's library, in order; return whether the library is here and every call succeeds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return driver.cuInit(0) == 0 and all(call(driver) == 0 for call in calls)


def _memory_node(bus_id: str | None) -> int | None:
    """Return the host's memory node of a PCI device; None where the kernel knows none, which it writes as -1."""
    node = host.read_text(f"/sys/bus/pci/devices/{bus_id}/numa_node") if bus_id else None
    return int(node) if node and node.isdigit() else None
