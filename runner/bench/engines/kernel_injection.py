"""DeepSpeed's fused kernels of 2023, injected as the GPU script of the published figures injects them; float16 alone.

Sources: huggingface/transformers-bloom-inference@7bea352, bloom-inference-scripts/bloom-ds-inference.py and its README;
deepspeedai/DeepSpeed@v0.8.2. In the script DeepSpeed loads the checkpoint of a repository that is cut for the ranks. Here
DeepSpeed loads the skeleton of such a checkpoint: the right names and shapes, and one stored zero for each tensor. So DeepSpeed
makes the same modules by the same calls, and the kit's own loader fills the modules. This engine never ran on a GPU;
tests/injection runs it without the kernels.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, Literal

from runner.bench.devices import Device
from runner.bench.engines import forward_hook as hooks
from runner.contract.architecture import Architecture, shard_shape
from runner.contract.errors import Unsupported
from runner.contract.records import EngineObserved
from runner.contract.request import Request, Stack, Workload

if TYPE_CHECKING:
    import torch
    from transformers import BloomConfig, GenerationConfig, PreTrainedModel

    from runner.bench.engines import EngineConditions, Inputs, Loaded, Streamer

PADDING: Literal["longest", "max_length"] = "longest"
PACKAGES: dict[str, str] = {"deepspeed": "0.8"}
NAMES: tuple[EngineObserved, ...] = ("deepspeed-kernel-injection",)
forward_hook = hooks.on_forward

# The parameters of DeepSpeed's block, and the parameters of transformers' block that they hold. DeepSpeed's matrices are
# [inputs, outputs], transformers' [outputs, inputs].
_BLOCK = {
    "norm_w": "input_layernorm.weight",
    "norm_b": "input_layernorm.bias",
    "attention.attn_qkvw": "self_attention.query_key_value.weight",
    "attention.attn_qkvb": "self_attention.query_key_value.bias",
    "attention.attn_ow": "self_attention.dense.weight",
    "attention.attn_ob": "self_attention.dense.bias",
    "mlp.attn_nw": "post_attention_layernorm.weight",
    "mlp.attn_nb": "post_attention_layernorm.bias",
    "mlp.inter_w": "mlp.dense_h_to_4h.weight",
    "mlp.inter_b": "mlp.dense_h_to_4h.bias",
    "mlp.output_w": "mlp.dense_4h_to_h.weight",
    "mlp.output_b": "mlp.dense_4h_to_h.bias",
}
_BLOCKS = "transformer.h."


def launcher(stack: Stack, devices: int) -> str:
    """Return the form of the launcher that the script's README uses, which names the number of GPUs alone."""
    return "deepspeed-gpus" if stack.launcher == "deepspeed" else stack.launcher


def variables(request: Request) -> dict[str, str]:
    """Return no variables: neither the script nor its README sets any."""
    return {}


def build(config: BloomConfig, dtype: torch.dtype, request: Request) -> PreTrainedModel:
    """Build on the meta device as the script does: asked for in bfloat16, made in ``dtype``.

    Raises ``Unsupported`` for another precision than float16: this DeepSpeed has a kernel for BLOOM's softmax in float16 alone.
    """
    if request.workload.precision != "float16":
        raise Unsupported(
            f"The engine kernel-injection runs BLOOM in float16 alone, not in {request.workload.precision}."
            " Take --precision float16, or another --engine."
        )
    import deepspeed
    import torch
    from transformers import AutoModelForCausalLM

    with deepspeed.OnDevice(dtype=dtype, device="meta"):
        return AutoModelForCausalLM.from_config(config, torch_dtype=torch.bfloat16)


def shard(
    model: PreTrainedModel,
    request: Request,
    device_module: Device,
    dtype: torch.dtype,
    device: torch.device,
    ranks: int,
) -> tuple[PreTrainedModel, EngineObserved]:
    """Let DeepSpeed replace the blocks of the model by its own, cut for the ranks, without weights."""
    import deepspeed
    from deepspeed.module_inject.layers import Normalize

    device_module.prepare_collectives()
    deepspeed.init_distributed(device_module.backend)
    with tempfile.TemporaryDirectory() as folder:
        model = deepspeed.init_inference(
            model,
            mp_size=ranks,
            base_dir=folder,
            dtype=dtype,
            checkpoint=_skeleton(folder, request.model.architecture, dtype, ranks),
            replace_with_kernel_inject=True,
        ).module
    for module in model.modules():
        # The layer norm inside a Normalize has parameters of its own over the same memory.
        if isinstance(module, Normalize):
            module.norm.weight, module.norm.bias = module.weight, module.bias
    for parameter in model.parameters():
        # A parameter that DeepSpeed did not have to move is still a view that shows one stored number as many.
        parameter.data = parameter.data.contiguous()
    return model, "deepspeed-kernel-injection"


def _skeleton(folder: str, architecture: Architecture, dtype: torch.dtype, ranks: int) -> str:
    """Write a checkpoint without weights, cut for ``ranks``; return the path of the file that describes it.

    The checkpoint has the form that DeepSpeed 0.8.2 saves for itself, and that repositories cut for ranks have: ``non_tp`` holds
    what every rank holds whole, ``tp`` one file for each rank. Here all ranks share one file, since all shards have the same
    shapes.
    """
    import torch

    def zeros(shape: tuple[int, ...]) -> torch.Tensor:
        # torch.save stores the one number of the view.
        return torch.zeros(1, dtype=dtype).expand(shape)

    parts: dict[str, dict[str, torch.Tensor]] = {"non_tp": {}, "tp": {}}
    for parameter in architecture.parameters():
        shape = shard_shape(parameter, ranks)
        if parameter.name.startswith(_BLOCKS):
            parts["tp"][_deepspeed_name(parameter.name)] = zeros(shape[::-1])
        else:
            parts["non_tp"][parameter.name] = zeros(shape)
    for name, tensors in parts.items():
        torch.save(tensors, os.path.join(folder, f"{name}.pt"))
    path = os.path.join(folder, "ds_inference_config.json")
    with open(path, "w", encoding="utf-8") as file:
        described = {"type": "BLOOM", "version": 1.0, "parallelization": "tp", "tp_size": ranks}
        json.dump({**described, "checkpoints": {"non_tp": ["non_tp.pt"], "tp": ["tp.pt"] * ranks}}, file)
    return path


def _deepspeed_name(name: str) -> str:
    """Return the name in DeepSpeed's block of a parameter that transformers calls ``name``."""
    layer, _, part = name[len(_BLOCKS) :].partition(".")
    (renamed,) = (deepspeed_part for deepspeed_part, transformers_part in _BLOCK.items() if transformers_part == part)
    return f"{_BLOCKS}{layer}.{renamed}"


def parameters(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the model's parameters under transformers' names and in its shapes: matrices are transposed views."""
    renamed = {}
    for name, parameter in model.named_parameters():
        if name.startswith(_BLOCKS):
            layer, _, part = name[len(_BLOCKS) :].partition(".")
            renamed[f"{_BLOCKS}{layer}.{_BLOCK.get(part, part)}"] = parameter.t() if parameter.dim() == 2 else parameter
        else:
            renamed[name] = parameter
    return renamed


def finish(model: PreTrainedModel, request: Request) -> PreTrainedModel:
    """Keep generate() of transformers 4.26 from making the generation settings anew, with the end of text of the model."""
    model.generation_config._from_model_config = False
    return model


def arguments(request: Request) -> dict[str, Any]:
    """Return what the script gives every call; the model's own configuration sets all else."""
    return {"max_new_tokens": request.workload.output_tokens, "do_sample": False}


def generation_config(model: PreTrainedModel, workload: Workload) -> GenerationConfig:
    """Return the settings of a call, laid over the model's own."""
    config = copy.deepcopy(model.generation_config)
    config.update(max_new_tokens=workload.output_tokens, do_sample=False)
    return config


def generate(loaded: Loaded, inputs: Inputs, workload: Workload, streamer: Streamer | None = None) -> torch.Tensor:
    """Copy the inputs to the device, generate, and copy the ids to the host.

    The script leaves the ids on the device; its detokenizing copies them.
    """
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    if streamer is None:
        return loaded.model.generate(**moved, **loaded.arguments).cpu()
    streamer.put(inputs["input_ids"])

    def put_token(input_ids: torch.Tensor, scores: torch.Tensor) -> bool:
        """Hand the last token on, as a stopping criterion that never stops: transformers before 4.28 has no streamers."""
        streamer.put(input_ids[:, -1].cpu())
        return False

    ids = loaded.model.generate(**moved, **loaded.arguments, stopping_criteria=[put_token]).cpu()
    # transformers ends a call at its last token before it asks the criterion.
    streamer.put(ids[:, -1])
    return ids


def conditions(model: PreTrainedModel) -> EngineConditions:
    """Return that there are no graphs, and that shapes grow with each token.

    The script asks for no graphs, and this DeepSpeed refuses graphs for more than one GPU.
    """
    return {"graphs": False, "shapes": "dynamic"}
