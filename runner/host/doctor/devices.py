"""The accelerators of this host, as the verb ``devices`` names them, against what the cases ask for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from runner.contract.errors import InputError, Unreachable, Unsupported
from runner.contract.fields import Fields
from runner.contract.releases import firmware_version, release
from runner.contract.text import printable
from runner.host import paths
from runner.host.doctor.findings import Answer, Look, not_ready, ready, untold, warning
from runner.host.doctor.looking import ANSWER_S
from runner.host.doctor.needs import Need, gigabytes
from runner.host.readers.lockfile import UNRESOLVED

_COMMAND = (sys.executable, "-m", "runner", "devices", "--json")
_EVENT = "device"


@dataclass(frozen=True)
class Device:
    """One accelerator of this host, as the verb ``devices`` tells it.

    ``accelerator`` is its name in the catalog, None for a product that the catalog does not know. ``processes`` is the number of
    processes on it. None stands for what nobody tells.
    """

    name: str
    accelerator: str | None
    memory_bytes: int | None
    driver: str | None
    firmware: str | None
    processes: int | None

    @property
    def shown(self) -> str:
        """Return the name of the product with its name in the catalog."""
        known = self.accelerator or "not in the catalog"
        return f"{printable(self.name, 80)} ({known})"


def here(command: Sequence[str] = _COMMAND) -> list[Device]:
    """Return the accelerators that this host has, by the verb ``devices`` in a process of its own: a driver may hang.

    Raises ``Unreachable`` where the verb does not end in time, ``Unsupported`` where the verb fails, ``InputError`` for output that
    is not the verb's.
    """
    try:
        # the folder of the package: the module is found wherever the kit lies
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ANSWER_S,
            cwd=paths.PACKAGE.parent,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"The verb devices did not end within {ANSWER_S:g} s. A driver may hang.") from None
    except OSError as problem:
        raise Unsupported(f"The verb devices cannot be run: {problem.strerror}.") from None
    if done.returncode != 0:
        raise Unsupported(f"The verb devices ended with exit code {done.returncode}.")
    return parse(done.stdout)


def parse(text: str) -> list[Device]:
    """Return the devices of the lines that the verb ``devices`` printed. Raises ``InputError`` for other lines."""
    devices = []
    for line in filter(None, text.splitlines()):
        try:
            row = Fields(json.loads(line), "a line of the verb devices")
        except ValueError:
            raise InputError("The verb devices printed a line that is no JSON.") from None
        if row.text("event") != _EVENT:
            continue
        devices.append(
            Device(
                name=row.text("name"),
                accelerator=row.optional(Fields.text, "accelerator"),
                memory_bytes=row.optional(Fields.count, "memory_bytes"),
                driver=row.optional(Fields.text, "driver"),
                # the verb says it for Gaudi alone
                firmware=row.text("firmware", None),
                processes=row.optional(Fields.count, "processes"),
            )
        )
    return devices


def looks(devices: Sequence[Device], needs: Sequence[Need]) -> list[Look]:
    """Return the looks at the devices that were found."""
    asked = [need for need in needs if not need.accelerator.in_request.is_the_host]
    found = Look("host", "accelerators", lambda: of_the_products(devices, asked))
    if not asked:
        return [found]

    its_own = _of_the_needs(devices, asked)
    made = [
        found,
        Look("host", "free devices", lambda: free(its_own)),
        Look("host", "device memory", lambda: memory(its_own, asked)),
    ]
    # a host has one driver, and each stack was released with its own
    for need in {need.case.stack: need for need in asked}.values():
        made.append(Look("host", f"driver for {need.case.stack}", partial(driver, its_own, need)))
        made.append(Look("host", f"firmware for {need.case.stack}", partial(firmware, its_own, need)))
    return made


def of_the_products(devices: Sequence[Device], needs: Sequence[Need]) -> Answer:
    """Say whether the host has the devices that the cases ask for."""
    counts = Counter(device.shown for device in devices)
    found = ", ".join(f"{number} x {name}" for name, number in counts.items()) or "None"
    by_name = Counter(device.accelerator for device in devices)
    short = [need for need in needs if by_name[need.case.accelerator] < need.case.devices]
    if short:
        return not_ready(
            f"{found} found; {short[0].name} asks for {short[0].devices}.",
            "Measure on another host, or name other cases: `python -m runner request --list` shows them.",
        )
    return ready(f"{found} found{'' if needs else '; no case asks for one'}.")


def free(devices: Sequence[Device]) -> Answer:
    """Say whether processes run on the devices."""
    if not devices or any(device.processes is None for device in devices):
        return untold("Nobody tells which processes run on the devices.", f"{_tool(devices)} may tell.")
    busy = sum(bool(device.processes) for device in devices)
    if busy:
        processes = sum(device.processes or 0 for device in devices)
        return not_ready(
            f"{processes} processes run on {busy} of {len(devices)} devices.",
            f"{_tool(devices)} names them: end them, or wait.",
        )
    return ready("No process runs on the devices.")


def memory(devices: Sequence[Device], needs: Sequence[Need]) -> Answer:
    """Say whether weights, keys and values of the cases fit the devices."""
    sizes = [device.memory_bytes for device in devices if device.memory_bytes is not None]
    if not sizes:
        return untold("Nobody tells how much memory the devices have.", f"{_tool(devices)} may tell.")
    largest = max(needs, key=lambda need: need.bytes_per_device)
    asked = f"{largest.name} holds {gigabytes(largest.bytes_per_device)} on each"
    if largest.bytes_per_device > min(sizes):
        return not_ready(
            f"Devices have {gigabytes(min(sizes))}; {asked}.", "Take more devices, another model or another precision."
        )
    return ready(f"Devices have {gigabytes(min(sizes))}; {asked}.")


def driver(devices: Sequence[Device], need: Need) -> Answer:
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


def firmware(devices: Sequence[Device], need: Need) -> Answer:
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


def _of_the_needs(devices: Sequence[Device], needs: Sequence[Need]) -> list[Device]:
    wanted = {need.case.accelerator for need in needs}
    return [device for device in devices if device.accelerator in wanted]


def _tool(devices: Sequence[Device]) -> str:
    """Return the vendor's tool that tells more about the devices."""
    return "`nvidia-smi`" if any("NVIDIA" in device.name for device in devices) else "The tool of the vendor"
