"""What the vendor's tool hl-smi says of Gaudi devices. Its output is read from the program, or from a recording in the tests.

Queries that are known to work: ``-Q name,driver_version,module_id,memory.used -f csv,noheader`` prints a line per device, ``-L``
prints blocks of "key : value" with "Firmware [SPI] Version". Both were seen in public scripts and logs for releases 1.10 to 1.20.
"""

import re
import shutil
import subprocess

PATIENCE_S = 20  # a hanging driver must not hang the benchmark

# The vendor's product names: HL-225 is Gaudi2 (with letters for its forms), HL-205 the first generation, HL-325 and 328 Gaudi3.
ACCELERATORS = (("HL-20", "gaudi"), ("HL-22", "gaudi2"), ("HL-28", "gaudi2"), ("HL-32", "gaudi3"))


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
    if shutil.which("hl-smi") is None:
        return None
    try:
        done = subprocess.run(
            ["hl-smi", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
