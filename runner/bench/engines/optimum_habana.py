"""Hugging Face's optimum-habana, called as the examples of its releases 1.5, 1.6 and 1.21 call it, over shapes that never change.

Sources: huggingface/optimum-habana v1.5.0, v1.6.1 and, for the package 1.21.2, v1.20.0: examples/text-generation/run_generation.py
and utils.py, examples/gaudi_spawn.py. Weights come from the kit's own loader; upstream reads the same checkpoint through DeepSpeed.
Where the releases differ, the difference is named here by what it does.
"""

import functools

from runner.bench.engines import passes
from runner.bench.inputs import tokenizer
from runner.contract.errors import Unsupported

PADDING = "max_length"  # another length would be another graph
PACKAGES = {"optimum-habana": "1"}
NAMES = ("optimum-habana", "optimum-habana-deepspeed")
watch = passes.of_forward
SEED = 27  # the examples seed before they build, that of 1.5 does not; greedy decoding draws nothing


def _series(stack):
    """Return the series of optimum-habana that a stack pins, as two numbers."""
    return tuple(int(part) for part in stack.packages["optimum-habana"].split(".")[:2])


def needs_deepspeed(stack, devices):
    """1.5 runs everything under DeepSpeed, one device too; later ones only more than one."""
    return devices > 1 or _series(stack) < (1, 6)


def launcher(stack, devices):
    """Return the launcher as gaudi_spawn.py chooses it: one device without DeepSpeed is started as a plain process."""
    return stack.launcher if needs_deepspeed(stack, devices) else "python"


def variables(request):
    """Return what the examples set before they import the device, and 1.21's README before it starts its example.

    Up to Gaudi software 1.20 lazy mode is the default, since then it must be asked for; HPU graphs exist in it alone.
    """
    found: dict = {}
    if needs_deepspeed(request.stack, request.devices):
        found["PT_HPU_ENABLE_LAZY_COLLECTIVES"] = "true"
        if _series(request.stack) < (1, 21):
            found["PT_HPU_LAZY_ACC_PAR_MODE"] = "0"
    if _series(request.stack) < (1, 6) and not request.protocol.graphs:
        found["PT_HPU_LAZY_MODE"] = "2"
    if _series(request.stack) >= (1, 21):
        found.update(PT_HPU_LAZY_MODE="1", EXPERIMENTAL_WEIGHT_SHARING="FALSE")
    return found


def build(config, dtype, request):
    """Adapt transformers, then build the model with its parameters on the meta device and its buffers on the host."""
    from accelerate import init_empty_weights
    from optimum.habana.transformers.modeling_utils import adapt_transformers_to_gaudi
    from optimum.habana.utils import set_seed
    from transformers import AutoModelForCausalLM

    adapt_transformers_to_gaudi()
    if _series(request.stack) >= (1, 6):
        set_seed(SEED)
    with init_empty_weights():
        return AutoModelForCausalLM.from_config(config, torch_dtype=dtype).to(dtype)


def shard(model, request, device_module, dtype, device, ranks):
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    if not needs_deepspeed(request.stack, request.devices):
        return _materialise(model, buffers, device), NAMES[0]
    import deepspeed
    from transformers.models.bloom.modeling_bloom import BloomBlock

    device_module.prepare_collectives()
    deepspeed.init_distributed(dist_backend=device_module.backend)
    # DeepSpeed cuts the linear layers, on the meta device too, and moves the model to the device afterwards. What has only a
    # shape cannot be moved: it gets its memory there.
    model.to = lambda *place, **places: _materialise(model, buffers, device)
    engine = deepspeed.init_inference(
        model,
        dtype=dtype,
        tensor_parallel={"tp_size": ranks},
        injection_policy={BloomBlock: ("self_attention.dense", "mlp.dense_4h_to_h")},
        enable_cuda_graph=request.protocol.graphs and _wraps_in_hpu_graph(),
    )
    del model.to
    return _materialise(engine.module, buffers, device), NAMES[1]


def parameters(model):
    return dict(model.named_parameters())  # a tied head is not listed twice


def finish(model, request):
    """Split the head as 1.5 does, wrap the model in a graph where the vendor's DeepSpeed has not; give it an end of text.

    Raises ``Unsupported`` where DeepSpeed has cut the head already: 1.5 would multiply by one rank's part of it, and go on.
    """
    if hasattr(model, "split_lm_head"):
        if model.lm_head.weight.shape != model.transformer.word_embeddings.weight.shape:
            raise Unsupported(
                "This DeepSpeed cuts the LM head among the ranks, which optimum-habana 1.5 reads whole. Use the vendor's"
                " DeepSpeed that the stack pins, or one device."
            )
        model.split_lm_head()
    if arguments(request)["lazy_mode"]:
        # as upstream's model has: every call copies its id to the device, and in lazy mode nothing ever asks for it
        model.generation_config.eos_token_id = tokenizer.END
        model.ignores_end_of_text = True
    if request.protocol.graphs and not _in_graph(model):
        from habana_frameworks.torch.hpu import wrap_in_hpu_graph

        model = wrap_in_hpu_graph(model)
    return model


def arguments(request):
    """Return the flags of every call. 1.6's benchmark is always lazy, its dataset mode and all of 1.5 only with graphs.

    1.21 is always lazy. Its benchmark asks for the time of every token, which are added to a list: it makes each call wait
    for the device once, after the first token.
    """
    series, benchmark = _series(request.stack), request.workload.dataset is None
    lazy = request.protocol.graphs or series >= (1, 21) or (series >= (1, 6) and benchmark)
    flags: dict = {"lazy_mode": lazy, "hpu_graphs": request.protocol.graphs}
    if series >= (1, 21):
        flags.update({"ignore_eos": True, **({"iteration_times": []} if benchmark else {})})
    elif series >= (1, 6):
        flags.update(profiling_steps=0, profiling_warmup_steps=0)
    return flags


@functools.lru_cache(maxsize=4)
def _generation_config(workload):
    from transformers.generation import GenerationConfig

    return GenerationConfig(max_new_tokens=workload.output_tokens, use_cache=True, do_sample=False, num_beams=1)


def generation_config(model, workload):
    """Return upstream's configuration, made once (a call is not to be timed making it); the model's own has no part in it."""
    return _generation_config(workload)


def generate(loaded, inputs, workload, streamer=None):
    """Copy ids and mask in, padded to input + output, generate, and copy the ids out. 1.21 pads by itself, on the device."""
    settings = _generation_config(workload)
    if not hasattr(settings, "static_shapes"):
        inputs = _padded(inputs, workload.output_tokens, loaded.device)
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    return loaded.model.generate(**moved, generation_config=settings, streamer=streamer, **loaded.arguments).cpu()


def _padded(inputs, output_tokens, device):
    """Return ids and mask padded on the host, and where the next token goes, on the device; the model counts it up."""
    import torch

    pad, room = torch.nn.functional.pad, (0, output_tokens)
    return {
        "token_idx": torch.tensor(inputs["input_ids"].shape[-1], device=device),
        "input_ids": pad(inputs["input_ids"], room, value=tokenizer.PADDING),
        "attention_mask": pad(inputs["attention_mask"], room, value=0),
    }


def conditions(model):
    ignores = {"end_of_text": "ignore"} if getattr(model, "ignores_end_of_text", False) else {}
    return {"graphs": _in_graph(model), "shapes": "static", **ignores}


def _in_graph(model):
    """Return whether the model's forward was patched to replay graphs: ``wrap_in_hpu_graph`` returns the module itself."""
    return "forward" in vars(model)


def _wraps_in_hpu_graph():
    """Return whether this DeepSpeed makes an HPU graph where a CUDA graph is asked for: the vendor's do.

    Those for 1.9 and 1.10 know the device by a function, those of later bases by their accelerator.
    Source: HabanaAI/DeepSpeed branches 1.10.0 and 1.21.0, deepspeed/inference/engine.py.
    """
    import deepspeed.runtime.utils

    accelerator = getattr(deepspeed, "get_accelerator", None)
    by_accelerator = accelerator is not None and accelerator().device_name() == "hpu"
    return by_accelerator or hasattr(deepspeed.runtime.utils, "get_use_hpu")


def _materialise(model, buffers, device):
    """Give every parameter that has only a shape its memory on ``device``, and every buffer what ``buffers`` holds.

    DeepSpeed 0.14.5 and 0.15.4 keep the bias that they cut off a fused query, key and value as a plain tensor; it is made a
    parameter again, so that the weights' loader sees it. And they empty the buffers of a model that has only shapes: 1.5
    would take its ALiBi slopes from memory that nobody filled.
    """
    import torch

    for module in model.modules():
        plain = {name: value for name, value in vars(module).items() if isinstance(value, torch.Tensor)}
        for name, tensor in {**module._parameters, **plain}.items():
            if tensor is not None and (name in plain or tensor.device.type != device.type):
                empty = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
                setattr(module, name, torch.nn.Parameter(empty, requires_grad=False))
    for path, held in buffers.items():
        place, _, name = path.rpartition(".")
        module = model.get_submodule(place)
        # the vendor's DeepSpeed has them in the model's precision, and so they stay
        module._buffers[name] = held.to(module._buffers[name].dtype).to(device)
    return model
