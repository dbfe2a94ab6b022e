"""Ask the vendor's tool nvidia-smi for the facts of NVIDIA GPUs. Its output is read from the program, or from a recording in the tests.

The fields are those that ``nvidia-smi --help-query-gpu`` and ``--help-query-compute-apps`` list. A device is named by its PCI
bus id, written as the kernel writes it: the tool numbers devices otherwise than a process with CUDA_VISIBLE_DEVICES does. An idle
H100 under driver 580.159.04 answered with bus id 00000000:00:06.0 and reasons 0x0000000000000001.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Optional, Sequence, TypedDict

from runner.bench.facts import host

# Prints what the tool prints for some arguments; None where the tool is not there, or fails.
Run = Callable[[Sequence[str]], Optional[str]]


class Gpu(TypedDict):
    """The facts that the driver tells of one GPU."""

    # The version of the driver.
    driver: str
    # Why the GPU holds its clock down, sorted; None where the GPU does not tell.
    throttle_reasons: list[str] | None


# GPUs, and the ids of the processes that compute on them, each by PCI bus id.
Gpus = Dict[str, Gpu]
Processes = Dict[str, List[int]]

# Newer drivers name the field by events, older drivers by throttling; a driver fails on a name that it does not know.
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")

# Bits of the field, as nvml.h names them (NVML API reference, clocks event reasons). An idle GPU lowers its clock by itself.
_IDLE = 0x1
_BITS = {
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}


def query(run: Run | None = None) -> Gpus | None:
    """Return what the tool says of all GPUs; None where the tool is not there, or fails."""
    run = run or _run
    for reasons in _REASONS:
        table = run([f"--query-gpu=pci.bus_id,driver_version,{reasons}", "--format=csv,noheader"])
        if table is not None:
            return parse_devices(table)
    return None


def processes(run: Run | None = None) -> Processes | None:
    """Return the ids of the processes that compute on each GPU; None where the tool is not there, or fails."""
    table = (run or _run)(["--query-compute-apps=gpu_bus_id,pid", "--format=csv,noheader"])
    return None if table is None else parse_processes(table)


def parse_devices(text: str) -> Gpus:
    """Return the GPUs of a table of bus ids, drivers and reasons."""
    return {
        bus_id(address): {"driver": driver, "throttle_reasons": parse_reasons(reasons)}
        for address, driver, reasons in _rows(text, 3)
    }


def parse_processes(text: str) -> Processes:
    """Return the processes of a table of bus ids and process ids; GPUs without a process are left out."""
    by_bus_id: Processes = {}
    for address, pid in _rows(text, 2):
        if pid.isdigit():
            by_bus_id.setdefault(bus_id(address), []).append(int(pid))
    return by_bus_id


def parse_reasons(text: str) -> list[str] | None:
    """Return the names of a bitmask of reasons; None for text that is no bitmask, such as [N/A]."""
    try:
        return reason_names(int(text, 16))
    except ValueError:
        return None


def reason_names(mask: int) -> list[str]:
    """Return why a clock is held down, sorted; a bit without a name as a hexadecimal number. Idleness is no reason."""
    mask &= ~_IDLE
    return sorted(_BITS.get(1 << bit, hex(1 << bit)) for bit in range(mask.bit_length()) if mask >> bit & 1)


def bus_id(text: str) -> str:
    """Return a PCI bus id as the kernel writes it: 0000:07:00.0, where the tool has eight digits of domain and capitals."""
    domain, _, rest = text.partition(":")
    return f"{int(domain, 16):04x}:{rest.lower()}"


def _rows(text: str, fields: int) -> Iterator[list[str]]:
    """Yield the fields of each line that begins with a bus id; every other line that the tool prints is left out."""
    for line in text.splitlines():
        row = [part.strip() for part in line.split(",")]
        if len(row) == fields and row[0].count(":") == 2:
            yield row


def _run(arguments: Sequence[str]) -> str | None:
    return host.printed_by(["nvidia-smi", *arguments])
