"""BLOOM by unmodified transformers, with the kit's dummy weights: what every engine's tokens are held against."""

from __future__ import annotations

from typing import Any

from runner.bench.inputs import tokenizer, weights
from tests.support import samples


def plain_model(seed: int = 29) -> Any:
    """Return bloom-tiny of transformers itself, with dummy weights, in one process."""
    from transformers import BloomConfig, BloomForCausalLM

    sizes = samples.TINY
    named = {name: getattr(sizes, name) for name in ("vocab_size", "hidden_size", "n_layer", "n_head")}
    plain = BloomForCausalLM(BloomConfig(**named)).eval()
    weights.fill(plain, sizes, weights.DummyWeights(seed, 0.3), 0, 1)
    plain.generation_config.eos_token_id, plain.generation_config.pad_token_id = None, tokenizer.PADDING
    return plain


def plain_tokens(
    seed: int, batch_size: int = 1, output_tokens: int = 100, end_of_text: int | None = None
) -> list[list[int]]:
    """Return what unmodified transformers generates greedily from the same weights, in one process, in float32."""
    from transformers import BloomConfig, BloomForCausalLM

    sizes = samples.TINY
    config = BloomConfig(
        vocab_size=sizes.vocab_size, hidden_size=sizes.hidden_size, n_layer=sizes.n_layer, n_head=sizes.n_head
    )
    plain = BloomForCausalLM(config).eval()
    weights.fill(plain, sizes, weights.DummyWeights(seed, 0.3), 0, 1)
    plain.generation_config.eos_token_id = end_of_text
    plain.generation_config.pad_token_id = tokenizer.PADDING
    inputs = tokenizer.kit()([samples.PROMPT] * batch_size, return_tensors="pt")
    ids = plain.generate(**inputs, max_new_tokens=output_tokens, do_sample=False)
    return ids[:, inputs["input_ids"].shape[1] :].tolist()
