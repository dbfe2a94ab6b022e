"""The host's own processor: the ranks share its cores and its memory, and gloo carries their collectives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

from runner.bench.devices import compiling, profiling
from runner.bench.devices.observation import Observation
from runner.bench.devices.profiling import Profile
from runner.bench.facts import host, rapl
from runner.contract.errors import DoesNotFit, Unsupported
from runner.contract.records import RankDevice
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch

backend = "gloo"
shared = True
emulated = False
has_int64 = True
# DeepSpeed writes the numbers of the ranks into this variable for the CPU too (accelerator/cpu_accelerator.py), and people
# hide their GPUs by it.
unread: tuple[str, ...] = ("CUDA_VISIBLE_DEVICES",)

_AT_ONCE = "every operation on the CPU is done when it returns"
cannot_tell: dict[str, str] = {
    "device_memory": "the CPU has no memory of its own",
    "operator_fallback": "nothing can fall back from the CPU to the CPU",
    "synchronised": _AT_ONCE,
    "synchronisation_control": _AT_ONCE,
    "device_clock": "the CPU has no clock beside the host's",
    "compile_cache": "what is compiled here is compiled by each launch anew",
    "exclusive_device": "the CPU is shared with the whole host; see cpu_pressure and idle_before",
    "throttling": "the clock's limits are not told to guests",
    "numa": "the cores are the device",
}

# The memory that a rank takes beside weights and cache. With bloom-tiny, whose weights are negligible, the peak of a rank was
# 0.40 GB on x86-64 Linux. With 7B in bfloat16 on 2 ranks the peak was 1.5 GB above the weights; the cause was not isolated.
RUNTIME_BYTES = 500_000_000


def environment(ranks: int, hosts: int = 1) -> dict[str, str]:
    """Share the cores evenly among the ranks; where a quota leaves less time than the cores have, threads follow the quota.

    Threads beyond the quota only wait: torch's default of one thread for each core spends the time of a quota period at once,
    and the kernel then holds all ranks back for the rest of the period.
    """
    threads = str(max(1, host.threads() // ranks))
    variables = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if hosts > 1:
        return variables
    # All ranks are on this host. Without the variable gloo asks the resolver for the host's name, which laptops often cannot
    # answer.
    return {**variables, "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo")}


def missing(request: Request) -> DoesNotFit | None:
    """Return ``DoesNotFit`` if all ranks together need more than the memory that is free on this host, else None."""
    architecture, workload, ranks = request.model.architecture, request.workload, request.devices
    positions = workload.input_tokens + workload.output_tokens
    need = (
        ranks * architecture.weight_bytes_per_rank(workload.precision, ranks)
        + architecture.kv_cache_bytes(workload.precision, workload.batch_size, positions)
        + ranks * RUNTIME_BYTES
    )
    free_bytes = host.available_memory_bytes()
    if need <= free_bytes:
        return None
    half = "" if workload.precision != "float32" else "--precision bfloat16, "
    return DoesNotFit(
        f"{request.model.name} in {workload.precision} on {ranks} rank(s) needs {need:,} bytes of memory"
        f" ({architecture.weight_bytes(workload.precision):,} of them weights, {need / 2**30:.1f} GiB in all);"
        f" {free_bytes:,} ({free_bytes / 2**30:.1f} GiB) are free here. Take a smaller --model, {half}or a larger machine."
    )


def open(local_rank: int) -> torch.device:
    """Give torch the threads that ``environment`` set, and return its device cpu, which all ranks share."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch.device("cpu")


def prepare_collectives() -> None:
    """Keep DeepSpeed from compiling its shared-memory all-reduce: that takes 35 s and leaves 66 MiB per rank in /dev/shm."""
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def synchronize() -> None:
    """Return at once: on the CPU every operation is done when it returns."""


def peak_memory_bytes() -> None:
    """Return None: the CPU has no memory of its own."""


def observe() -> Observation:
    """Return how many graphs torch has compiled; the CPU tells nothing else."""
    return {"compilations": compiling.graphs()}


def energy_j() -> float | None:
    """Return the joules of all processors of the host, None where the kernel does not tell them."""
    return rapl.energy_j()


def clock(call: Callable[[], object]) -> float:
    """Raise ``Unsupported``: the CPU has no clock beside the host's."""
    raise Unsupported(cannot_tell["device_clock"])


def profiled(call: Callable[[], object]) -> Profile:
    """Make ``call()`` and return how often each operator ran; the CPU runs no kernels beside them."""
    return profiling.of_host(call)


def numa_node() -> None:
    """Return None: the cores of the ranks are the device, on whichever memory nodes they are."""


def describe() -> RankDevice:
    """Return the model of the processor and the threads of torch."""
    import torch

    return {"name": host.cpu_model(), "accelerator": "cpu", "driver": None, "threads": torch.get_num_threads()}
