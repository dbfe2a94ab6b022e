"""Read the small text files in which the kernel and the system describe themselves."""

from __future__ import annotations

from runner.contract.files import open_regular

# The kernel's largest file of this kind (/proc/vmstat, /proc/self/cgroup) holds a few kilobytes.
MAX_BYTES = 1 << 20


def read_text(path: str) -> str | None:
    """Return a file's first ``MAX_BYTES`` bytes as stripped text; None if it cannot be read, or is no regular file."""
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES).decode("utf-8", errors="replace").strip()
    except OSError:
        return None
