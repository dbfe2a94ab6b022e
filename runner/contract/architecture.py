"""The exact shape of a BLOOM: parameters, bytes, and how tensor parallelism splits them.

Formula and published totals: bigscience/bloom holds 176,247,271,424 parameters and 352,494,542,848 bytes at 16 bit,
as its safetensors index says (huggingface_hub and huggingface.js assert both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Mapping, NamedTuple, Tuple

from runner.contract.fields import Fields
from runner.contract.words import Precision

BYTES_PER_ELEMENT: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "float16": 2}

# The names that published configurations have for each size, newer names first; the first is the size's name here.
CONFIG_NAMES = (
    ("vocab_size",),
    ("hidden_size", "n_embed"),
    ("n_layer", "num_hidden_layers"),
    ("n_head", "num_attention_heads"),
)

# The extents of a tensor, one a dimension.
Dimensions = Tuple[int, ...]


class Parameter(NamedTuple):
    """One parameter of a checkpoint, by its name there.

    ``split`` is the dimension that tensor parallelism cuts into equal parts, None for a parameter that every rank holds whole.
    """

    name: str
    shape: Dimensions
    split: int | None


@dataclass(frozen=True)
class Architecture:
    """Sizes of one BLOOM. The LM head is tied to the word embeddings and counted once."""

    vocab_size: int
    hidden_size: int
    n_layer: int
    n_head: int

    def parameters(self) -> Iterator[Parameter]:
        """Yield every ``Parameter`` in checkpoint order; names are those of transformers' ``BloomForCausalLM``."""
        h = self.hidden_size
        yield Parameter("transformer.word_embeddings.weight", (self.vocab_size, h), None)
        yield from _norm("transformer.word_embeddings_layernorm", h)
        for layer in range(self.n_layer):
            block = f"transformer.h.{layer}"
            yield from _norm(f"{block}.input_layernorm", h)
            # rows are ordered head, then query/key/value, so that equal cuts of the rows keep heads whole
            yield from _linear(f"{block}.self_attention.query_key_value", 3 * h, h, split=0)
            yield from _linear(f"{block}.self_attention.dense", h, h, split=1)
            yield from _norm(f"{block}.post_attention_layernorm", h)
            yield from _linear(f"{block}.mlp.dense_h_to_4h", 4 * h, h, split=0)
            yield from _linear(f"{block}.mlp.dense_4h_to_h", h, 4 * h, split=1)
        yield from _norm("transformer.ln_f", h)

    def head_shard(self) -> Parameter:
        """Return the LM head as DeepSpeed holds it on more than one rank: a copy of the embeddings cut along its inputs."""
        return Parameter("lm_head.weight", (self.vocab_size, self.hidden_size), 1)

    def parameter_count(self) -> int:
        """Return the number of elements of all parameters."""
        return sum(_size(parameter.shape) for parameter in self.parameters())

    def weight_bytes(self, precision: Precision) -> int:
        """Return the bytes of all weights in a precision."""
        return self.parameter_count() * BYTES_PER_ELEMENT[precision]

    def weight_bytes_per_rank(self, precision: Precision, ranks: int, head_cut: bool = True) -> int:
        """Return the bytes of weights that each of ``ranks`` devices holds: its shards, and every parameter that is not split.

        DeepSpeed's automatic tensor parallelism cuts the LM head; under an injection policy it stays tied and whole.
        """
        held = list(self.parameters()) + ([self.head_shard()] if ranks > 1 and head_cut else [])
        elements = sum(_size(shard_shape(parameter, ranks)) for parameter in held)
        return elements * BYTES_PER_ELEMENT[precision]

    def kv_cache_bytes(self, precision: Precision, batch_size: int, positions: int) -> int:
        """Return the bytes of keys and values of the whole model for ``positions`` tokens in each row."""
        return 2 * self.n_layer * self.hidden_size * batch_size * positions * BYTES_PER_ELEMENT[precision]

    def is_told_by(self, config: Mapping[str, object]) -> bool:
        """Return whether the configuration of a published model, its config.json, has these sizes."""
        return all(
            next((config[name] for name in names if config.get(name) is not None), None) == getattr(self, names[0])
            for names in CONFIG_NAMES
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> Architecture:
        """Read the four sizes. Raises the error of ``fields`` where the heads do not divide the hidden size."""
        names = ("vocab_size", "hidden_size", "n_layer", "n_head")
        sizes = cls(*(fields.count(name, least=1) for name in names))
        fields.done()
        if sizes.hidden_size % sizes.n_head:
            raise fields.error(
                f"{fields.where}: hidden_size {sizes.hidden_size} is no multiple of n_head {sizes.n_head}."
            )
        return sizes


def shard_shape(parameter: Parameter, ranks: int) -> Dimensions:
    """Return the shape that one of ``ranks`` equal shards of a parameter has."""
    if parameter.split is None or ranks == 1:
        return parameter.shape
    return tuple(size // ranks if axis == parameter.split else size for axis, size in enumerate(parameter.shape))


def _norm(name: str, size: int) -> list[Parameter]:
    return [Parameter(f"{name}.weight", (size,), None), Parameter(f"{name}.bias", (size,), None)]


def _linear(name: str, rows: int, columns: int, split: int) -> list[Parameter]:
    # a bias behind an all-reduce is added once, by every rank in full
    bias_split = 0 if split == 0 else None
    return [Parameter(f"{name}.weight", (rows, columns), split), Parameter(f"{name}.bias", (rows,), bias_split)]


def _size(shape: Dimensions) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size
