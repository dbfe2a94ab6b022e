"""Ask NVML, the library below nvidia-smi, for the facts of NVIDIA GPUs, by pynvml of the package nvidia-ml-py.

The answers have the shapes and the words of ``nvidia_smi``. Sources: NVML API reference; nvidia-ml-py 13.615.
"""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType
from typing import Callable, Iterator, TypeVar

from runner.bench.facts.nvidia_smi import Gpus, Processes, bus_id, reason_names, slice_of
from runner.bench.facts.present import Present
from runner.contract.products import SLICE

_Answer = TypeVar("_Answer")


def query() -> Gpus | None:
    """Return what NVML says of all GPUs; None where pynvml is not installed, or where the library fails."""
    return _ask(_gpus)


def processes() -> Processes | None:
    """Return the ids of the processes that compute on each GPU; None where pynvml is not installed, or the library fails."""
    return _ask(_processes)


def present() -> list[Present] | None:
    """Return all GPUs, and in the place of a GPU that is cut its slices; None where pynvml is not installed, or the library fails."""
    return _ask(_present)


def energy_j(address: str) -> float | None:
    """Return the joules of a GPU since the driver was loaded, by its bus id; None as ``query`` does, and for a GPU that counts none.

    NVML counts millijoules on GPUs of Volta and newer (NVML API reference, nvmlDeviceGetTotalEnergyConsumption).
    """
    return _ask(lambda pynvml: pynvml.nvmlDeviceGetTotalEnergyConsumption(_handles(pynvml)[address]) / 1e3)


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


def _present(pynvml: ModuleType) -> list[Present]:
    driver = _text(pynvml.nvmlSystemGetDriverVersion())
    pids = _processes(pynvml)
    found: list[Present] = []
    for index, (address, handle) in enumerate(_handles(pynvml).items()):
        name = _text(pynvml.nvmlDeviceGetName(handle))
        if _is_cut(pynvml, handle):
            found += [
                slice_of(
                    index, name, driver, _text(pynvml.nvmlDeviceGetName(part)).rpartition(SLICE)[2], _uuid(pynvml, part)
                )
                for part in _slices(pynvml, handle)
            ]
        else:
            # nvidia-smi tells whole mebibytes, and one GPU has one size.
            memory_bytes = pynvml.nvmlDeviceGetMemoryInfo(handle).total >> 20 << 20
            working = len(pids.get(address, []))
            found.append(Present(index, name, memory_bytes, driver, address, working, _uuid(pynvml, handle)))
    return found


def _is_cut(pynvml: ModuleType, handle: object) -> bool:
    """Return whether a GPU is in the mode in which its slices alone compute."""
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0])
    except pynvml.NVMLError_NotSupported:
        return False


def _slices(pynvml: ModuleType, handle: object) -> Iterator[object]:
    """Yield the handles of a GPU's slices; the numbers of slices have gaps."""
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)


def _uuid(pynvml: ModuleType, handle: object) -> str:
    return _text(pynvml.nvmlDeviceGetUUID(handle))


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
