"""Facts about this host, read from the kernel and from vendors' tools: a source that is absent means None, never a guess."""

import glob
import os
import platform
import resource
import shutil
import statistics
import subprocess
import time

from runner.bench.facts import cgroups
from runner.contract.files import open_regular

TEXT_BYTES = 1 << 20  # far above what the kernel tells in one file

PATIENCE_S = 20  # a hanging driver must not hang the benchmark


def read_text(path):
    """Return the stripped text of a small file, None if it cannot be read or is no regular file."""
    try:
        with open_regular(path) as file:
            return file.read(TEXT_BYTES).decode("utf-8", errors="replace").strip()
    except OSError:
        return None


def printed_by(command):
    """Return what a program prints; None where it is not on the path, fails, or takes more than ``PATIENCE_S``."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def usable_cores():
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def threads() -> int:
    """Return how many threads this process can run at once: one for each core, no more than a quota of its time leaves."""
    quota = cgroups.cores()
    return usable_cores() if quota is None else max(1, min(usable_cores(), int(quota)))


def cpu_model(cpuinfo="/proc/cpuinfo"):
    for line in (read_text(cpuinfo) or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or None


def governor(path="/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"):
    return read_text(path)


def load_average():
    """Return the load of the last minute."""
    return os.getloadavg()[0]


def memory_bytes(key, meminfo="/proc/meminfo"):
    """Return one line of /proc/meminfo in bytes, for example ``MemTotal``."""
    for line in (read_text(meminfo) or "").splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    return None


def available_memory_bytes():
    """Return the bytes that new processes may take: the least of what the kernel and the control group allow."""
    found = [value for value in (memory_bytes("MemAvailable"), cgroups.free_bytes()) if value is not None]
    return min(found)


def peak_rss_bytes():
    """Return the largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def major_faults():
    """Return how often this process waited for a page to come from disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def runnable_threads(loadavg="/proc/loadavg", samples=5, interval_s=0.05):
    """Return how many threads of the whole host want a core, the one that asks not counted: the median of a few looks."""
    found = []
    for _ in range(samples):
        fields = (read_text(loadavg) or "").split()
        if len(fields) < 4 or not fields[3].partition("/")[0].isdigit():
            return None
        found.append(max(0, int(fields[3].partition("/")[0]) - 1))
        time.sleep(interval_s)
    return statistics.median_low(found)


def numa_nodes(cores=None, folder="/sys/devices/system/node"):
    """Return the sorted memory nodes that ``cores`` (default: those this process may run on) belong to; None where not told."""
    cores = os.sched_getaffinity(0) if cores is None else cores
    nodes = []
    for path in glob.glob(os.path.join(folder, "node[0-9]*")):
        if cores & _ranges(read_text(os.path.join(path, "cpulist")) or ""):
            nodes.append(int(os.path.basename(path)[len("node") :]))
    return sorted(nodes) or None


def _ranges(text):
    """Return the numbers that a kernel list such as 0-3,8 stands for."""
    found: set = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def noise_counters(proc=cgroups.PROC, cgroup=cgroups.ROOT):
    """Return counters of what disturbs a measurement; None for each that this host does not have. See ``noise_between``."""
    pressure = _number_after("some", "total=", read_text(os.path.join(proc, "pressure", "cpu")))
    vmstat = read_text(os.path.join(proc, "vmstat"))
    return {
        "cpu_stalled_us": pressure,
        "throttled_periods": cgroups.throttled_periods(cgroup, proc),
        "swapped_pages": _number_after("pswpout", " ", vmstat),
        "oom_kills": _number_after("oom_kill", " ", vmstat),
    }


def noise_between(before, after, elapsed_s):
    """Return what two readings of ``noise_counters`` differ by; ``cpu_pressure`` is the share of the time that work waited."""
    found = {name: None if None in (before[name], after[name]) else after[name] - before[name] for name in before}
    stalled_us = found.pop("cpu_stalled_us")
    return {"cpu_pressure": None if stalled_us is None else stalled_us / 1e6 / elapsed_s, **found}


def _number_after(line_start, mark, text):
    """Return the whole number behind ``mark`` on the line whose first word is ``line_start``; None if there is none."""
    for line in (text or "").splitlines():
        if line.split(" ", 1)[0] == line_start and mark in line:
            return int(line.split(mark, 1)[1].split()[0])
    return None
