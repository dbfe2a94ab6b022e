"""The device's random numbers, which are the CPU generator's here."""

from __future__ import annotations

import torch
from habana_frameworks import trace as _trace


def manual_seed_all(seed: int) -> None:
    _trace.note("seed", value=seed)
    torch.manual_seed(seed)


def get_rng_state() -> torch.Tensor:
    return torch.get_rng_state()


def set_rng_state(state: torch.Tensor) -> None:
    torch.set_rng_state(state)
