"""The device's random numbers, which are the CPU generator's here."""

import torch
from habana_frameworks import trace as _trace


def manual_seed_all(seed):
    _trace.note("seed", value=seed)
    torch.manual_seed(seed)


def get_rng_state():
    return torch.get_rng_state()


def set_rng_state(state):
    torch.set_rng_state(state)
