"""Ask the driver for the facts of NVIDIA GPUs: by NVML where pynvml is installed, else by nvidia-smi."""

from __future__ import annotations

from runner.bench.facts import nvidia_smi, nvml
from runner.bench.facts.nvidia_smi import Gpus, Processes


def query() -> Gpus | None:
    """Return what the driver says of all GPUs; None where neither NVML nor nvidia-smi answers."""
    gpus = nvml.query()
    return nvidia_smi.query() if gpus is None else gpus


def processes() -> Processes | None:
    """Return the ids of the processes that compute on each GPU; None where neither NVML nor nvidia-smi answers."""
    by_bus_id = nvml.processes()
    return nvidia_smi.processes() if by_bus_id is None else by_bus_id
