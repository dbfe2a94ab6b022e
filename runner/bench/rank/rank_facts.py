"""The facts that a rank knows once it has measured: the conditions that were really so, and the facts of its device and host."""

from __future__ import annotations

import os
from typing import Sequence

from runner.bench.devices import Device
from runner.bench.devices.observation import Observation
from runner.bench.engines import Loaded
from runner.bench.facts import environment
from runner.bench.facts import host as hostfacts
from runner.bench.rank import device_log, model
from runner.bench.rank.window import Window
from runner.contract import strictjson
from runner.contract.records import Conditions, DeviceClock, Rank, SynchronisationControl, Watched


def conditions(loaded: Loaded, device_module: Device, ranks: int) -> Conditions:
    """Return what was really so, in the words of the request and of the claims."""
    return {
        "device": loaded.device.type,
        "emulated": device_module.emulated,
        "devices": ranks,
        "engine": loaded.engine_name,
        "precision": model.observed_precision(loaded),
        "kv_cache": bool(loaded.model.config.use_cache),
        "end_of_text": "ignore" if loaded.model.generation_config.eos_token_id is None else "stop",
        # An engine that ignores an end of text says so in its own conditions.
        **loaded.engine.conditions(loaded.model),
    }


def watched(
    device_module: Device,
    opened: Observation,
    after_load: Observation,
    window: Window,
    residual_s: float,
    control: SynchronisationControl | None,
    device_clock: DeviceClock | None,
) -> Watched:
    """Return what device and host told while the rank ran; None where they cannot tell."""
    return {
        **device_log.summary(opened, after_load, window.before, window.after),
        "residual_s": residual_s,
        "control": control,
        "device_clock": device_clock,
        "major_faults": window.major_faults,
        "energy_j": window.energy_j,
        "device_node": device_module.numa_node(),
        "cpu_nodes": hostfacts.numa_nodes(),
    }


def of_rank(rank: int, device_module: Device, loaded: Loaded, watched: Watched, tokens: str | Sequence[str]) -> Rank:
    """Return the facts of one rank; ``tokens`` are the hashes of its outputs, which all ranks must agree on."""
    parameter_bytes, parameters_on = model.parameter_bytes(loaded)
    return {
        "rank": rank,
        "host": os.uname().nodename,
        "device": device_module.describe(),
        "variables": environment.variables(os.environ),
        "watched": watched,
        "parameter_bytes": parameter_bytes,
        "parameters_on": parameters_on,
        "device_peak_memory_bytes": device_module.peak_memory_bytes(),
        "host_peak_rss_bytes": hostfacts.peak_rss_bytes(),
        "tokens_sha256": strictjson.sha256_of(tokens),
    }
