"""Dummy weights: numbers made from a seed, the same on every device, under every version of torch and on any number of ranks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Callable, Mapping

from runner.bench.inputs.sharding import Shard
from runner.contract.architecture import Parameter
from runner.contract.records import LoadedWeights

if TYPE_CHECKING:
    import torch

# 2 MiB of int64 scratch, which fits the second-level cache of a core.
BLOCK_ELEMENTS = 1 << 18

# SplitMix64 (Steele, Lea, Flood 2014): the golden-ratio step and the two mixing multipliers, as signed 64-bit numbers.
_STEP, _MIX_1, _MIX_2 = (value - (1 << 64) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class DummyWeights:
    """Seeded weights: every element is a pure function of the seed, the parameter's name and the element's place.

    Only integer operations and one float32 multiplication are used, so that the numbers are the same everywhere. The values are
    uniform with standard deviation ``std``; layer norms are the identity, as in a fresh model. At the usual ``std`` of 0.02 a tied
    BLOOM only echoes its last prompt token; at 0.3 the tokens depend on the seed.

    ``on_host`` makes the numbers on the host, for a device that does not compute with 64-bit integers.
    """

    def __init__(self, seed: int, std: float, on_host: bool = False) -> None:
        self.seed, self.std, self.on_host = seed, std, on_host

    def fill(
        self,
        parameters: Mapping[str, Parameter],
        targets: Mapping[str, torch.Tensor],
        shard: Shard,
        filled: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Fill every target; see ``weights.Source``."""
        for name, target in targets.items():
            if "layernorm" in name or ".ln_f." in name:
                target.fill_(1.0 if name.endswith(".weight") else 0.0)
            else:
                self._fill_shard(parameters[name], target, shard)
            filled(name)

    def _fill_shard(self, parameter: Parameter, target: torch.Tensor, shard: Shard) -> None:
        shape, starts = shard.shape(parameter), shard.starts(parameter)
        if len(shape) == 1:
            # A bias is a matrix of one column.
            target, shape, starts, row_length = target.unsqueeze(1), (shape[0], 1), [starts[0], 0], 1
        else:
            row_length = parameter.shape[1]
        tied = "transformer.word_embeddings.weight" if parameter.name == "lm_head.weight" else parameter.name
        key = _key(self.seed, tied)
        rows_per_block = max(1, BLOCK_ELEMENTS // shape[1])
        device = "cpu" if self.on_host else target.device
        for row in range(0, shape[0], rows_per_block):
            rows = min(rows_per_block, shape[0] - row)
            block = _uniform(key, starts[0] + row, rows, row_length, starts[1], shape[1], self.std, device)
            target[row : row + rows].copy_(block)

    def describe(self) -> LoadedWeights:
        """Return the seed and the spread."""
        return {"kind": "dummy", "seed": self.seed, "std": self.std, "revision": None, "format": None, "files": []}


def _key(seed: int, name: str) -> int:
    """Return the signed 64-bit number at which the counter of a parameter starts."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def _uniform(
    key: int,
    first_row: int,
    rows: int,
    row_length: int,
    first_column: int,
    columns: int,
    std: float,
    device: str | torch.device,
) -> torch.Tensor:
    """Return float32 [rows, columns] of a block that begins at ``first_row``, ``first_column`` of rows of ``row_length`` elements.

    Each number is SplitMix64 of its element's place, of which the upper 24 bits become a symmetric uniform number.
    """
    import torch

    row = torch.arange(first_row, first_row + rows, dtype=torch.int64, device=device).mul_(row_length).unsqueeze_(1)
    column = torch.arange(first_column, first_column + columns, dtype=torch.int64, device=device).unsqueeze_(0)
    z = (row + column).mul_(_STEP).add_(key)
    z.bitwise_xor_(_shift_right(z, 30)).mul_(_MIX_1)
    z.bitwise_xor_(_shift_right(z, 27)).mul_(_MIX_2)
    z.bitwise_xor_(_shift_right(z, 31))
    # Odd numbers in (-2**24, 2**24) are exact in float32.
    odd = _shift_right(z, 40).mul_(2).add_(1 - (1 << 24))
    return odd.to(torch.float32).mul_(std * 3**0.5 / (1 << 24))


def _shift_right(z: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift as unsigned: torch shifts int64 with its sign."""
    return z.bitwise_right_shift(bits).bitwise_and_((1 << (64 - bits)) - 1)
