"""Greedy decoding of BLOOM, written out: every place where upstream computes otherwise than transformers is a switch.

With none it is transformers 4.27.1, 4.28.1 and 4.55.4, with a stack's own it is that stack: test_arithmetic.py holds both against what
they stand for, token by token. Sources: huggingface/optimum-habana@583eff4144493326850c6b1d9b2299919ac3a577, v1.5.0, v1.6.1 and 1.21.2
modeling_bloom.py; deepspeed/module_inject/layers.py of 0.14.5, of 0.16.1 and of the vendor's fork.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch.nn import functional

# what upstream does; what transformers does
CAUSES = {
    "gelu": "GELU is one operation; many, each rounded",
    "slots": "ALiBi counts the cache's slots; it counts the tokens that are not masked",
    "width": "prompt and cache have their final length; they grow, and another shape may be summed in another order",
    "write": "a cache entry is written as past + (new - past); as new",
    "bias": "a bias is added to a rounded product; it is rounded with the product",
    "shards": "each rank's part of a sum is rounded; there are no ranks",
}
# by ranks
OF_DEEPSPEED = {1: ("bias",), 2: ("bias", "shards")}

PADDING = 3


class Switches(NamedTuple):
    """Which of the causes are on, by their names."""

    gelu: bool
    slots: bool
    width: bool
    write: bool
    bias: bool
    shards: bool


def of_optimum(release: str) -> tuple[str, ...]:
    """Return the causes that are on in a release of optimum-habana, such as 1.6.1; a release after those that were read is as they are."""
    # ALiBi by a sum over the mask, as transformers has it
    if release.startswith("1.5.0.dev"):
        return ("gelu", "width", "write")
    return ("gelu", "slots", "width", "write") if _is_before_1_6(release) else ("gelu", "slots", "width")


def of_runner(release: str, ranks: int) -> tuple[str, ...]:
    """Return the causes that are on when the runner measures: 1.5 runs under DeepSpeed with one rank too."""
    return of_optimum(release) + (OF_DEEPSPEED[ranks] if ranks > 1 or _is_before_1_6(release) else ())


def _is_before_1_6(release: str) -> bool:
    return tuple(int(part) for part in release.split(".")[:2]) < (1, 6)


def generate(
    model: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor],
    new_tokens: int,
    causes: Collection[str] = (),
    ranks: int = 1,
) -> torch.Tensor:
    """Return ids [batch, input + new] that ``model`` (a ``BloomForCausalLM`` as transformers has it) decodes greedily.

    ``inputs`` are ids and mask [batch, input]; ``ranks`` is how many parts sums have under "shards".
    """
    assert set(causes) <= set(CAUSES)
    on = Switches(**{name: name in causes for name in CAUSES})
    length, room = inputs["input_ids"].shape[1], (0, new_tokens)
    ids = functional.pad(inputs["input_ids"], room, value=PADDING)
    mask = functional.pad(inputs["attention_mask"], room, value=0)
    decoder = _Decoder(model, on, ranks if on.shards else 1)
    with torch.no_grad():
        for place in range(length, length + new_tokens):
            held = ids.shape[1] if on.width else place
            first = place == length
            logits = decoder.forward(ids[:, :held] if first else ids[:, place - 1 : place], mask[:, :held], place)
            ids[:, place] = logits[:, place - 1 if first else 0].argmax(-1)
            mask[:, place] = 1
    return ids


class _Decoder:
    def __init__(self, model: torch.nn.Module, on: Switches, ranks: int) -> None:
        self.on, self.ranks = on, ranks
        self.body, self.head, self.heads = model.transformer, model.lm_head, model.config.n_head
        self.size = model.config.hidden_size // self.heads
        # keys and values of each layer, None before the first token
        self.cache: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * model.config.n_layer

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, place: int) -> torch.Tensor:
        """Return logits [batch, tokens, vocabulary]; ``place`` is where the next token goes."""
        state = self.body.word_embeddings_layernorm(self.body.word_embeddings(ids))
        alibi, hidden = self._alibi(mask, state.dtype), self._hidden(mask, ids.shape[1])
        for number, block in enumerate(self.body.h):
            normed = block.input_layernorm(state)
            state = self._attention(number, block.self_attention, normed, alibi, hidden, place) + state
            normed = block.post_attention_layernorm(state)
            wide = self._gelu(self._by_columns(block.mlp.dense_h_to_4h, normed))
            state = self._by_rows(block.mlp.dense_4h_to_h, wide) + state
        return self.head(self.body.ln_f(state))

    def _alibi(self, mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return [batch * heads, 1, held]; the slopes are powers of two, which no precision rounds."""
        assert self.heads & (self.heads - 1) == 0
        slopes = torch.tensor([2.0 ** (-8 * (head + 1) / self.heads) for head in range(self.heads)])
        counted = (mask.cumsum(-1) - 1) * mask
        places = torch.arange(mask.shape[1]).expand_as(mask) if self.on.slots else counted
        return (slopes[None, :, None] * places[:, None, :]).reshape(-1, 1, mask.shape[1]).to(dtype)

    def _hidden(self, mask: torch.Tensor, tokens: int) -> torch.Tensor:
        """Return bool [batch, 1, tokens, held]: what a token does not see."""
        padding = (mask == 0)[:, None, None, :].expand(-1, 1, tokens, -1)
        if tokens == 1:
            return padding
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        return padding | later

    def _attention(
        self,
        number: int,
        layer: torch.nn.Module,
        state: torch.Tensor,
        alibi: torch.Tensor,
        hidden: torch.Tensor,
        place: int,
    ) -> torch.Tensor:
        batch, tokens, _ = state.shape
        fused = self._by_columns(layer.query_key_value, state).view(batch, tokens, self.heads, 3, self.size)
        query, key, value = (fused[..., part, :].transpose(1, 2).reshape(-1, tokens, self.size) for part in range(3))
        key, value = self._cached(number, key.transpose(1, 2).contiguous(), value, place)
        scores = alibi.baddbmm(query, key, beta=1.0, alpha=self.size**-0.5).view(batch, self.heads, tokens, -1)
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        weights = functional.softmax(scores, dim=-1, dtype=torch.float32).to(state.dtype)
        seen = torch.bmm(weights.view(batch * self.heads, tokens, -1), value)
        merged = seen.view(batch, self.heads, tokens, self.size).transpose(1, 2).reshape(batch, tokens, -1)
        return self._by_rows(layer.dense, merged)

    def _cached(
        self, number: int, key: torch.Tensor, value: torch.Tensor, place: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys [batch * heads, size, held] and values [batch * heads, held, size], these among them."""
        cached = self.cache[number]
        if cached is None or not self.on.width:
            grown = (
                (key, value) if cached is None else (torch.cat([cached[0], key], 2), torch.cat([cached[1], value], 1))
            )
            self.cache[number] = grown
            return grown
        keys, values = cached
        for past, new in ((keys[:, :, place - 1 : place], key), (values[:, place - 1 : place], value)):
            past.copy_(past + (new - past) if self.on.write else new)
        return keys, values

    def _gelu(self, x: torch.Tensor) -> torch.Tensor:
        if self.on.gelu:
            return functional.gelu(x, approximate="tanh")
        return x * 0.5 * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))

    def _by_columns(self, linear: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        """Multiply by a matrix whose outputs DeepSpeed deals out among the ranks."""
        if not self.on.bias:
            return linear(x)
        parts = zip(linear.weight.chunk(self.ranks), linear.bias.chunk(self.ranks))
        return torch.cat([torch.matmul(x, weight.t()) + bias for weight, bias in parts], -1)

    def _by_rows(self, linear: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        """Multiply by a matrix whose inputs DeepSpeed deals out, and add the ranks' parts."""
        if not self.on.bias:
            return linear(x)
        parts = zip(x.chunk(self.ranks, -1), linear.weight.chunk(self.ranks, 1))
        products = [torch.matmul(part.contiguous(), weight.contiguous().t()) for part, weight in parts]
        # the stand-in's all_reduce adds in float32 and rounds once
        return sum(product.float() for product in products).to(x.dtype) + linear.bias
