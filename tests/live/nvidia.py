"""What NVML and nvidia-smi say of this machine's GPUs, side by side: ``python -m tests.live.nvidia`` fails where they differ.

The script needs a GPU and nvidia-ml-py. With torch it also takes a device as a rank does, so that the driver lists a process, and checks
that the kit's module ``cuda`` says of the device what the driver says. It ends with 1 where something differs, and with 2 where
nothing can be compared.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from runner.bench.facts import nvidia, nvidia_smi, nvml
from runner.contract.errors import KitError

# How often both are asked: a clock's reasons may change between two questions, and a process may begin or end.
ATTEMPTS = 5
PAUSE_S = 1.0


def main() -> int:
    """Print the comparisons; return the exit code."""
    failures: list[str] = []
    _show("nvidia-ml-py", _version("nvidia-ml-py"))
    _library()
    rank: Callable[[], list[str]] | None = None
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: no process computes on a device, and the module cuda is not asked.")
    else:
        try:
            rank = _as_a_rank()
        except KitError as error:
            print(f"CANNOT COMPARE: {error}")
            return 2
    for name, ask_library, ask_tool in (
        ("GPUs", nvml.query, nvidia_smi.query),
        ("processes", _sorted(nvml.processes), _sorted(nvidia_smi.processes)),
    ):
        library, tool = _agreeing(ask_library, ask_tool)
        _show(f"{name} by NVML", library)
        _show(f"{name} by nvidia-smi", tool)
        if library is None or tool is None:
            print(f"CANNOT COMPARE {name}: NVML or nvidia-smi does not answer.")
            return 2
        if library != tool:
            failures.append(f"NVML and nvidia-smi differ in {name}")
    if not nvml.query():
        print("CANNOT COMPARE: there is no GPU here.")
        return 2
    for name, ask in (("NVML", nvml.query), ("nvidia-smi", nvidia_smi.query)):
        started_s = time.perf_counter()
        ask()
        _show(f"seconds of a question by {name}", round(time.perf_counter() - started_s, 3))
    if rank is not None:
        failures += rank()
    for failure in failures:
        print(f"DIFFERENT: {failure}.")
    print("FAILED" if failures else "EQUAL")
    return 1 if failures else 0


def _agreeing(ask_library: Callable[[], Any], ask_tool: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what both say: the first answers that agree, else the last ones."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        library, tool = ask_library(), ask_tool()
        if library == tool:
            break
    return library, tool


def _sorted(ask: Callable[[], nvidia_smi.Processes | None]) -> Callable[[], nvidia_smi.Processes | None]:
    """Return the question with sorted process ids: library and tool may list them in different orders."""

    def ask_sorted() -> nvidia_smi.Processes | None:
        by_bus_id = ask()
        return None if by_bus_id is None else {address: sorted(pids) for address, pids in by_bus_id.items()}

    return ask_sorted


def _library() -> None:
    """Print why NVML does not answer, which ``nvml`` passes over in silence."""
    try:
        pynvml = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        _show("NVML", pynvml.nvmlSystemGetNVMLVersion())
        pynvml.nvmlShutdown()
    except Exception as problem:
        print(f"NVML does not answer: {type(problem).__name__}: {problem}")


def _as_a_rank() -> Callable[[], list[str]]:
    """Take device 0 as a rank does; return a function that compares the module ``cuda`` with the driver's answers."""
    import torch

    from runner.bench.devices import cuda

    _show("torch", torch.__version__)
    held = torch.zeros(1 << 20, device=cuda.open(0))
    _show("cannot tell", cuda.cannot_tell)

    def compared() -> list[str]:
        described, observation = cuda.describe(), cuda.observe()
        _show("describe()", described)
        _show("observe()", observation)
        _show("numa_node()", cuda.numa_node())
        _show("clock() of a product", cuda.clock(lambda: torch.mm(held.view(1024, 1024), held.view(1024, 1024))))
        gpus, processes = nvidia.query() or {}, nvidia.processes() or {}
        bus_id = described["bus_id"]
        failures = []
        if bus_id not in gpus:
            failures.append(f"the driver's bus id {bus_id} is none of {', '.join(gpus)}")
        elif described["driver"] != gpus[bus_id]["driver"]:
            failures.append(f"describe() names driver {described['driver']}, NVML {gpus[bus_id]['driver']}")
        listed = os.getpid() in processes.get(bus_id or "", [])
        if listed is ("exclusive_device" in cuda.cannot_tell):
            failures.append("a process that the driver lists now was not listed by open(), or the other way round")
        if listed and os.getpid() in (observation.get("foreign_processes") or []):
            failures.append("observe() counts this process among the foreign ones")
        return failures

    return compared


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def _show(name: str, value: object) -> None:
    print(f"{name + ':':<36} {value}")


if __name__ == "__main__":
    sys.exit(main())
