from __future__ import annotations

import pytest

from runner.contract.architecture import Architecture, shard_shape
from runner.contract.errors import InputError
from runner.contract.fields import Fields

BLOOM = Architecture(250880, 14336, 70, 112)
BLOOM_7B1 = Architecture(250880, 4096, 30, 32)
BLOOM_560M = Architecture(250880, 1024, 24, 16)


@pytest.mark.parametrize(
    "architecture, parameters",
    [(BLOOM, 176_247_271_424), (BLOOM_7B1, 7_069_016_064), (BLOOM_560M, 559_214_592)],
)
def test_parameters_are_exactly_those_published(architecture: Architecture, parameters: int) -> None:
    assert architecture.parameter_count() == parameters
    assert architecture.weight_bytes("bfloat16") == 2 * parameters
    assert architecture.weight_bytes("float32") == 4 * parameters


def test_bytes_of_bloom_are_those_of_its_safetensors_index() -> None:
    assert BLOOM.weight_bytes("float16") == 352_494_542_848


def test_one_layer_and_the_cache_have_the_sizes_that_the_checkpoint_has() -> None:
    layer = [parameter for parameter in BLOOM.parameters() if parameter.name.startswith("transformer.h.0.")]
    sizes = [parameter.shape[0] * (parameter.shape[1] if len(parameter.shape) == 2 else 1) for parameter in layer]
    assert sum(sizes) == 2_466_437_120
    assert BLOOM.kv_cache_bytes("bfloat16", 1, 1) == 4_014_080
    assert BLOOM_7B1.kv_cache_bytes("bfloat16", 1, 107) == 52_592_640


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_shards_of_all_ranks_add_up(ranks: int) -> None:
    for parameter in [*BLOOM_7B1.parameters(), BLOOM_7B1.head_shard()]:
        shard = shard_shape(parameter, ranks)
        if parameter.split is None:
            assert shard == parameter.shape
        else:
            assert shard[parameter.split] * ranks == parameter.shape[parameter.split]


def test_a_rank_holds_its_shards_the_whole_embedding_and_a_part_of_the_head() -> None:
    whole = BLOOM.weight_bytes("bfloat16")
    embedding = 250880 * 14336 * 2
    each = BLOOM.weight_bytes_per_rank("bfloat16", 8)
    assert BLOOM.weight_bytes_per_rank("bfloat16", 1) == whole
    assert (whole - embedding) / 8 + embedding < each < (whole - embedding) / 8 + embedding * 9 / 8 + 10**8


def test_sizes_that_cannot_be_a_bloom_are_refused() -> None:
    with pytest.raises(InputError, match=r"hidden_size 100 is no multiple of n_head 3"):
        Architecture.from_fields(Fields({"vocab_size": 5, "hidden_size": 100, "n_layer": 1, "n_head": 3}, "a row"))
    with pytest.raises(InputError, match="'n_layer' must be at least 1"):
        Architecture.from_fields(Fields({"vocab_size": 5, "hidden_size": 100, "n_layer": 0, "n_head": 1}, "a row"))


def test_a_head_that_is_not_cut_is_the_embedding_itself_and_costs_nothing() -> None:
    cut, tied = (BLOOM_7B1.weight_bytes_per_rank("bfloat16", 8, head_cut) for head_cut in (True, False))
    assert cut - tied == 250880 * 4096 // 8 * 2
    assert BLOOM_7B1.weight_bytes_per_rank("bfloat16", 1, False) == BLOOM_7B1.weight_bytes("bfloat16")
