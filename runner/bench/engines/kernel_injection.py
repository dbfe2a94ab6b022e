"""DeepSpeed's fused kernels of 2023, injected as the GPU script of the published figures injects them; float16 alone.

Sources: huggingface/transformers-bloom-inference@7bea352, bloom-inference-scripts/bloom-ds-inference.py and its README;
deepspeedai/DeepSpeed@v0.8.2. The script names a repository cut for the ranks whose checkpoint DeepSpeed loads. Here DeepSpeed
loads the skeleton of one: the right names and shapes, every tensor one stored zero. So it makes the same modules by the same
calls, and the kit's own loader fills what it made. Never ran on a GPU; tests/injection runs it less the kernels.
"""

import copy
import json
import os
import tempfile

from runner.bench.engines import passes
from runner.contract.architecture import shard_shape
from runner.contract.errors import Unsupported

PADDING = "longest"
PACKAGES = {"deepspeed": "0.8"}
NAMES = ("deepspeed-kernel-injection",)
watch = passes.of_forward

# What DeepSpeed's block calls the parameters of transformers' block. Its matrices are [inputs, outputs], theirs [outputs, inputs].
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


def launcher(stack, devices):
    """Return the launcher as the README starts it, by the number of GPUs alone."""
    return "deepspeed-gpus" if stack.launcher == "deepspeed" else stack.launcher


def variables(request):
    return {}  # neither the script nor its README sets any


def build(config, dtype, request):
    """Build on the meta device as the script does: asked for in bfloat16, made in ``dtype``.

    Raises ``Unsupported`` for another precision than float16: of BLOOM's softmax this DeepSpeed has no other kernel.
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


def shard(model, request, device_module, dtype, device, ranks):
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
        if isinstance(module, Normalize):  # its layer norm has the same memory under parameters of its own
            module.norm.weight, module.norm.bias = module.weight, module.bias
    for parameter in model.parameters():
        parameter.data = (
            parameter.data.contiguous()
        )  # where nothing had to be moved, one stored number is still seen as many
    return model, NAMES[0]


def _skeleton(folder, architecture, dtype, ranks):
    """Write a checkpoint without weights, cut for ``ranks``; return the path of the file that describes it.

    In the form that DeepSpeed 0.8.2 saves for itself, and that repositories cut for ranks have: ``non_tp`` what every rank
    holds whole, ``tp`` one file for each rank. Here all ranks' are one, since all shards have the same shapes.
    """
    import torch

    def nothing(shape):
        return torch.zeros(1, dtype=dtype).expand(shape)  # saved as the one number that it is

    parts: dict = {"non_tp": {}, "tp": {}}
    for parameter in architecture.parameters():
        shape = shard_shape(parameter, ranks)
        if parameter.name.startswith(_BLOCKS):
            parts["tp"][_deepspeed_name(parameter.name)] = nothing(shape[::-1])
        else:
            parts["non_tp"][parameter.name] = nothing(shape)
    for name, tensors in parts.items():
        torch.save(tensors, os.path.join(folder, f"{name}.pt"))
    path = os.path.join(folder, "ds_inference_config.json")
    with open(path, "w", encoding="utf-8") as file:
        described = {"type": "BLOOM", "version": 1.0, "parallelization": "tp", "tp_size": ranks}
        json.dump({**described, "checkpoints": {"non_tp": ["non_tp.pt"], "tp": ["tp.pt"] * ranks}}, file)
    return path


def _deepspeed_name(name):
    layer, _, part = name[len(_BLOCKS) :].partition(".")
    (found,) = (own for own, theirs in _BLOCK.items() if theirs == part)
    return f"{_BLOCKS}{layer}.{found}"


def parameters(model):
    """Return the model's parameters under transformers' names and in its shapes: matrices are views, transposed."""
    found = {}
    for name, held in model.named_parameters():
        if name.startswith(_BLOCKS):
            layer, _, part = name[len(_BLOCKS) :].partition(".")
            found[f"{_BLOCKS}{layer}.{_BLOCK.get(part, part)}"] = held.t() if held.dim() == 2 else held
        else:
            found[name] = held
    return found


def finish(model, request):
    model.generation_config._from_model_config = False  # else generate() of 4.26 makes it anew, end of text and all
    return model


def arguments(request):
    """Return what the script gives every call; all else is as the model's own configuration has it."""
    return {"max_new_tokens": request.workload.output_tokens, "do_sample": False}


def generation_config(model, workload):
    own = copy.deepcopy(model.generation_config)
    own.update(max_new_tokens=workload.output_tokens, do_sample=False)
    return own


def generate(loaded, inputs, workload, streamer=None):
    """Copy the inputs in, generate, copy the ids out. The script leaves them there and detokenizes, which copies them."""
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    if streamer is None:
        return loaded.model.generate(**moved, **loaded.arguments).cpu()
    streamer.put(inputs["input_ids"])

    def hand_on(input_ids, scores):
        """Be a stopping criterion that never stops: transformers has streamers from 4.28 on only."""
        streamer.put(input_ids[:, -1].cpu())
        return False

    ids = loaded.model.generate(**moved, **loaded.arguments, stopping_criteria=[hand_on]).cpu()
    streamer.put(ids[:, -1])  # the token that ends a call ends it before this criterion is asked
    return ids


def conditions(model):
    """No graphs: this DeepSpeed refuses them for more than one GPU, and the script asks for none. Shapes grow."""
    return {"graphs": False, "shapes": "dynamic"}
