"""Read the energy counters of the host's processors (RAPL), as the kernel shows them below /sys/class/powercap.

Source: the kernel's documentation, power/powercap/powercap.rst. Processors of Intel and AMD have zones ``intel-rapl:N``, one for each
package. The zones ``intel-rapl:N:M`` are parts of a package, and its counter holds them already. Guests have no zones, and on most kernels
root alone may read them.
"""

from __future__ import annotations

import glob
import os
import re

from runner.bench.facts.small_files import read_text

_PACKAGE = re.compile(r"intel-rapl:\d+")


def energy_j(folder: str = "/sys/class/powercap") -> float | None:
    """Return the joules of all packages of the host together; None where a package does not tell them, and where there is none.

    A counter begins anew after a quarter of a million joules or so: the sum is then less than an earlier one.
    """
    zones = [path for path in glob.glob(os.path.join(folder, "*")) if _PACKAGE.fullmatch(os.path.basename(path))]
    microjoules = [read_text(os.path.join(zone, "energy_uj")) for zone in zones]
    if not microjoules or not all(text is not None and text.isdigit() for text in microjoules):
        return None
    return sum(int(text) for text in microjoules if text) / 1e6
