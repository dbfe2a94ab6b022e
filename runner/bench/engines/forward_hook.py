"""Note how many tokens of a row each forward pass is given; torch 1.13 has no hook that sees keyword arguments."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Iterator

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextlib.contextmanager
def on_forward(model: PreTrainedModel, token_counts: list[int]) -> Iterator[None]:
    """Append to ``token_counts`` at each call of the model's ``forward``.

    Afterwards ``forward`` is restored: the class's method, or the graph wrapper that stood in its place.
    """
    forward, wrapped_before = model.forward, "forward" in vars(model)

    @functools.wraps(forward)
    def counting(*arguments: Any, **keywords: Any) -> object:
        token_counts.append((keywords["input_ids"] if "input_ids" in keywords else arguments[0]).shape[1])
        return forward(*arguments, **keywords)

    model.forward = counting
    try:
        yield
    finally:
        if wrapped_before:
            model.forward = forward
        else:
            del model.forward


@contextlib.contextmanager
def on_prepare(model: PreTrainedModel, token_counts: list[int]) -> Iterator[None]:
    """Append to ``token_counts`` at each call of ``prepare_inputs_for_generation``, which comes before each forward pass.

    ``forward`` itself stays as it was compiled.
    """
    prepare = model.prepare_inputs_for_generation

    @functools.wraps(prepare)
    def counting(*arguments: Any, **keywords: Any) -> object:
        inputs = prepare(*arguments, **keywords)
        token_counts.append(inputs["input_ids"].shape[1])
        return inputs

    model.prepare_inputs_for_generation = counting
    try:
        yield
    finally:
        del model.prepare_inputs_for_generation
