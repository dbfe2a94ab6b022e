"""Room on disks: for the images in the storage of a container program, and for the weights in the hub cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runner.host.doctor import needs as of_cases
from runner.host.doctor.findings import Answer, ready, untold, warning
from runner.host.doctor.needs import Need, gigabytes
from runner.host.images import build


def for_images(needs: Sequence[Need], storage: str) -> Answer:
    """Say whether the storage of a container program has room for the images of the stacks, as far as their sizes are known."""
    stacks = of_cases.stacks(needs)
    known = {name: built.bytes for name in stacks if (built := build.earlier(name)) is not None}
    free = free_bytes(Path(storage))
    if free is None:
        return untold(f"{storage} cannot be looked at.", "Ask as the user whom the folder belongs to.")
    found = f"{gigabytes(free)} are free in {storage}"
    if known and sum(known.values()) > free:
        return warning(
            f"{found}; the images of {', '.join(known)} take {gigabytes(sum(known.values()))}, and one that is here needs no more.",
            "Remove images that nobody uses (`podman image prune`), or move the storage to another disk.",
        )
    if len(known) < len(stacks):
        unknown = ", ".join(name for name in stacks if name not in known)
        return untold(
            f"{found}; how large the image of {unknown} is, nobody knows before it is built or pulled.",
            f"`python -m runner image {unknown.split(', ')[0]}` builds it and says how large it is.",
        )
    return ready(f"{found}; the images take {gigabytes(sum(known.values()))}.")


def free_bytes(folder: Path) -> int | None:
    """Return the bytes that this user may still write in a folder, or in the nearest folder above that exists; None if none can be seen."""
    for place in (folder, *folder.parents):
        try:
            status = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return status.f_bavail * status.f_frsize
    return None
