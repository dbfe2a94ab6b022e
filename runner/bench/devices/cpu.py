"""The host's own processor: ranks share its cores and its memory, collectives go over gloo."""

import os

from runner.bench.devices import compiling
from runner.bench.facts import host
from runner.contract.errors import DoesNotFit

backend = "gloo"
shared = True
emulated = False
# DeepSpeed writes the numbers of the ranks into it for the CPU too; people hide their GPUs by it (accelerator/cpu_accelerator.py)
unread = ("CUDA_VISIBLE_DEVICES",)

_AT_ONCE = "every operation on the CPU is done when it returns"
cannot_tell = {
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

# What one rank takes beside weights and cache. With bloom-tiny, whose weights are nothing, a rank's peak was 0.40 GB on
# x86-64 Linux; with 7B in bfloat16 on 2 ranks it was 1.5 GB above its weights, for a cause that was not isolated.
RUNTIME_BYTES = 500_000_000


def environment(ranks, hosts=1):
    """Share the cores evenly among the ranks; where a quota leaves less time than the cores have, threads follow the quota.

    A thread more than that only waits: torch's own default, one for each core, spends a period's time at once and is held
    back for the rest of the period, all ranks together.
    """
    threads = str(max(1, host.threads() // ranks))
    shared = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if hosts > 1:
        return shared
    # all ranks are on this host; else gloo asks the resolver for the host's name, which laptops often cannot answer
    return {**shared, "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo")}


def missing(request):
    """Return ``DoesNotFit`` if all ranks together need more than the memory that is free on this host, else None."""
    architecture, workload, ranks = request.model.architecture, request.workload, request.devices
    positions = workload.input_tokens + workload.output_tokens
    need = (
        ranks * architecture.weight_bytes_per_rank(workload.precision, ranks)
        + architecture.kv_cache_bytes(workload.precision, workload.batch_size, positions)
        + ranks * RUNTIME_BYTES
    )
    there = host.available_memory_bytes()
    if need <= there:
        return None
    half = "" if workload.precision != "float32" else "--precision bfloat16, "
    return DoesNotFit(
        f"{request.model.name} in {workload.precision} on {ranks} rank(s) needs {need:,} bytes of memory"
        f" ({architecture.weight_bytes(workload.precision):,} of them weights, {need / 2**30:.1f} GiB in all);"
        f" {there:,} ({there / 2**30:.1f} GiB) are free here. Take a smaller --model, {half}or a larger machine."
    )


def open(local_rank):
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch.device("cpu")


def prepare_collectives():
    """Keep DeepSpeed from compiling its shared-memory all-reduce: 35 s, and 66 MiB per rank left behind in /dev/shm."""
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def synchronize():
    """Nothing to wait for: on the CPU every operation is done when it returns."""


def peak_memory_bytes():
    return None


def observe():
    return {"compilations": compiling.graphs()}


def describe():
    import torch

    name, threads = host.cpu_model(), torch.get_num_threads()
    return {"name": name, "accelerator": "cpu", "driver": None, "threads": threads}
