"""Whether a model fits devices that have memory of their own, told from the catalog before anything is loaded."""

from runner.contract.errors import DoesNotFit


def missing(request, runtime_bytes):
    """Return ``DoesNotFit`` if one device needs more memory than the accelerator has, else None.

    ``runtime_bytes`` is what the device's software keeps beside weights and cache.
    """
    architecture, workload, devices = request.model.architecture, request.workload, request.devices
    there = request.accelerator.memory_bytes
    positions = workload.input_tokens + workload.output_tokens
    cache = architecture.kv_cache_bytes(workload.precision, workload.batch_size, positions) // devices
    need = architecture.weight_bytes_per_rank(workload.precision, devices) + cache + runtime_bytes
    if there is None or need <= there:
        return None
    return DoesNotFit(
        f"{request.model.name} in {workload.precision} on {devices} x {request.accelerator.name} needs {need:,} bytes on each"
        f" device; each has {there:,}. Take more --devices, or a smaller --model."
    )
