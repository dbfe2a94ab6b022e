"""The part of a model that one rank holds under tensor parallelism."""

from __future__ import annotations

from dataclasses import dataclass

from runner.contract.architecture import Parameter, shard_shape


@dataclass(frozen=True)
class Shard:
    """The part that rank ``rank`` of ``ranks`` holds of every parameter: one of equal parts, or the whole of an uncut one."""

    rank: int
    ranks: int

    def shape(self, parameter: Parameter) -> tuple[int, ...]:
        """Return the shape of this part of a parameter."""
        return tuple(shard_shape(parameter, self.ranks))

    def starts(self, parameter: Parameter) -> list[int]:
        """Return for each axis the index in the whole parameter at which this part begins."""
        return [
            self.rank * size if parameter.split == axis and self.ranks > 1 else 0
            for axis, size in enumerate(self.shape(parameter))
        ]

    def slices(self, parameter: Parameter) -> tuple[slice, ...]:
        """Return for each axis the slice of the whole parameter that is this part."""
        return tuple(slice(start, start + size) for start, size in zip(self.starts(parameter), self.shape(parameter)))
