"""The verb ``devices``: say which accelerators this host or container has, without torch and within seconds."""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from typing import Callable, Mapping, NamedTuple, Sequence

from runner.bench.facts import device_files, hl_smi, hlml, host, nvidia_smi, nvml
from runner.bench.facts.present import Present, visible_to_cuda, visible_to_habana
from runner.contract import products
from runner.contract.announce import Announcer, Complaint, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.found_devices import DeviceFound, Source
from runner.contract.text import printable
from runner.contract.words import DeviceKind

# How long a vendor's tool or library may take to answer: a driver that hangs must not hang the command.
ANSWER_S = 4.0


@dataclass(frozen=True)
class DevicesUntold(Complaint, word="untold"):
    """A vendor's tool did not tell which devices are here."""

    device: DeviceKind = field(metadata=fact("kind of processor: `cuda` or `hpu`"))
    device_files: int = field(metadata=fact("number of device files that are here"))
    message: str = field(metadata=fact("what was asked, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.message


# Prints what the vendor's tool prints for some arguments; None where the tool is not there, or fails.
Run = Callable[[Sequence[str]], "str | None"]


class Vendor(NamedTuple):
    """How the devices of one maker are found. ``tool`` is asked first, ``library`` where the tool does not answer."""

    device: DeviceKind
    maker: str
    program: str
    tool: Callable[[Run], list[Present] | None]
    tool_source: Source
    library: Callable[[], list[Present] | None]
    library_source: Source
    visible: Callable[[Sequence[Present], Mapping[str, str]], list[Present]]


VENDORS = (
    Vendor("cuda", "NVIDIA", "nvidia-smi", nvidia_smi.present, "nvidia-smi", nvml.present, "nvml", visible_to_cuda),
    Vendor("hpu", "Gaudi", "hl-smi", hl_smi.present, "hl-smi", hlml.present, "hlml", visible_to_habana),
)


class Answer(NamedTuple):
    """The devices of one maker that are visible here, and what was not told of them; None where everything was told."""

    devices: list[DeviceFound]
    untold: DevicesUntold | None


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    described = verb_parser(
        "devices",
        description="Say which accelerators this host or container has: by nvidia-smi or NVML, and by hl-smi or HLML. Where neither"
        " answers, the device files are counted. CUDA_VISIBLE_DEVICES, HABANA_VISIBLE_MODULES and HABANA_VISIBLE_DEVICES limit what is"
        " listed. Nothing is loaded and nothing is changed.",
    )
    add_json(described, "each device")
    return described


def main(arguments: Sequence[str]) -> int:
    """Print the devices of this host; return 0, also where there is none."""
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    answers = [ask(vendor, os.environ) for vendor in VENDORS]
    for answer in answers:
        if answer.untold is not None:
            announcer.announce(answer.untold)
    found = [device for answer in answers for device in answer.devices]
    announcer.announce_together(found, listing(found))
    return 0


def ask(vendor: Vendor, environment: Mapping[str, str]) -> Answer:
    """Return the devices of a maker that are visible here, whatever has to be asked for that.

    Raises ``InputError`` where the table of products cannot be read.
    """
    problem: str | None = None
    present, source = None, vendor.tool_source
    try:
        present = vendor.tool(functools.partial(_run, vendor.program))
    except subprocess.TimeoutExpired:
        problem = f"{vendor.program} did not answer within {ANSWER_S:.0f} s"
    else:
        if present is None:
            present, source = _in_time(vendor.library), vendor.library_source
    if present is not None:
        visible = vendor.visible(present, environment)
        return Answer([_found(vendor, device, source) for device in visible], None)
    files = device_files.count(vendor.device)
    if problem is None and not files:
        return Answer([], None)
    if problem is None:
        is_here = shutil.which(vendor.program) is not None
        problem = f"{vendor.program} {'fails' if is_here else 'is not on the path'}"
    devices = [
        DeviceFound(index, None, None, vendor.device, None, None, None, None, "device-files") for index in range(files)
    ]
    return Answer(devices, DevicesUntold(vendor.device, files, _untold(vendor, files, problem)))


def _untold(vendor: Vendor, files: int, problem: str) -> str:
    there = (
        f"{files} device file(s) of {vendor.maker} are here" if files else f"No device file of {vendor.maker} is here"
    )
    return (
        f"{there}, and {problem}: no product is known. Run `{vendor.program}` to see why; the driver, or the vendor's tool, is missing or"
        " does not work."
    )


def _found(vendor: Vendor, device: Present, source: Source) -> DeviceFound:
    name = printable(device.name, 200)
    return DeviceFound(
        index=device.index,
        name=name,
        accelerator=products.accelerator(vendor.device, name),
        device=vendor.device,
        memory_bytes=device.memory_bytes,
        driver=device.driver,
        bus_id=device.bus_id,
        processes=device.processes,
        source=source,
        firmware=device.firmware,
    )


def _run(program: str, arguments: Sequence[str]) -> str | None:
    return host.printed_in_time([program, *arguments], ANSWER_S)


def _in_time(question: Callable[[], list[Present] | None]) -> list[Present] | None:
    """Return the answer to a question; None where it does not come in time.

    A library that hangs in the driver can only be left behind, in a thread that no interpreter waits for.
    """
    answers: list[list[Present] | None] = []
    thread = threading.Thread(target=lambda: answers.append(question()), daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    return answers[0] if answers else None


def listing(devices: Sequence[DeviceFound]) -> str:
    """Return the devices as lines for people, equal devices that follow each other in one line."""
    if not devices:
        return "no accelerator was found\n"
    groups = [list(group) for _, group in itertools.groupby(devices, lambda found: (found.name, found.device))]
    return "".join(f"{_line(group)}\n" for group in groups)


def _line(group: Sequence[DeviceFound]) -> str:
    """Return the line of some equal devices."""
    first = group[0]
    if first.name is None:
        return f"{len(group)} x {first.device}, product unknown"
    parts = [f"{len(group)} x {first.name}", first.accelerator or "not in the catalog"]
    if first.driver is not None:
        parts.append(f"driver {first.driver}")
    if first.memory_bytes is not None:
        parts.append(f"{first.memory_bytes / 1e9:.0f} GB each")
    busy = [str(found.index) for found in group if found.processes]
    if busy:
        parts.append(f"other processes on {', '.join(busy)}")
    return ", ".join(parts)
