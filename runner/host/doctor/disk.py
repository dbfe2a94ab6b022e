"""Room on disks: for the images in the storage of a container program, and for the weights in the hub cache."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from runner.contract.records import JsonObject
from runner.host import paths
from runner.host.doctor import needs as of_cases
from runner.host.doctor.findings import Answer, ready, untold, warning
from runner.host.doctor.needs import Need, gigabytes


def built_image(stack: str, folder: Path = paths.BUILD) -> JsonObject | None:
    """Return what the last build of a stack's image here wrote about it, None where there was none, or nothing readable."""
    try:
        written = json.loads((folder / "images" / stack / "image.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return written if isinstance(written, dict) else None


def for_images(needs: Sequence[Need], storage: str, folder: Path = paths.BUILD) -> Answer:
    """Say whether the storage of a container program has room for the images of the stacks, as far as their sizes are known."""
    stacks = of_cases.stacks(needs)
    sizes = {name: (built_image(name, folder) or {}).get("bytes") for name in stacks}
    known = {name: size for name, size in sizes.items() if isinstance(size, int)}
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
