"""One accelerator that a driver lists on this host, and which of them the variables of a vendor's software leave visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Present:
    """One accelerator, by its driver's words; None for what the driver does not tell.

    ``index`` is the driver's number, ``module`` the number of a Gaudi's place on its board. ``processes`` counts the processes on it,
    ``firmware`` is what a Gaudi booted.
    """

    index: int
    name: str
    memory_bytes: int | None
    driver: str | None
    bus_id: str | None
    processes: int | None
    uuid: str | None = None
    module: int | None = None
    firmware: str | None = None


def visible_to_cuda(devices: Sequence[Present], environment: Mapping[str, str]) -> list[Present]:
    """Return the devices that CUDA_VISIBLE_DEVICES leaves, in its order: numbers, or beginnings of UUIDs.

    As CUDA does, the first entry that names no device ends the list. CUDA numbers GPUs and never their slices, which have UUIDs alone.
    Source: CUDA C++ Programming Guide, chapter "CUDA Environment Variables"; NVIDIA Multi-Instance GPU User Guide.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(devices)
    kept: list[Present] = []
    for entry in (part.strip() for part in listed.split(",")):
        named = [device for device in devices if _names(entry, device)]
        # One number of a GPU with slices names all its slices, and a process gets the first.
        if not named or named[0] in kept:
            break
        kept.append(named[0])
    return kept


def _names(entry: str, device: Present) -> bool:
    if entry.isdigit():
        return int(entry) == device.index
    return device.uuid is not None and len(entry) > len("GPU-") and device.uuid.startswith(entry)


def visible_to_habana(devices: Sequence[Present], environment: Mapping[str, str]) -> list[Present]:
    """Return the devices that Gaudi's variables leave: HABANA_VISIBLE_MODULES names modules, HABANA_VISIBLE_DEVICES numbers or all.

    The container runtime reads HABANA_VISIBLE_DEVICES too: a container that shows no more devices than it names shows the right ones.
    Source: docs.habana.ai, "Multiple Workloads on a Single Node" and the variables of the container runtime.
    """
    left = list(devices)
    numbers: tuple[tuple[str, Callable[[Present], int | None]], ...] = (
        ("HABANA_VISIBLE_MODULES", lambda device: device.module),
        ("HABANA_VISIBLE_DEVICES", lambda device: device.index),
    )
    for variable, number in numbers:
        listed = environment.get(variable, "all").strip().lower()
        wanted = {int(part) for part in listed.split(",") if part.strip().isdigit()}
        if listed != "all" and len(left) > len(wanted):
            left = [device for device in left if number(device) in wanted]
    return left
