"""The parts of the ranks, which together are the whole of every parameter."""

from __future__ import annotations

import itertools

import pytest

from runner.bench.inputs.sharding import Shard
from runner.contract.architecture import Parameter
from tests.support import samples

PARAMETERS = [*samples.TINY.parameters(), samples.TINY.head_shard()]


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_the_parts_of_all_ranks_are_the_whole_and_never_overlap(parameter: Parameter, ranks: int) -> None:
    for rank in range(ranks):
        shard = Shard(rank, ranks)
        slices = shard.slices(parameter)
        assert tuple(part.stop - part.start for part in slices) == shard.shape(parameter)
        assert [part.start for part in slices] == shard.starts(parameter)
    for axis, size in enumerate(parameter.shape):
        parts = [Shard(rank, ranks).slices(parameter)[axis] for rank in range(ranks)]
        if axis == parameter.split:
            assert list(itertools.chain(*(range(part.start, part.stop) for part in parts))) == list(range(size))
        else:
            assert parts == [slice(0, size)] * ranks
