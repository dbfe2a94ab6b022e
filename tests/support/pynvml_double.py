"""A double of the module pynvml, which no machine without a GPU can use.

The double has the functions, the fields and the errors of nvidia-ml-py 13.615; releases before 11.5 return bytes.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class NVMLError_FunctionNotFound(NVMLError):
    pass


class Pynvml(ModuleType):
    """The module pynvml over some GPUs: bus id, bits of the reasons (None where not supported) and processes of each."""

    NVMLError = NVMLError
    NVMLError_NotSupported = NVMLError_NotSupported
    NVMLError_FunctionNotFound = NVMLError_FunctionNotFound

    def __init__(
        self,
        rows: list[tuple[str, int | None, list[int]]],
        driver: Any = "525.105.17",
        fails: dict[str, Exception] | None = None,
    ) -> None:
        super().__init__("pynvml")
        self.rows, self.driver, self.fails, self.initialised = rows, driver, fails or {}, 0

    def __getattribute__(self, name: str) -> Any:
        fails = super().__getattribute__("__dict__").get("fails", {})
        if name in fails:
            if isinstance(fails[name], AttributeError):
                raise fails[name]

            def fail(*arguments: Any) -> None:
                raise fails[name]

            return fail
        return super().__getattribute__(name)

    def nvmlInit(self) -> None:
        self.initialised += 1

    def nvmlShutdown(self) -> None:
        self.initialised -= 1

    def nvmlSystemGetDriverVersion(self) -> Any:
        assert self.initialised
        return self.driver

    def nvmlDeviceGetCount(self) -> int:
        assert self.initialised
        return len(self.rows)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> tuple[str, int]:
        return ("handle", index)

    def _row(self, handle: tuple[str, int]) -> tuple[str, int | None, list[int]]:
        assert self.initialised
        return self.rows[handle[1]]

    def nvmlDeviceGetPciInfo(self, handle: tuple[str, int]) -> SimpleNamespace:
        address = self._row(handle)[0]
        return SimpleNamespace(busId=address.encode() if isinstance(self.driver, bytes) else address)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: tuple[str, int]) -> int:
        reasons = self._row(handle)[1]
        if reasons is None:
            raise NVMLError_NotSupported
        return reasons

    nvmlDeviceGetCurrentClocksThrottleReasons = nvmlDeviceGetCurrentClocksEventReasons

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: tuple[str, int]) -> int:
        """Return millijoules: 1 J, 2 J and so on, in the order of the GPUs."""
        self._row(handle)
        return (handle[1] + 1) * 1000

    def nvmlDeviceGetComputeRunningProcesses(self, handle: tuple[str, int]) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=1 << 30) for pid in self._row(handle)[2]]
