"""What the vendor's tool nvidia-smi says of NVIDIA GPUs. Its output is read from the program, or from a recording in the tests.

The fields are those that ``nvidia-smi --help-query-gpu`` and ``--help-query-compute-apps`` list. A device is named by its PCI
bus id, written as the kernel writes it: the tool's own numbers are not those of a process with CUDA_VISIBLE_DEVICES. Nothing
was asked of a real device here.
"""

from runner.bench.facts import host

# Newer drivers call it an event, older ones a throttle; a driver fails on the name that it does not know.
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")

# Bits of that field, as nvml.h names them (NVML API reference, clocks event reasons). Idleness holds no clock down under work.
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

# Products as torch and the tool name them. Other forms of a chip have other memory and clocks (an A100 PCIe, an H100 PCIe, a
# slice of a GPU): they are none of these.
_ACCELERATORS = {
    "NVIDIA A100-SXM4-80GB": "a100-80gb",
    "A100-SXM4-80GB": "a100-80gb",  # before the driver put the maker's name in front
    "NVIDIA H100 80GB HBM3": "h100",
    "NVIDIA H200": "h200",
}


def query(run=None):
    """Return what the tool says of all devices, by bus id: driver and throttle_reasons; None if it is not there, or fails."""
    run = run or _run
    for reasons in _REASONS:
        table = run([f"--query-gpu=pci.bus_id,driver_version,{reasons}", "--format=csv,noheader"])
        if table is not None:
            return parse_devices(table)
    return None


def processes(run=None):
    """Return the ids of the processes that compute on each device, by bus id; None if the tool is not there, or fails."""
    table = (run or _run)(["--query-compute-apps=gpu_bus_id,pid", "--format=csv,noheader"])
    return None if table is None else parse_processes(table)


def parse_devices(text):
    found = {}
    for place, driver, reasons in _rows(text, 3):
        found[bus_id(place)] = {"driver": driver, "throttle_reasons": parse_reasons(reasons)}
    return found


def parse_processes(text):
    found: dict = {}
    for place, pid in _rows(text, 2):
        if pid.isdigit():
            found.setdefault(bus_id(place), []).append(int(pid))
    return found


def parse_reasons(text):
    """Return why a clock is held down, sorted; a bit without a name as a number. None for what is no bitmask, such as [N/A]."""
    try:
        mask = int(text, 16) & ~_IDLE
    except ValueError:
        return None
    return sorted(_BITS.get(1 << bit, hex(1 << bit)) for bit in range(mask.bit_length()) if mask >> bit & 1)


def bus_id(text):
    """Return a PCI bus id as the kernel writes it: 0000:07:00.0, where the tool has eight digits of domain and capitals."""
    domain, _, place = text.partition(":")
    return f"{int(domain, 16):04x}:{place.lower()}"


def accelerator(name):
    """Return the accelerator that a product name stands for, None for a name that is not known."""
    return _ACCELERATORS.get(name)


def _rows(text, fields):
    """Yield the fields of each line that begins with a bus id; everything else that a tool may print is left out."""
    for line in text.splitlines():
        row = [part.strip() for part in line.split(",")]
        if len(row) == fields and row[0].count(":") == 2:
            yield row


def _run(arguments):
    return host.printed_by(["nvidia-smi", *arguments])
