"""NVIDIA GPUs: the device cuda of torch. Its facts come from torch, from the driver, and from nvidia-smi.

A process numbers the devices that it may see; the PCI bus id is what driver, tool and kernel all know a device by. Written
for torch 1.13.1 to 2.13. Nothing here ran on a real GPU yet.
"""

import ctypes
import functools
import os

from runner.bench.devices import compiling, fit
from runner.bench.facts import host, nvidia_smi
from runner.contract.errors import LaunchFailed

backend = "nccl"
shared = False
emulated = False
unread = ()

# A guess at what the driver, the libraries and a graph's pool keep on a device beside weights and cache.
RUNTIME_BYTES = 2_000_000_000

_LOOK = (
    "Run `nvidia-smi`. If it lists no device, the driver is missing, or the container was given none (--gpus all,"
    " nvidia.com/gpu); if it does, look at CUDA_VISIBLE_DEVICES."
)
_NO_TOOL = "nvidia-smi is not here, or fails"
cannot_tell = {"operator_fallback": "CUDA has none: an operator that it lacks is an error"}

_captured = {"graphs": 0}


def environment(ranks, hosts=1):
    return {"DS_ACCELERATOR": "cuda"}  # newer releases of DeepSpeed ask it before they look; another may be inherited


def missing(request):
    """Return what ``fit`` finds, or a ``LaunchFailed`` if there is no GPU here at all: launchers say less of it."""
    return fit.missing(request, RUNTIME_BYTES) or (
        None if _visible() else LaunchFailed(f"There is no GPU here. {_LOOK}")
    )


def open(local_rank):
    """Take the device, and find out what can be told of it. Raises ``LaunchFailed`` that says what to do without one."""
    import torch

    if torch.version.cuda is None:
        raise LaunchFailed(
            f"torch {torch.__version__} is a build without CUDA. Install the one that the stack locks, or use its image."
        )
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if local_rank >= seen:
        raise LaunchFailed(
            f"Rank {local_rank} of this host has no GPU: torch {torch.__version__} sees {seen}; it may need a newer driver."
            f" {_LOOK}"
        )
    torch.cuda.set_device(local_rank)
    torch.zeros(1, device="cuda")  # from here on the process is one of those on the device
    _count_captures(torch.cuda.CUDAGraph)
    cannot_tell.update(_untold(os.getpid(), _bus_id(local_rank)))
    return torch.device("cuda", local_rank)


def _untold(pid, place):
    """Return the checks that cannot be made on the device at bus id ``place``, each with the reason."""
    found = {}
    if place is None:
        return dict.fromkeys(
            ("driver", "throttling", "exclusive_device", "numa"), "the driver does not say where it is"
        )
    told, processes = nvidia_smi.query(), nvidia_smi.processes()
    if told is None or place not in told:
        reason = _NO_TOOL if told is None else f"nvidia-smi lists no device at {place}"
        found.update(dict.fromkeys(("driver", "throttling"), reason))
    elif told[place]["throttle_reasons"] is None:
        found["throttling"] = "nvidia-smi does not tell it of this device"
    if processes is None:
        found["exclusive_device"] = _NO_TOOL
    elif pid not in processes.get(place, []):
        found["exclusive_device"] = (
            "nvidia-smi does not list this process, as in a container with process ids of its own"
        )
    if _node(place) is None:
        found["numa"] = "the kernel names no memory node for it"
    return found


def prepare_collectives():
    """Nothing to set: the device is selected, and NCCL finds its own way."""


def synchronize():
    import torch

    torch.cuda.synchronize()


def peak_memory_bytes():
    import torch

    return torch.cuda.max_memory_allocated()


def observe():
    """Tell memory, what was compiled and captured, and by nvidia-smi what else is on the device; this takes a moment."""
    import torch

    place = _here()
    told = (nvidia_smi.query() or {}).get(place, {})
    processes = nvidia_smi.processes()
    return {
        "memory_bytes": torch.cuda.memory_allocated(),
        "compilations": _captured["graphs"] + compiling.graphs(),
        "cached_kernels": cached_kernels(),
        "foreign_processes": None
        if processes is None
        else [pid for pid in processes.get(place, []) if pid != os.getpid()],
        "throttle_reasons": told.get("throttle_reasons"),
    }


def clock(call):
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3  # milliseconds


def numa_node():
    return _node(_here())


def describe():
    import torch

    name, place = torch.cuda.get_device_name(), _here()
    return {
        "name": name,
        "accelerator": nvidia_smi.accelerator(name),
        "driver": (nvidia_smi.query() or {}).get(place, {}).get("driver"),
        "bus_id": place,
        "memory_bytes": torch.cuda.mem_get_info()[1],
    }


def cached_kernels():
    """Return how many files the caches of compiled kernels hold; where nobody moved inductor's, it is this launch's own."""
    named = [os.environ.get(f"{owner}_DIR") for owner in ("TORCHINDUCTOR_CACHE", "TORCH_EXTENSIONS")]
    triton = os.environ.get("TRITON_CACHE_DIR") or os.path.join(os.path.expanduser("~"), ".triton", "cache")
    return sum(len(files) for folder in (*named, triton) if folder for _, _, files in os.walk(folder))


def _count_captures(graph):
    """Let every capture of a CUDA graph be counted, whoever makes it: torch itself keeps no number."""
    capture_end = graph.capture_end

    @functools.wraps(capture_end)
    def counted(*arguments, **keywords):
        _captured["graphs"] += 1
        return capture_end(*arguments, **keywords)

    graph.capture_end = counted


def _here():
    import torch

    return _bus_id(torch.cuda.current_device())


@functools.lru_cache(maxsize=None)
def _bus_id(ordinal):
    """Return the PCI bus id of a device by its number in this process, as the driver counts too; None if it does not say.

    The driver's own call, since torch 1.13 has none.
    """
    device, told = ctypes.c_int(), ctypes.create_string_buffer(32)
    if _asked(
        lambda driver: driver.cuDeviceGet(ctypes.byref(device), ordinal),
        lambda driver: driver.cuDeviceGetPCIBusId(told, len(told), device),
    ):
        return nvidia_smi.bus_id(told.value.decode("ascii"))
    return None


def _visible():
    """Return how many devices the driver shows this process, without torch; 0 where there is no driver."""
    count = ctypes.c_int()
    return count.value if _asked(lambda driver: driver.cuDeviceGetCount(ctypes.byref(count))) else 0


def _asked(*calls):
    """Make calls of the driver's library, in order; return whether it is there and all of them succeeded."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return driver.cuInit(0) == 0 and all(call(driver) == 0 for call in calls)


def _node(place):
    """Return the host's memory node of a PCI device; None where the kernel knows none, which it writes as -1."""
    told = host.read_text(f"/sys/bus/pci/devices/{place}/numa_node")
    return int(told) if told and told.isdigit() else None
