"""Ask the vendor's tool nvidia-smi for the facts of NVIDIA GPUs. Its output is read from the program, or from a recording in the tests.

The fields are those that ``nvidia-smi --help-query-gpu`` and ``--help-query-compute-apps`` list. A device is named by its PCI
bus id, written as the kernel writes it: the tool numbers devices otherwise than a process with CUDA_VISIBLE_DEVICES does. An idle
H100 under driver 580.159.04 answered with bus id 00000000:00:06.0 and reasons 0x0000000000000001.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterator, List, Optional, Sequence, TypedDict

from runner.bench.facts import host
from runner.bench.facts.present import Present
from runner.contract.products import SLICE

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


# What ``present`` asks of each GPU, in the order of ``_Listed``.
_PRESENT = "index,name,uuid,pci.bus_id,driver_version,memory.total,mig.mode.current"

# Lines of ``nvidia-smi -L``, as NVIDIA's Multi-Instance GPU User Guide shows them: a GPU, and a slice of the GPU above.
_GPU_LINE = re.compile(r"GPU (?P<index>\d+): .+ \(UUID: \S+\)")
_SLICE_LINE = re.compile(r"\s+MIG (?P<profile>\S+)\s+Device\s+\d+: \(UUID: (?P<uuid>MIG-[^\s)]+)\)")


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


def present(run: Run | None = None) -> list[Present] | None:
    """Return all GPUs, and in the place of a GPU that is cut its slices; None where the tool is not there, or fails.

    The tool tells neither the bytes of a slice, whose profile names its gigabytes, nor which process computes on which slice.
    """
    run = run or _run
    table = run([f"--query-gpu={_PRESENT}", "--format=csv,noheader,nounits"])
    if table is None:
        return None
    listed = [
        row
        for row in ([part.strip() for part in line.split(",")] for line in table.splitlines())
        if len(row) == len(_PRESENT.split(",")) and row[0].isdigit()
    ]
    is_cut = any(row[6] == "Enabled" for row in listed)
    slices = parse_slices((run(["-L"]) or "") if is_cut else "")
    pids = processes(run)
    found: list[Present] = []
    for number, name, uuid, address, driver, mebibytes, cut in listed:
        index, place = int(number), bus_id(address)
        if cut == "Enabled":
            found += [slice_of(index, name, driver, profile, own) for profile, own in slices.get(index, [])]
        else:
            memory_bytes = int(mebibytes) << 20 if mebibytes.isdigit() else None
            working = None if pids is None else len(pids.get(place, []))
            found.append(Present(index, name, memory_bytes, driver, place, working, uuid))
    return found


def parse_slices(text: str) -> dict[int, list[tuple[str, str]]]:
    """Return the profiles and UUIDs of the slices of each GPU, by the GPU's number, from a listing of GPUs."""
    slices: dict[int, list[tuple[str, str]]] = {}
    index = -1
    for line in text.splitlines():
        gpu, part = _GPU_LINE.fullmatch(line.rstrip()), _SLICE_LINE.fullmatch(line.rstrip())
        if gpu:
            index = int(gpu["index"])
        elif part:
            slices.setdefault(index, []).append((part["profile"], part["uuid"]))
    return slices


def slice_of(index: int, name: str, driver: str, profile: str, uuid: str) -> Present:
    """Return a slice, such as 3g.40gb, of the GPU ``name``. Its product's name is the one that CUDA gives the slice."""
    gigabytes = re.search(r"(\d+)gb", profile)
    memory_bytes = int(gigabytes[1]) * 10**9 if gigabytes else None
    return Present(index, f"{name}{SLICE}{profile}", memory_bytes, driver, None, None, uuid)


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
