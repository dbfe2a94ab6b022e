"""What the vendor's tool hl-smi says of Gaudi devices. Its output is read from the program, or from a recording in the tests.

Public scripts ask ``-Q`` with ``-f csv,noheader`` for name, driver_version and module_id, each in some of them, and read a line for
each device; public logs show "Firmware [SPI] Version" among what ``-L`` prints, for releases 1.12 to 1.20. Nothing was asked of a
real device here.
"""

import re

from runner.bench.facts import host

# The vendor's product names, as public scripts and articles use them; letters behind them tell forms.
ACCELERATORS = (("HL-205", "gaudi"), ("HL-225", "gaudi2"), ("HL-325", "gaudi3"), ("HL-328", "gaudi3"))


def query(run=None):
    """Return what the tool says of all devices: names, driver, firmware; None where there is no tool, or it fails."""
    run = run or _run
    table = run(["-Q", "name,driver_version,module_id", "-f", "csv,noheader"])
    if table is None:
        return None
    return {**parse_table(table), "firmware": parse_firmware(run(["-L"]) or "")}


def parse_table(text):
    """Return the names of the devices in the order of their modules, and the driver's version; None if there are several."""
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines() if line.count(",") == 2]
    rows = sorted((row for row in rows if row[2].isdigit()), key=lambda row: int(row[2]))
    drivers = {row[1] for row in rows}
    return {"names": [row[0] for row in rows], "driver": drivers.pop() if len(drivers) == 1 else None}


def parse_firmware(text):
    """Return the firmware that the devices booted from, such as 1.10.0-fw-43.2.0; None if there is none, or several."""
    found = set(re.findall(r"\[SPI\] Version\W+Preboot version hl-\w+-(\d+(?:\.\d+)*-(?:rc-)?fw-?[\d.]+\d)", text))
    return found.pop() if len(found) == 1 else None


def accelerator(name):
    """Return the accelerator that a product name stands for, None for a name that is not known."""
    return next((known for prefix, known in ACCELERATORS if name.startswith(prefix)), None)


def _run(arguments):
    return host.printed_by(["hl-smi", *arguments])
