"""The raw data that rank 0 writes for the parent: the part of a launch's record that only the ranks know."""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

from runner.bench.rank.window import Window
from runner.contract.records import (
    Conditions,
    DatasetPass,
    DeviceClock,
    HostClock,
    HostNoise,
    InstrumentedPass,
    LoadedWeights,
    Operators,
    Rank,
    SynchronisationControl,
    TimedPass,
    Tokens,
)


class RawLaunch(TypedDict, total=False):
    """Keys of ``records.Launch``. A dataset's launch has ``dataset``; every other has the passes and the tokens instead."""

    load_s: float
    weights: LoadedWeights
    generation: dict[str, Any]
    cannot_tell: dict[str, str]
    untimed_s: list[float]
    timed: TimedPass
    instrumented: InstrumentedPass
    tokens: Tokens
    dataset: DatasetPass
    clock: HostClock
    host_noise: HostNoise
    conditions: Conditions
    ranks: list[Rank]
    operators: Operators | None


class Latency(NamedTuple):
    """The measurements of a rank on a latency workload."""

    untimed_s: list[float]
    timed: TimedPass
    instrumented: InstrumentedPass
    tokens: Tokens
    # Whether keys and values were cached; None where no call was instrumented.
    kv_cached: bool | None
    window: Window
    # Seconds that the device still worked after the timed calls.
    residual_s: float
    control: SynchronisationControl | None
    device_clock: DeviceClock | None
