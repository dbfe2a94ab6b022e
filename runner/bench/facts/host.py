"""Facts about this host, read from the kernel and from vendors' programs.

A fact whose source is absent is None, never a guess.
"""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import resource
import shutil
import statistics
import subprocess
import time
from typing import NamedTuple, Sequence

from runner.bench.facts import cgroups
from runner.bench.facts.small_files import read_text
from runner.contract.records import HostNoise

# A driver that hangs must not hang the benchmark.
PROGRAM_TIMEOUT_S = 20
# A killed program that does not hang in the kernel is gone within this time.
_KILLED_WITHIN_S = 0.5


def printed_by(command: Sequence[str], timeout_s: float = PROGRAM_TIMEOUT_S) -> str | None:
    """Return what a program prints.

    Return None where the program is not on the path, fails, or takes more than ``timeout_s`` seconds.
    """
    try:
        return printed_in_time(command, timeout_s)
    except subprocess.TimeoutExpired:
        return None


def printed_in_time(command: Sequence[str], timeout_s: float) -> str | None:
    """Return what a program prints; None where the program is not on the path, or fails.

    Raises ``subprocess.TimeoutExpired`` for a program that takes more than ``timeout_s`` seconds. The program is killed and not waited
    for: the kernel ends no process that hangs in a driver.
    """
    if shutil.which(command[0]) is None:
        return None
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", errors="replace"
        )
    except OSError:
        return None
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except BaseException:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_WITHIN_S)
        if process.stdout is not None:
            process.stdout.close()
        raise
    return printed if process.returncode == 0 else None


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def threads() -> int:
    """Return how many threads this process can run at once: one a core, and no more than a quota leaves."""
    quota = cgroups.cores()
    return usable_cores() if quota is None else max(1, min(usable_cores(), int(quota)))


def cpu_model(cpuinfo: str = "/proc/cpuinfo") -> str | None:
    """Return the processor's product name."""
    for line in (read_text(cpuinfo) or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or None


def governor(path: str = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") -> str | None:
    """Return the policy by which the kernel sets the clock of core 0, for example ``performance``."""
    return read_text(path)


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def memory_bytes(key: str, meminfo: str = "/proc/meminfo") -> int | None:
    """Return one line of /proc/meminfo in bytes, for example ``MemTotal``."""
    for line in (read_text(meminfo) or "").splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    return None


def available_memory_bytes() -> int:
    """Return how many bytes new processes may take: the smaller of the kernel's count and the control group's limit."""
    limits = [limit for limit in (memory_bytes("MemAvailable"), cgroups.free_bytes()) if limit is not None]
    return min(limits)


def peak_rss_bytes() -> int:
    """Return the largest resident size that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def major_faults() -> int:
    """Return how often this process has waited for a page to come from disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def runnable_threads(loadavg: str = "/proc/loadavg", samples: int = 5, interval_s: float = 0.05) -> int | None:
    """Return how many other threads of the whole host want a core: the median of ``samples`` readings."""
    counts = []
    for _ in range(samples):
        fields = (read_text(loadavg) or "").split()
        if len(fields) < 4 or not fields[3].partition("/")[0].isdigit():
            return None
        counts.append(max(0, int(fields[3].partition("/")[0]) - 1))
        time.sleep(interval_s)
    return statistics.median_low(counts)


def numa_nodes(cores: set[int] | None = None, folder: str = "/sys/devices/system/node") -> list[int] | None:
    """Return the sorted memory nodes of ``cores``; None where the kernel names none.

    Without ``cores`` the cores are those that this process may run on.
    """
    cores = os.sched_getaffinity(0) if cores is None else cores
    nodes = []
    for path in glob.glob(os.path.join(folder, "node[0-9]*")):
        if cores & _ranges(read_text(os.path.join(path, "cpulist")) or ""):
            nodes.append(int(os.path.basename(path)[len("node") :]))
    return sorted(nodes) or None


def _ranges(text: str) -> set[int]:
    """Return the numbers that a kernel list such as 0-3,8 stands for."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


class NoiseCounters(NamedTuple):
    """The kernel's counters of what disturbs a measurement, since the host started.

    None where this host does not count.
    """

    # Microseconds in which at least one thread waited for a core. Source: the kernel's accounting/psi.
    cpu_stalled_us: int | None
    throttled_periods: int | None
    swapped_pages: int | None
    oom_kills: int | None


def noise_counters(proc: str = cgroups.PROC, cgroup: str = cgroups.ROOT) -> NoiseCounters:
    """Return the counters as they stand now. ``noise_between`` takes two readings."""
    vmstat = read_text(os.path.join(proc, "vmstat"))
    return NoiseCounters(
        cpu_stalled_us=_number_after("some", "total=", read_text(os.path.join(proc, "pressure", "cpu"))),
        throttled_periods=cgroups.throttled_periods(cgroup, proc),
        swapped_pages=_number_after("pswpout", " ", vmstat),
        oom_kills=_number_after("oom_kill", " ", vmstat),
    )


def noise_between(before: NoiseCounters, after: NoiseCounters, elapsed_s: float) -> HostNoise:
    """Return what the host did in the ``elapsed_s`` seconds between two readings of its counters."""
    stalled_us = _difference(before.cpu_stalled_us, after.cpu_stalled_us)
    return {
        "cpu_pressure": None if stalled_us is None else stalled_us / 1e6 / elapsed_s,
        "throttled_periods": _difference(before.throttled_periods, after.throttled_periods),
        "swapped_pages": _difference(before.swapped_pages, after.swapped_pages),
        "oom_kills": _difference(before.oom_kills, after.oom_kills),
    }


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _number_after(line_start: str, mark: str, text: str | None) -> int | None:
    """Return the number behind ``mark`` on the line whose first word is ``line_start``; None without such a line."""
    for line in (text or "").splitlines():
        if line.split(" ", 1)[0] == line_start and mark in line:
            return int(line.split(mark, 1)[1].split()[0])
    return None
