"""The control groups that this process is in, of version 1 and 2: what they allow, and how often they held it back.

A limit may stand on any group above the process's own: systemd's slices, Slurm's steps and pods lie in one another.
Sources: the kernel's admin-guide/cgroup-v2 and cgroup-v1/memory, scheduler/sched-bwc.
"""

import os
from typing import Dict, List, Optional, Set

from runner.contract import files

ROOT, PROC = "/sys/fs/cgroup", "/proc"

# version 1 writes "no limit" as the largest page-aligned signed number
_NO_LIMIT = 2**62

# limit, use, and what of the use can be dropped at once; for version 2, then 1
_MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def folders(controller: str, root: str = ROOT, proc: str = PROC) -> List[str]:
    """Return the folders of this process's groups, the innermost first, of both versions.

    Where a container was given its own part of the tree under the names of the whole, its own is the outermost.
    """
    found = []
    for line in [*_text(os.path.join(proc, "self", "cgroup")).splitlines(), f"0:{controller}:/", "0::/"]:
        _, names, path = [*line.split(":", 2), "", ""][:3]
        if names and controller not in names.split(","):
            continue
        tops = (names, controller) if names else ("", "unified")
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # a group outside of what is mounted here
            parts = []
        for top in tops:
            for depth in range(len(parts), -1, -1):
                found.append(os.path.join(root, top, *parts[:depth]))
    return [folder for folder in dict.fromkeys(map(os.path.normpath, found)) if os.path.isdir(folder)]


def cores(root: str = ROOT, proc: str = PROC) -> Optional[float]:
    """Return how many cores' time the quotas leave this process, the least of all; None where there is no quota."""
    found = []
    for folder in folders("cpu", root, proc):
        quota, period = [*_text(os.path.join(folder, "cpu.max")).split(), "", ""][:2]
        if not quota:
            quota = _text(os.path.join(folder, "cpu.cfs_quota_us")).strip()
            period = _text(os.path.join(folder, "cpu.cfs_period_us")).strip()
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):  # no quota is "max", or -1
            found.append(int(quota) / int(period))
    return min(found) if found else None


def free_bytes(root: str = ROOT, proc: str = PROC) -> Optional[int]:
    """Return what this process may still take before a limit stops it, the least of all; None where there is no limit.

    Files that were read and can be dropped count as free, as the kubelet counts: else weights once read would seem to
    leave no room to load them again.
    """
    found = []
    for folder in folders("memory", root, proc):
        for limit_name, used_name, droppable_key in _MEMORY:
            limit, used = (_text(os.path.join(folder, name)).strip() for name in (limit_name, used_name))
            if limit.isdigit() and used.isdigit() and int(limit) < _NO_LIMIT:
                droppable = _numbers(os.path.join(folder, "memory.stat")).get(droppable_key, 0)
                found.append(max(0, int(limit) - int(used) + droppable))
    return min(found) if found else None


def throttled_periods(root: str = ROOT, proc: str = PROC) -> Optional[int]:
    """Return in how many periods so far a quota held this process's groups back; None where none is counted."""
    counts: Set[int] = set()
    total = None
    for folder in folders("cpu", root, proc):
        path = os.path.join(folder, "cpu.stat")
        try:
            inode = os.stat(path).st_ino
        except OSError:
            continue
        count = _numbers(path).get("nr_throttled")
        if count is not None and inode not in counts:  # cpu and cpu,cpuacct are one folder by two names
            counts.add(inode)
            total = (total or 0) + count
    return total


def _numbers(path: str) -> Dict[str, int]:
    """Return the lines ``name number`` of a file."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(path: str) -> str:
    try:
        with files.open_regular(path) as file:
            return file.read(1 << 20).decode("utf-8", errors="replace")
    except OSError:
        return ""
