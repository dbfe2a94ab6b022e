"""Ask NVML, the library below nvidia-smi, for the facts of NVIDIA GPUs, by pynvml of the package nvidia-ml-py.

The answers have the shapes and the words of ``nvidia_smi``. Sources: NVML API reference; nvidia-ml-py 13.615.
"""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType
from typing import Callable, TypeVar

from runner.bench.facts.nvidia_smi import Gpus, Processes, bus_id, reason_names

_Answer = TypeVar("_Answer")


def query() -> Gpus | None:
    """Return what NVML says of all GPUs; None where pynvml is not installed, or where the library fails."""
    return _ask(_gpus)


def processes() -> Processes | None:
    """Return the ids of the processes that compute on each GPU; None where pynvml is not installed, or the library fails."""
    return _ask(_processes)


def _ask(question: Callable[[ModuleType], _Answer]) -> _Answer | None:
    try:
        pynvml = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        try:
            return question(pynvml)
        finally:
            pynvml.nvmlShutdown()
    # ImportError without the package, NVMLError without a driver or of a device that is lost, AttributeError of a release of
    # pynvml without one of the functions, and NVMLLibraryMismatchError of one too new for the driver.
    except Exception:
        return None


def _handles(pynvml: ModuleType) -> dict[str, object]:
    """Return the handles of all GPUs by bus id."""
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return {bus_id(_text(pynvml.nvmlDeviceGetPciInfo(handle).busId)): handle for handle in handles}


def _gpus(pynvml: ModuleType) -> Gpus:
    driver = _text(pynvml.nvmlSystemGetDriverVersion())
    return {
        address: {"driver": driver, "throttle_reasons": _throttle_reasons(pynvml, handle)}
        for address, handle in _handles(pynvml).items()
    }


def _throttle_reasons(pynvml: ModuleType, handle: object) -> list[str] | None:
    """Return why a GPU holds its clock down; None where the GPU does not tell, which the tool writes as [N/A]."""
    try:
        # Drivers before 535 lack the function by the newer name, as older releases of pynvml do.
        with contextlib.suppress(AttributeError, pynvml.NVMLError_FunctionNotFound):
            return reason_names(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
        return reason_names(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    except pynvml.NVMLError_NotSupported:
        return None


def _processes(pynvml: ModuleType) -> Processes:
    by_bus_id = {
        address: [process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        for address, handle in _handles(pynvml).items()
    }
    return {address: pids for address, pids in by_bus_id.items() if pids}


def _text(value: str | bytes) -> str:
    """Return text that older releases of pynvml return as bytes."""
    return value.decode() if isinstance(value, bytes) else value
