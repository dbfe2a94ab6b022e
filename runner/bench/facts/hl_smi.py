"""Ask the vendor's tool hl-smi for the facts of Gaudi devices. Its output is read from the program, or from a recording in the tests.

Public scripts ask ``-Q`` with ``-f csv,noheader`` for name, driver_version and module_id, each field in some of the scripts, and read
a line for each device. Public logs of releases 1.12 to 1.20 show "Firmware [SPI] Version" in the output of ``-L``. Nothing was asked
of a real device here.
"""

from __future__ import annotations

import re
from typing import Callable, Optional, Sequence, TypedDict

from runner.bench.facts import host
from runner.bench.facts.present import Present

# Prints what the tool prints for some arguments; None where the tool is not there, or fails.
Run = Callable[[Sequence[str]], Optional[str]]

# The version of the firmware that a device booted from: 1.10.0-fw-43.2.0 of
# "Preboot version hl-gaudi2-1.10.0-fw-43.2.0-sec-4 (May 17 2023 - 20:08:22)".
PREBOOT = r"Preboot version hl-\w+-(\d+(?:\.\d+)*-(?:rc-)?fw-?[\d.]+\d)"


class _Table(TypedDict):
    # The product names of the devices, in the order of their modules.
    names: list[str]
    # The version of the driver; None where the devices differ.
    driver: str | None


class Gaudis(_Table):
    """The facts that the driver tells of all devices of this host or container."""

    # The firmware that the devices booted from; None where they differ, or where nothing tells it.
    firmware: str | None


def query(run: Run | None = None) -> Gaudis | None:
    """Return what the tool says of all devices; None where the tool is not there, or fails."""
    run = run or _run
    table = run(["-Q", "name,driver_version,module_id", "-f", "csv,noheader"])
    if table is None:
        return None
    return {**parse_table(table), "firmware": parse_firmware(run(["-L"]) or "")}


def present(run: Run | None = None) -> list[Present] | None:
    """Return all devices in the order of their modules; None where the tool is not there, or fails.

    None of the fields that the vendor documents for ``-Q`` tells processes, and the table for people shows those of all users to root
    on the host alone (docs.habana.ai, System Management Interface Tool): none are counted. A release that does not know a field fails,
    and is asked again for the fields that ``query`` asks for.
    """
    run = run or _run
    table = run(["-Q", "name,driver_version,module_id,index,bus_id,memory.total", "-f", "csv,noheader"])
    rows = _rows(table or "", 6)
    if not rows:
        table = run(["-Q", "name,driver_version,module_id", "-f", "csv,noheader"])
        rows = [[*row, row[2], "", ""] for row in _rows(table or "", 3)]
    if table is None:
        return None
    firmware = parse_firmware(run(["-L"]) or "") if rows else None
    return [
        Present(
            index=int(index) if index.isdigit() else int(module),
            name=name,
            memory_bytes=_bytes(memory),
            driver=driver,
            bus_id=address.lower() or None,
            processes=None,
            module=int(module),
            firmware=firmware,
        )
        for name, driver, module, index, address, memory in rows
    ]


def _bytes(text: str) -> int | None:
    """Return the bytes of an amount such as 98304 MiB; None for text of another form."""
    match = re.fullmatch(r"(\d+) MiB", text)
    return int(match[1]) << 20 if match else None


def _rows(text: str, fields: int) -> list[list[str]]:
    """Return the rows of a table whose third field is the number of a module, in the order of the modules."""
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines() if line.count(",") == fields - 1]
    return sorted((row for row in rows if row[2].isdigit()), key=lambda row: int(row[2]))


def parse_table(text: str) -> _Table:
    """Return names and driver of a table of names, drivers and numbers of modules."""
    rows = _rows(text, 3)
    return {"names": [row[0] for row in rows], "driver": the_only([row[1] for row in rows])}


def parse_firmware(text: str) -> str | None:
    """Return the firmware that the devices booted from, such as 1.10.0-fw-43.2.0; None for no version, or several."""
    return the_only(re.findall(rf"\[SPI\] Version\W+{PREBOOT}", text))


def the_only(values: Sequence[str]) -> str | None:
    """Return the value that all ``values`` are equal to; None where there are none, or where they differ."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _run(arguments: Sequence[str]) -> str | None:
    return host.printed_by(["hl-smi", *arguments])
