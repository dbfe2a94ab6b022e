"""The accelerators of this host, as the verb ``devices`` names them, against what the cases ask for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from runner.contract import fit, found_devices
from runner.contract.errors import Unreachable, Unsupported
from runner.contract.found_devices import DeviceFound, DevicesUntold
from runner.contract.releases import firmware_version, release
from runner.contract.text import printable
from runner.contract.words import DeviceKind
from runner.host import paths
from runner.host.doctor.findings import Answer, Look, not_ready, ready, untold, warning
from runner.host.doctor.needs import Need, gigabytes
from runner.host.readers.accelerators import AcceleratorRow
from runner.host.readers.lockfile import UNRESOLVED

_TOOLS: dict[DeviceKind, str] = {"cuda": "nvidia-smi", "hpu": "hl-smi"}
_COMMAND = (sys.executable, "-m", "runner", "devices", "--json")
# The verb itself waits 15 s for a question to a tool of a vendor and as long for the vendor's library, and starts in about 1 s.
_DEVICES_S = 45.0


def here(command: Sequence[str] = _COMMAND) -> list[DeviceFound]:
    """Return the accelerators that this host has, by the verb ``devices`` in a process of its own: a driver may hang.

    Raises ``Unreachable`` where the verb does not end in time or no product was told, ``Unsupported`` where the verb fails,
    ``InputError`` for output that is not the verb's.
    """
    try:
        # the folder of the package: the module is found wherever the kit lies
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEVICES_S, cwd=paths.PACKAGE.parent
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"The verb devices did not end within {_DEVICES_S:g} s: a driver may hang.") from None
    except OSError as problem:
        raise Unsupported(f"The verb devices cannot be run: {problem.strerror}.") from None
    if done.returncode != 0:
        raise Unsupported(f"The verb devices ended with exit code {done.returncode}.")
    where = "what the verb devices printed"
    told = [found_devices.from_line(line, where) for line in done.stdout.splitlines()]
    found = [each for each in told if isinstance(each, DeviceFound)]
    untold = [each for each in told if isinstance(each, DevicesUntold)]
    if untold and all(device.name is None for device in found):
        raise Unreachable(untold[0].message)
    return found


def row_of(device: DeviceFound, rows: Mapping[str, AcceleratorRow]) -> str | None:
    """Return the accelerator of the catalog whose cases a device can run: its own row, or the row for other products of its kind."""
    if device.accelerator is not None or device.name is None:
        return device.accelerator
    return next((name for name, row in rows.items() if row.others and row.in_request.device == device.device), None)


def looks(devices: Sequence[DeviceFound], needs: Sequence[Need], rows: Mapping[str, AcceleratorRow]) -> list[Look]:
    """Return the looks at the devices that were found; ``rows`` are those of the catalog."""
    asked = [need for need in needs if not need.accelerator.in_request.is_the_host]
    wanted = {need.case.accelerator for need in asked}
    its_own = [device for device in devices if row_of(device, rows) in wanted]
    made = [Look("host", "accelerators", lambda: of_the_products(devices, asked, rows))]
    if not its_own:
        return made
    made.append(Look("host", "free devices", lambda: free(its_own)))
    made.append(Look("host", "device memory", lambda: memory(its_own, asked)))
    # a host has one driver, and each stack was released with its own
    for need in {need.case.stack: need for need in asked}.values():
        made.append(Look("host", f"driver for {need.case.stack}", partial(driver, its_own, need)))
        if need.accelerator.in_request.device == "hpu":
            made.append(Look("host", f"firmware for {need.case.stack}", partial(firmware, its_own, need)))
    return made


def of_the_products(
    devices: Sequence[DeviceFound], needs: Sequence[Need], rows: Mapping[str, AcceleratorRow]
) -> Answer:
    """Say whether the host has the devices that the cases ask for."""
    counts = Counter(f"{_product(device)} ({device.accelerator or 'not in the catalog'})" for device in devices)
    found = ", ".join(f"{number} x {name}" for name, number in counts.items()) or "None"
    by_row = Counter(row_of(device, rows) for device in devices)
    short = [need for need in needs if by_row[need.case.accelerator] < need.case.devices]
    if short:
        return not_ready(
            f"{found} found; {short[0].name} asks for {short[0].devices}.",
            "Measure on another host, or name other cases: `python -m runner request --list` shows them.",
        )
    return ready(f"{found} found{'' if needs else '; no case asks for one'}.")


def free(devices: Sequence[DeviceFound]) -> Answer:
    """Say whether processes run on the devices."""
    if any(device.processes is None for device in devices):
        return untold("Nobody tells which processes run on the devices.", f"{_tool(devices)} may tell.")
    busy = sum(bool(device.processes) for device in devices)
    if busy:
        processes = sum(device.processes or 0 for device in devices)
        return not_ready(
            f"{processes} processes run on {busy} of {len(devices)} devices.",
            f"{_tool(devices)} names them: end them, or wait.",
        )
    return ready("No process runs on the devices.")


def memory(devices: Sequence[DeviceFound], needs: Sequence[Need]) -> Answer:
    """Say whether the models of the cases fit the memory that the driver tells."""
    sizes = [device.memory_bytes for device in devices if device.memory_bytes is not None]
    if not sizes:
        return untold("Nobody tells how much memory the devices have.", f"{_tool(devices)} may tell.")
    for need in needs:
        of_the_driver = replace(need.request.accelerator, memory_bytes=min(sizes))
        problem = fit.missing(replace(need.request, accelerator=of_the_driver))
        if problem is not None:
            finding, _, remedy = str(problem).partition(". ")
            return not_ready(f"{need.name}: {finding}.", remedy)
    return ready(f"Devices have {gigabytes(min(sizes))}, and the models of the cases fit.")


def driver(devices: Sequence[DeviceFound], need: Need) -> Answer:
    """Say whether the driver is of the release that the lock names for a case's stack. A launch flags another release."""
    pinned = need.stack.driver
    found = {device.driver for device in devices if device.driver is not None}
    shown = ", ".join(sorted(found)) or "not told"
    if pinned == UNRESOLVED or not found:
        reason = "versions.lock names none for this stack" if pinned == UNRESOLVED else f"{pinned} is supported"
        return untold(f"The driver is {shown}; {reason}.", "Compare it with the support matrix of the vendor.")
    if {release(version) for version in found} != {release(pinned)}:
        return warning(
            f"The driver is {shown}; the stack is supported with {pinned}.",
            f"Install {pinned}, or measure another stack. A launch under another driver is flagged.",
        )
    return ready(f"The driver is {shown}, of the release that versions.lock names.")


def firmware(devices: Sequence[DeviceFound], need: Need) -> Answer:
    """Say whether the devices booted the firmware of a case's stack. A launch flags another firmware."""
    pinned = need.stack.firmware
    found = {device.firmware for device in devices if device.firmware is not None}
    shown = ", ".join(sorted(found)) or "not told"
    if pinned == UNRESOLVED or not need.accelerator.locked_firmware:
        return untold(
            f"The firmware is {shown}; versions.lock names none for {need.case.accelerator} under this stack.",
            "Compare it with the support matrix of the vendor.",
        )
    if not found:
        return untold(f"The firmware is not told; {pinned} is supported.", f"{_tool(devices)} may tell.")
    if {firmware_version(version) for version in found} != {firmware_version(pinned)}:
        return warning(
            f"The devices booted {shown}; the stack is supported with {pinned}.",
            "Install that firmware. A launch under another firmware is flagged.",
        )
    return ready(f"The devices booted {shown}, as versions.lock says.")


def _product(device: DeviceFound) -> str:
    return f"a device of kind {device.device}" if device.name is None else printable(device.name, 80)


def _tool(devices: Sequence[DeviceFound]) -> str:
    """Return the vendor's tool that tells more about the devices."""
    kinds = {device.device for device in devices}
    return " or ".join(f"`{_TOOLS[kind]}`" for kind in sorted(kinds))
