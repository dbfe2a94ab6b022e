"""Accelerators as the verb ``devices`` tells of them. For tests."""

from __future__ import annotations

from collections.abc import Sequence

from runner.contract.found_devices import DeviceFound


def gpus(
    count: int, name: str | None, memory_bytes: int | None = 80 * 10**9, busy: Sequence[int] = ()
) -> list[DeviceFound]:
    """Return GPUs of one product; ``busy`` are the numbers of those that another process computes on."""
    return [
        DeviceFound(index, name, None, "cuda", memory_bytes, "580.1", None, int(index in busy), "nvidia-smi")
        for index in range(count)
    ]


def gaudis(count: int, name: str = "HL-225") -> list[DeviceFound]:
    """Return Gaudis of one product."""
    return [DeviceFound(index, name, None, "hpu", None, "1.10.0", None, None, "hl-smi") for index in range(count)]
