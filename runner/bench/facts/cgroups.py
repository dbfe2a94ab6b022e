"""The limits of this process's control groups, of version 1 or 2, and how often a quota stopped the process.

A limit may stand on any group above the process's own: the groups of systemd's slices and of Slurm's steps are nested.
Sources: the kernel's admin-guide/cgroup-v2 and cgroup-v1/memory, scheduler/sched-bwc.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from runner.bench.facts.small_files import read_text

ROOT, PROC = "/sys/fs/cgroup", "/proc"

# Version 1 writes "no limit" as the largest page-aligned signed number.
_NO_LIMIT_BYTES = 2**62


class _MemoryFiles(NamedTuple):
    """The files of a memory group, and the key in memory.stat whose bytes the kernel can drop at once."""

    limit: str
    usage: str
    droppable_key: str


_MEMORY_FILES = (
    _MemoryFiles("memory.max", "memory.current", "inactive_file"),
    _MemoryFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def folders(controller: str, root: str = ROOT, proc: str = PROC) -> list[str]:
    """Return the folders of this process's groups for a controller, the innermost first, of both versions.

    A container may see its own part of the tree mounted at ``root``, under the names that the whole tree has. The
    container's own group is then the outermost one.
    """
    candidates = []
    for line in [*_text(os.path.join(proc, "self", "cgroup")).splitlines(), f"0:{controller}:/", "0::/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        hierarchies = (controllers, controller) if controllers else ("", "unified")
        parts = [part for part in path.split("/") if part]
        # Such a path names a group outside of the part that is mounted here.
        if ".." in parts:
            parts = []
        for hierarchy in hierarchies:
            for depth in range(len(parts), -1, -1):
                candidates.append(os.path.join(root, hierarchy, *parts[:depth]))
    return [folder for folder in dict.fromkeys(map(os.path.normpath, candidates)) if os.path.isdir(folder)]


def cores(root: str = ROOT, proc: str = PROC) -> float | None:
    """Return how many cores' time the smallest quota leaves this process; None where there is no quota."""
    quotas = []
    for folder in folders("cpu", root, proc):
        quota, period = [*_text(os.path.join(folder, "cpu.max")).split(), "", ""][:2]
        if not quota:
            quota = _text(os.path.join(folder, "cpu.cfs_quota_us"))
            period = _text(os.path.join(folder, "cpu.cfs_period_us"))
        # Version 2 writes "max" where there is no quota, version 1 writes -1.
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas) if quotas else None


def free_bytes(root: str = ROOT, proc: str = PROC) -> int | None:
    """Return how many bytes this process may still take below its smallest limit; None where there is no limit.

    Pages of files that the kernel can drop count as free, as the kubelet counts them. Otherwise weights that were read
    once would seem to leave no room to load them again.
    """
    free = []
    for folder in folders("memory", root, proc):
        for names in _MEMORY_FILES:
            limit, usage = (_text(os.path.join(folder, name)) for name in (names.limit, names.usage))
            if limit.isdigit() and usage.isdigit() and int(limit) < _NO_LIMIT_BYTES:
                droppable = _numbers(os.path.join(folder, "memory.stat")).get(names.droppable_key, 0)
                free.append(max(0, int(limit) - int(usage) + droppable))
    return min(free) if free else None


def throttled_periods(root: str = ROOT, proc: str = PROC) -> int | None:
    """Return in how many periods so far a quota stopped this process's groups; None where no group counts periods."""
    inodes: set[int] = set()
    total = None
    for folder in folders("cpu", root, proc):
        path = os.path.join(folder, "cpu.stat")
        try:
            inode = os.stat(path).st_ino
        except OSError:
            continue
        count = _numbers(path).get("nr_throttled")
        # The names cpu and cpu,cpuacct are links to one folder.
        if count is not None and inode not in inodes:
            inodes.add(inode)
            total = (total or 0) + count
    return total


def _numbers(path: str) -> dict[str, int]:
    """Return the lines ``name number`` of a file."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(path: str) -> str:
    """Return a small file's stripped text, empty where the file cannot be read."""
    return read_text(path) or ""
