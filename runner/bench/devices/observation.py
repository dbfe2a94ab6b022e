"""The record of one observation of a device."""

from __future__ import annotations

from typing import TypedDict


class Observation(TypedDict, total=False):
    """The facts that a device tells of itself at one moment. A key is absent, or None, where the device does not tell its value."""

    # Bytes of the device's memory that this process uses.
    memory_bytes: int | None
    # How many kernels, recipes or graphs this process has compiled or captured so far.
    compilations: int | None
    # How many files of compiled kernels or recipes lie in the caches on disk.
    cached_kernels: int | None
    # How often an operator ran on the CPU instead of on the device so far.
    fallbacks: int | None
    # The ids of other processes that compute on the device now.
    foreign_processes: list[int] | None
    # The reasons why the device holds its clock down now.
    throttle_reasons: list[str] | None
