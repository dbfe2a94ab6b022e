"""The files below /dev by which processes open accelerators. They are there without a vendor's tool, and name no product."""

from __future__ import annotations

import glob
import os
import re

from runner.bench.facts.small_files import read_text
from runner.contract.words import DeviceKind

# The kernel's folder accel holds the devices of several makers, such as the neural processors of laptops.
_HABANA = "0x1da3"


def count(device: DeviceKind, root: str = "/") -> int:
    """Return how many device files of a kind of accelerator are below ``root``; 0 for the CPU.

    The driver of Gaudi moved into the kernel's folder accel with Linux 6.3 (/dev/accel/accel0); older drivers make /dev/hl0.
    """
    if device == "cuda":
        return len(_numbered(root, "dev/nvidia"))
    if device == "hpu":
        return len(_numbered(root, "dev/hl")) + sum(
            read_text(os.path.join(root, "sys/class/accel", os.path.basename(path), "device/vendor")) == _HABANA
            for path in _numbered(root, "dev/accel/accel")
        )
    return 0


def _numbered(root: str, beginning: str) -> list[str]:
    """Return the paths that are ``beginning`` and a number: /dev/nvidia0, and not /dev/nvidiactl."""
    start = os.path.join(root, beginning)
    return [path for path in glob.glob(f"{glob.escape(start)}*") if re.fullmatch(r"[0-9]+", path[len(start) :])]
