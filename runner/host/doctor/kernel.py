"""This host as the kernel describes it: huge pages, memory, shared memory, limits of a process, clock and governor.

Every function reads below folders that its caller may name, so that tests can plant files.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Sequence
from pathlib import Path

from runner.host.doctor.findings import Answer, Look, not_ready, ready, untold, warning
from runner.host.doctor.needs import Need, gigabytes, most_bytes

PROC = Path("/proc")
SYS = Path("/sys")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (it is asked how large it is)
# The size that the profiles count in, and the kernel's folder for the pages of this size.
_HUGEPAGE_BYTES = 2 * 1024**2
_HUGEPAGES = Path("kernel", "mm", "hugepages", "hugepages-2048kB")
# Of adjtimex(2): the state in which the clock is not synchronised.
_TIME_ERROR = 5
# A soft limit of open files below this is less than what login sessions and containers have by default.
LEAST_OPEN_FILES = 1024
# Eight ranks with the threads of torch on a host of 96 cores are about a thousand; twice that.
LEAST_PROCESSES = 2048


def looks(needs: Sequence[Need]) -> list[Look]:
    """Return the looks at the kernel of this host for some cases."""
    return [
        Look("host", "memory", lambda: memory(needs)),
        Look("host", "huge pages", lambda: hugepages(needs)),
        Look("host", "shared memory", lambda: shared_memory(needs)),
        Look("host", "open files", open_files),
        Look("host", "processes", processes),
        Look("host", "locked memory", lambda: locked_memory(needs)),
        Look("host", "clock", clock),
        Look("host", "CPU governor", governor),
    ]


def memory(needs: Sequence[Need], proc: Path = PROC) -> Answer:
    """Say whether the host has the memory that a pod of the cases would ask for."""
    available = _of_meminfo("MemAvailable", proc)
    wanted = most_bytes(need.profile.memory for need in needs if need.profile)
    if available is None:
        return untold("The kernel does not say how much memory is available.", f"Look into {proc / 'meminfo'}.")
    found = f"{gigabytes(available)} are available; a pod of the cases asks for {gigabytes(wanted)}"
    if available < wanted:
        return warning(
            f"{found}.", "End what else runs here. A model that does not fit is refused before it is loaded."
        )
    return ready(f"{found}.")


def hugepages(needs: Sequence[Need], proc: Path = PROC, sys: Path = SYS) -> Answer:
    """Say whether the free huge pages are those that a pod of the cases would ask for.

    In a cluster a pod waits for ever for pages that a node lacks; see ``nodes``. Without a cluster nothing refuses: no source says how
    many pages the Gaudi software takes, so fewer are a warning.
    """
    wanted = most_bytes(need.profile.hugepages for need in needs if need.profile)
    if not wanted:
        return ready("The cases ask for none.")
    pages = -(-int(wanted) // _HUGEPAGE_BYTES)
    free = _number(sys / _HUGEPAGES / "free_hugepages")
    if free is None and _of_meminfo("Hugepagesize", proc) == _HUGEPAGE_BYTES:
        free = _count_of_meminfo("HugePages_Free", proc)
    remedy = f"`sysctl -w vm.nr_hugepages={pages}` as root, and the same in /etc/sysctl.d to keep it."
    if free is None:
        return untold("The kernel does not say how many huge pages of 2 MiB are free.", remedy)
    found = f"{free} of 2 MiB are free; a pod of the cases asks for {pages}"
    return ready(f"{found}.") if free >= pages else warning(f"{found}.", remedy)


def shared_memory(needs: Sequence[Need], folder: Path = SHARED_MEMORY) -> Answer:
    """Say whether /dev/shm is as large as in a pod. Too little of it ends BLOOM on eight devices with SIGBUS.

    Source: huggingface/transformers-bloom-inference#16.
    """
    wanted = most_bytes(need.profile.shm for need in needs if need.profile)
    try:
        status = os.statvfs(folder)
    except OSError as problem:
        return untold(f"{folder} cannot be looked at: {problem.strerror}.", f"Mount a tmpfs at {folder}.")
    free = status.f_bavail * status.f_frsize
    found = f"{gigabytes(free)} are free in {folder}; a pod of the cases has {gigabytes(wanted)}"
    if free < wanted:
        return not_ready(
            f"{found}.",
            f"`mount -o remount,size={int(wanted)} {folder}` as root; in a container of yours, give it --shm-size.",
        )
    return ready(f"{found}.")


def open_files() -> Answer:
    """Say whether a process may open as many files as ranks and their sockets take."""
    return _limit(resource.RLIMIT_NOFILE, LEAST_OPEN_FILES, "open files", "-n")


def processes() -> Answer:
    """Say whether this user may start as many processes and threads as the ranks take."""
    return _limit(resource.RLIMIT_NPROC, LEAST_PROCESSES, "processes and threads of this user", "-u")


def locked_memory(needs: Sequence[Need]) -> Answer:
    """Say whether a process may lock memory, as the collectives of several GPUs do.

    NCCL takes pinned host memory, and its troubleshooting page starts containers with ``--ulimit memlock=-1``.
    """
    several = any(need.case.devices > 1 and not need.accelerator.in_request.is_the_host for need in needs)
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    found = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,} bytes"
    if several and soft != resource.RLIM_INFINITY:
        return warning(
            f"A process may lock {found}; collectives of several devices pin memory.",
            "`ulimit -l unlimited`, or memlock in /etc/security/limits.conf; in a container, --ulimit memlock=-1.",
        )
    return ready(f"A process may lock {found}.")


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and room for the rest of it."""

    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_char * 508))


def clock(state: int | None = None) -> Answer:
    """Say whether the kernel's clock is synchronised; ``state`` is what adjtimex(2) returned, if a test knows it.

    A launch is timed by a clock that nobody sets. The clock of the day stands in results, and certificates and tokens depend on it.
    """
    if state is None:
        state = _adjtimex()
    if state < 0:
        return untold(
            "The kernel does not say whether the clock is synchronised.",
            "`timedatectl` or `chronyc tracking` may tell.",
        )
    if state == _TIME_ERROR:
        return warning(
            "The kernel says that the clock is not synchronised.",
            "Start chronyd or systemd-timesyncd; `timedatectl` shows which there is.",
        )
    return ready("The kernel says that the clock is synchronised.")


def _adjtimex() -> int:
    """Return the state of the clock, -1 where the call is not allowed or not there. With no modes set, nothing is changed."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.byref(_Timex())))
    except (AttributeError, OSError):
        return -1


def governor(sys: Path = SYS) -> Answer:
    """Say whether the cores keep their clock up."""
    files = sys.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    words = sorted({word for file in files if (word := _text(file))})
    if not words:
        return untold(
            "The kernel does not say by which policy the cores are clocked.", "In a virtual machine its host decides."
        )
    if words != ["performance"]:
        return warning(
            f"The cores are clocked by the policy {', '.join(words)}.",
            "`cpupower frequency-set -g performance` as root keeps their clock up.",
        )
    return ready("The cores are clocked by the policy performance.")


def _limit(kind: int, least: int, what: str, flag: str) -> Answer:
    soft, hard = resource.getrlimit(kind)
    if soft != resource.RLIM_INFINITY and soft < least:
        most = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        return warning(
            f"The limit is {soft:,} {what}, and may be raised to {most}.",
            f"`ulimit {flag} {least}` before you measure, or raise it in /etc/security/limits.conf.",
        )
    return ready(f"The limit is {'unlimited' if soft == resource.RLIM_INFINITY else f'{soft:,}'} {what}.")


def _of_meminfo(key: str, proc: Path) -> int | None:
    """Return a line of meminfo in bytes, None where the kernel does not have the line."""
    kibibytes = _count_of_meminfo(key, proc)
    return None if kibibytes is None else kibibytes * 1024


def _count_of_meminfo(key: str, proc: Path) -> int | None:
    for line in (_text(proc / "meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == key and words and words[0].isdigit():
            return int(words[0])
    return None


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text is not None and text.isdigit() else None


def _text(file: Path) -> str | None:
    """Return the text of a small file of the kernel, None where there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
