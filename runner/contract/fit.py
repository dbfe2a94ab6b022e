"""Whether a model fits devices that have memory of their own, computed from the catalog before anything is loaded."""

from __future__ import annotations

from runner.contract.errors import DoesNotFit
from runner.contract.request import Request

# A guess at what driver, libraries and a graph's pool keep on a device beside weights and cache. Gaudi's recipes and workspaces are not
# counted.
RUNTIME_BYTES = 2_000_000_000


def missing(request: Request) -> DoesNotFit | None:
    """Return ``DoesNotFit`` if a device needs more memory than the request's accelerator has, else None."""
    architecture, workload, devices = request.model.architecture, request.workload, request.devices
    memory_bytes = request.accelerator.memory_bytes
    positions = workload.input_tokens + workload.output_tokens
    cache = architecture.kv_cache_bytes(workload.precision, workload.batch_size, positions) // devices
    need = architecture.weight_bytes_per_rank(workload.precision, devices) + cache + RUNTIME_BYTES
    if memory_bytes is None or need <= memory_bytes:
        return None
    return DoesNotFit(
        f"{request.model.name} in {workload.precision} on {devices} x {request.accelerator.name} needs {need:,} bytes on each"
        f" device; each has {memory_bytes:,}. Take more --devices, or a smaller --model."
    )
