"""What stands in for a GPU under the unmodified DeepSpeed 0.8.2: an accelerator that is this host, and its kernels in torch.

The kernels do what csrc/transformer/inference of v0.8.2 does for a BLOOM in float16: read from pt_binding.cpp, softmax.cu and
gelu.cu, in float32 inside, rounded to float16 where a kernel writes. Nothing here says anything of a GPU's speed or rounding. ``calls``
notes every use.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from deepspeed import accelerator
from deepspeed.accelerator.cuda_accelerator import CUDA_Accelerator
from deepspeed.ops.op_builder import InferenceBuilder
from torch.utils._python_dispatch import TorchDispatchMode

calls: list = []


class Host(CUDA_Accelerator):
    """DeepSpeed's own interface to a device, where it asks for it; whatever else it asks torch.cuda for fails here."""

    def device_name(self, device_index: int | None = None) -> str:
        return "cpu"

    def current_device_name(self) -> str:
        return "cpu"

    def communication_backend_name(self) -> str:
        return "gloo"

    def set_device(self, device_index: int | None) -> None:
        calls.append(("set_device", device_index))

    def get_rng_state(self, device_index: int | None = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, new_state: torch.Tensor, device_index: int | None = None) -> None:
        torch.set_rng_state(new_state)


class Kernels:
    """The functions of the extension that a BLOOM in float16 uses, with its arguments in its order."""

    def allocate_workspace_fp16(
        self,
        hidden: int,
        heads: int,
        prompt: int,
        batch: int,
        layers: int,
        mp_size: int,
        external_cache: bool,
        rank: int,
        max_out: int,
    ) -> None:
        calls.append(("allocate_workspace", hidden, heads, prompt, batch, layers, mp_size, rank))

    def qkv_gemm_fp16(
        self,
        input: torch.Tensor,
        weight: torch.Tensor,
        q_scale: torch.Tensor,
        bias: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        epsilon: float,
        add_bias: bool,
        *rest: object,
    ) -> list[torch.Tensor]:
        normed = _norm(input.float(), gamma, beta, epsilon).half()
        output = (normed.float() @ weight.float()).half()
        calls.append(("qkv_gemm", tuple(output.shape)))
        return [(output.float() + bias.float()).half() if add_bias else output, normed]

    def softmax_fp16(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor,
        alibi: torch.Tensor,
        triangular: bool,
        recompute: bool,
        local: bool,
        window: int,
        async_op: bool,
        scale: float,
        head_offset: int,
        mp_size: int,
    ) -> torch.Tensor:
        """``mask`` [batch, keys] and ``alibi`` [batch * all heads, 1, keys] are added to [batch, own heads, queries, keys]."""
        assert (recompute, local) == (False, False)
        batch, heads, queries, keys = scores.shape
        values = scores.float() * scale
        if triangular:
            values = values.masked_fill(torch.ones(queries, keys).triu(1).bool(), -10000.0)
        own_slopes = alibi.view(batch, heads * mp_size, 1, keys)[:, head_offset : head_offset + heads]
        values = values + own_slopes.float() + mask.float().view(batch, 1, 1, keys)
        calls.append(("softmax", tuple(scores.shape), head_offset))
        return values.softmax(-1).half()

    def vector_matmul_fp16(self, input: torch.Tensor, weight: torch.Tensor, *rest: object) -> torch.Tensor:
        calls.append(("vector_matmul", (*input.shape[:2], weight.shape[1])))
        return (input.float() @ weight.float()).half()

    def mlp_gemm_fp16(
        self,
        input: torch.Tensor,
        residual: torch.Tensor,
        input_bias: torch.Tensor,
        inner: torch.Tensor,
        outer: torch.Tensor,
        bias: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        epsilon: float,
        pre: bool,
        after: bool,
        *rest: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert after
        normed = _norm(input.float() + residual.float() + input_bias.float(), gamma, beta, epsilon).half()
        hidden = (normed.float() @ inner.float()).half().float() + bias.float()
        output = (_gelu(hidden).half().float() @ outer.float()).half()
        calls.append(("mlp_gemm", tuple(output.shape)))
        return output, normed

    def residual_add_bias_fp16(
        self,
        hidden: torch.Tensor,
        residual: torch.Tensor,
        attention: torch.Tensor,
        attention_bias: torch.Tensor,
        final_bias: torch.Tensor,
        mp_size: int,
        after: bool,
        add_bias: bool,
        pre: bool,
    ) -> torch.Tensor:
        """Written into ``residual``; every rank adds its share, which the all-reduce behind it makes whole."""
        assert after and add_bias and pre
        shared = residual.float() + attention.float() + final_bias.float() + attention_bias.float()
        residual.copy_(shared / mp_size + hidden.float())
        calls.append(("residual_add_bias", tuple(residual.shape)))
        return residual

    def _unused(self, *arguments: object) -> NoReturn:
        raise AssertionError("a BLOOM in float16 has no use for this kernel")

    softmax_context_fp16 = linear_layer_fp16 = fused_gemm_gelu_fp16 = _unused


class InFloat32(TorchDispatchMode):
    """Compute in float32 what torch 1.13 has not in float16 on a CPU (its matrix products, for one), and round."""

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: object,
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Any:
        keywords = keywords or {}
        try:
            return function(*arguments, **keywords)
        except RuntimeError as problem:
            if "'Half'" not in str(problem):
                raise
        returned = function(*_cast(arguments, torch.half, torch.float), **_cast(keywords, torch.half, torch.float))
        return _cast(returned, torch.float, torch.half)


def install() -> None:
    """Put the stand-ins in place; DeepSpeed must not have looked for its accelerator or its kernels yet."""
    from transformers import BloomForCausalLM

    accelerator.set_accelerator(Host())
    kernels, forward = Kernels(), BloomForCausalLM.forward

    @functools.wraps(forward)
    def in_float32(*arguments: Any, **keywords: Any) -> Any:
        with InFloat32():
            return forward(*arguments, **keywords)

    InferenceBuilder.load = lambda self, verbose=True: kernels
    BloomForCausalLM.forward = in_float32


def _norm(values: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, epsilon: float) -> torch.Tensor:
    return torch.nn.functional.layer_norm(values, values.shape[-1:], gamma.float(), beta.float(), epsilon)


def _gelu(values: torch.Tensor) -> torch.Tensor:
    return 0.5 * values * (1 + torch.tanh(0.7978845608028654 * (values + 0.044715 * values**3)))


def _cast(value: Any, old: torch.dtype, new: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(new) if value.dtype == old else value
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(item, old, new) for item in value)
    if isinstance(value, dict):
        return {key: _cast(item, old, new) for key, item in value.items()}
    return new if value is old else value
