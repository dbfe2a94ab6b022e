"""The verb ``devices``: say which accelerators this host or container has, without torch and within a time limit."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
import threading
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

from runner.bench.facts import device_files, hl_smi, hlml, host, nvidia_smi, nvml
from runner.bench.facts.present import Present, visible_to_cuda, visible_to_habana
from runner.contract import products
from runner.contract.announce import Announcer
from runner.contract.arguments import add_json, verb_parser
from runner.contract.found_devices import DeviceFound, DevicesUntold, Source
from runner.contract.text import printable
from runner.contract.words import DeviceKind

# How long a vendor's tool or library may take to answer: a driver that hangs must not hang the command. A driver that no process holds
# open wakes each device for each question, which takes seconds on a host of eight.
ANSWER_S = 15.0
# Nobody is told of a wait that is shorter.
_UNSAID_S = 3.0


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
    # what makes a slow tool answer sooner
    sooner: str
    visible: Callable[[Sequence[Present], Mapping[str, str]], list[Present]]


VENDORS = (
    Vendor(
        "cuda",
        "NVIDIA",
        "nvidia-smi",
        nvidia_smi.present,
        "nvidia-smi",
        nvml.present,
        "nvml",
        "`sudo nvidia-smi -pm 1` keeps the driver awake",
        visible_to_cuda,
    ),
    Vendor(
        "hpu",
        "Gaudi",
        "hl-smi",
        hl_smi.present,
        "hl-smi",
        hlml.present,
        "hlml",
        "after an update of the driver, restart the host",
        visible_to_habana,
    ),
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
    if found or all(answer.untold is None for answer in answers):
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
        problem = f"{vendor.program} did not answer within {ANSWER_S:.0f} s ({vendor.sooner})"
    if present is None:
        present, source = _in_time(vendor), vendor.library_source
    if present is not None:
        visible = vendor.visible(present, environment)
        return Answer([_found(vendor, device, source) for device in visible], None)
    files = device_files.count(vendor.device)
    is_here = shutil.which(vendor.program) is not None
    if not files and not is_here:
        return Answer([], None)
    if problem is None:
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
    with _said(program):
        return host.printed_in_time([program, *arguments], ANSWER_S)


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    """Say on standard error that ``what`` is waited for, once the wait is long."""
    line = f"waiting for {what}, {ANSWER_S:.0f} s at most"
    timer = threading.Timer(_UNSAID_S, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _in_time(vendor: Vendor) -> list[Present] | None:
    """Return the answer of a vendor's library; None where it does not come in time.

    A library that hangs in the driver can only be left behind, in a thread that no interpreter waits for.
    """
    answers: list[list[Present] | None] = []
    thread = threading.Thread(target=lambda: answers.append(vendor.library()), daemon=True)
    thread.start()
    with _said(vendor.library_source.upper()):
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
