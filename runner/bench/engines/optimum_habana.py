"""Hugging Face's optimum-habana, called as the examples of its releases 1.5, 1.6 and 1.21 call it, over shapes that never change.

The commit of the day of the post, which calls itself 1.5.0.dev0, is called as its own example calls it. Sources:
huggingface/optimum-habana@583eff4144493326850c6b1d9b2299919ac3a577 (1.5.0.dev0), v1.5.0, v1.6.1 and, for the package 1.21.2, v1.20.0:
examples/text-generation/run_generation.py and utils.py, examples/gaudi_spawn.py. Weights come from the kit's own loader; upstream
reads the same checkpoint through DeepSpeed.
Where the releases differ, the code names the difference by its effect.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

from runner.bench.devices import Device
from runner.bench.engines import forward_hook as hooks
from runner.bench.inputs import tokenizer
from runner.contract.errors import Unsupported
from runner.contract.records import EngineObserved
from runner.contract.request import Request, Stack, Workload

if TYPE_CHECKING:
    import torch
    from transformers import BloomConfig, PreTrainedModel
    from transformers.generation import GenerationConfig

    from runner.bench.engines import EngineConditions, Inputs, Loaded, Streamer

# Rows of another length would need another graph.
PADDING: Literal["longest", "max_length"] = "max_length"
PACKAGES: dict[str, str] = {"optimum-habana": "1"}
NAMES: tuple[EngineObserved, ...] = ("optimum-habana", "optimum-habana-deepspeed")
forward_hook = hooks.on_forward
# The examples of 1.6 and later seed torch before they build. Greedy decoding draws no random number.
SEED = 27


def _series(stack: Stack) -> tuple[int, ...]:
    """Return the series of optimum-habana that a stack pins, as two numbers."""
    return tuple(int(part) for part in stack.packages["optimum-habana"].split(".")[:2])


def _is_before_1_5(stack: Stack) -> bool:
    """Return whether a stack pins a commit before the first release of 1.5: its ``generate`` takes no streamer.

    ALiBi is cut for the ranks only where a variable asks for it, and DeepSpeed of its day knows the number of ranks as ``mp_size``.
    """
    return _series(stack) == (1, 5) and ".dev" in stack.packages["optimum-habana"]


def needs_deepspeed(stack: Stack, devices: int) -> bool:
    """Return whether upstream runs under DeepSpeed: 1.5 always does, later releases on more than one device."""
    return devices > 1 or _series(stack) < (1, 6)


def launcher(stack: Stack, devices: int) -> str:
    """Return the launcher that gaudi_spawn.py chooses: one device without DeepSpeed is started as a plain process."""
    return stack.launcher if needs_deepspeed(stack, devices) else "python"


def variables(request: Request) -> dict[str, str]:
    """Return the variables that the examples set before they import the device, and that 1.21's README sets for its example.

    Lazy mode is the default up to Gaudi software 1.20; later releases must be asked for it. HPU graphs exist in lazy mode alone.
    """
    values: dict[str, str] = {}
    if needs_deepspeed(request.stack, request.devices):
        values["PT_HPU_ENABLE_LAZY_COLLECTIVES"] = "true"
        if _series(request.stack) < (1, 21):
            values["PT_HPU_LAZY_ACC_PAR_MODE"] = "0"
    if _is_before_1_5(request.stack):
        values["WA_BETA_ALIBI"] = "1"
    if _series(request.stack) < (1, 6) and not request.protocol.graphs:
        values["PT_HPU_LAZY_MODE"] = "2"
    if _series(request.stack) >= (1, 21):
        values.update(PT_HPU_LAZY_MODE="1", EXPERIMENTAL_WEIGHT_SHARING="FALSE")
    return values


def build(config: BloomConfig, dtype: torch.dtype, request: Request) -> PreTrainedModel:
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


def shard(
    model: PreTrainedModel,
    request: Request,
    device_module: Device,
    dtype: torch.dtype,
    device: torch.device,
    ranks: int,
) -> tuple[PreTrainedModel, EngineObserved]:
    """Give the model memory on ``device``; under DeepSpeed let it cut the linear layers first.

    Raises ``Unsupported`` for a batch on several devices before 1.5: ALiBi is cut there by rows of the batch, and not by heads.
    """
    if _is_before_1_5(request.stack) and request.devices > 1 and request.workload.batch_size > 1:
        raise Unsupported(
            f"optimum-habana {request.stack.packages['optimum-habana']} gives wrong tokens for a batch of"
            f" {request.workload.batch_size} on {request.devices} devices. Use a batch of 1, one device, or the stack gaudi-1.9."
        )
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    if not needs_deepspeed(request.stack, request.devices):
        return _materialise(model, buffers, device), "optimum-habana"
    import deepspeed
    from transformers.models.bloom.modeling_bloom import BloomBlock

    device_module.prepare_collectives()
    deepspeed.init_distributed(dist_backend=device_module.backend)
    # DeepSpeed cuts the linear layers, on the meta device too, and moves the model to the device afterwards. A parameter on the
    # meta device cannot be moved: it gets memory on the device instead.
    model.to = lambda *_, **__: _materialise(model, buffers, device)
    degree = {"mp_size": ranks} if _is_before_1_5(request.stack) else {"tensor_parallel": {"tp_size": ranks}}
    engine = deepspeed.init_inference(
        model,
        dtype=dtype,
        **degree,
        injection_policy={BloomBlock: ("self_attention.dense", "mlp.dense_4h_to_h")},
        enable_cuda_graph=request.protocol.graphs and _wraps_in_hpu_graph(),
    )
    del model.to
    return _materialise(engine.module, buffers, device), "optimum-habana-deepspeed"


def parameters(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the model's parameters; ``named_parameters`` lists a tied head once, as the embeddings."""
    return dict(model.named_parameters())


def finish(model: PreTrainedModel, request: Request) -> PreTrainedModel:
    """Split the LM head as 1.5 does, give the model an end of text, and wrap it in a graph where DeepSpeed has not done so.

    Raises ``Unsupported`` where DeepSpeed has cut the head already: 1.5 would multiply by one rank's part of the head, and go on.
    """
    if hasattr(model, "split_lm_head"):
        if model.lm_head.weight.shape != model.transformer.word_embeddings.weight.shape:
            raise Unsupported(
                "This DeepSpeed cuts the LM head among the ranks, which optimum-habana 1.5 reads whole. Use the vendor's"
                " DeepSpeed that the stack pins, or one device."
            )
        model.split_lm_head()
    if _is_before_1_5(request.stack):
        model.takes_no_streamer = True
    if arguments(request)["lazy_mode"]:
        # Upstream's model has an end of text: every call copies its id to the device, and lazy mode never compares with it.
        model.generation_config.eos_token_id = tokenizer.END
        model.ignores_end_of_text = True
    if request.protocol.graphs and not _in_graph(model):
        from habana_frameworks.torch.hpu import wrap_in_hpu_graph

        model = wrap_in_hpu_graph(model)
    return model


def arguments(request: Request) -> dict[str, Any]:
    """Return the flags of every call.

    The benchmark of 1.6 is always lazy; the dataset mode of 1.6 and all of 1.5 are lazy only with graphs. 1.21 is always lazy. The
    benchmark of 1.21 asks for the times of the tokens (a list that each call extends), which makes each call wait for the device
    once, after the first token.
    """
    series, benchmark = _series(request.stack), request.workload.dataset is None
    lazy = request.protocol.graphs or series >= (1, 21) or (series >= (1, 6) and benchmark)
    flags: dict[str, Any] = {"lazy_mode": lazy, "hpu_graphs": request.protocol.graphs}
    if series >= (1, 21):
        flags.update({"ignore_eos": True, **({"iteration_times": []} if benchmark else {})})
    elif series >= (1, 6):
        flags.update(profiling_steps=0, profiling_warmup_steps=0)
    return flags


@functools.lru_cache(maxsize=4)
def _generation_config(workload: Workload) -> GenerationConfig:
    from transformers.generation import GenerationConfig

    return GenerationConfig(max_new_tokens=workload.output_tokens, use_cache=True, do_sample=False, num_beams=1)


def generation_config(model: PreTrainedModel, workload: Workload) -> GenerationConfig:
    """Return upstream's configuration, which takes nothing from the model's own.

    The configuration is made once, so that no timed call makes it.
    """
    return _generation_config(workload)


def generate(loaded: Loaded, inputs: Inputs, workload: Workload, streamer: Streamer | None = None) -> torch.Tensor:
    """Copy ids and mask to the device, padded to input + output tokens, generate, and copy the ids to the host.

    1.21 pads by itself, on the device.
    """
    settings = _generation_config(workload)
    if not hasattr(settings, "static_shapes"):
        inputs = _padded(inputs, workload.output_tokens, loaded.device)
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    listener = _listener(loaded.model, inputs, streamer)
    return loaded.model.generate(**moved, generation_config=settings, **listener, **loaded.arguments).cpu()


def _listener(model: PreTrainedModel, inputs: Inputs, streamer: Streamer | None) -> dict[str, Any]:
    """Return the arguments by which ``generate`` tells a streamer of each token: the streamer itself, where ``generate`` takes one.

    Before 1.5.0 ``generate`` takes none, and refuses the argument even as None. The criteria that may end a call are asked after each
    token there, so one of them, which ends no call, waits for the token and tells the streamer.
    """
    if not getattr(model, "takes_no_streamer", False):
        return {"streamer": streamer}
    if streamer is None:
        return {}
    from transformers.generation import StoppingCriteriaList

    tell = streamer.put
    tell(inputs["input_ids"])

    def told(input_ids: torch.Tensor, scores: torch.Tensor, **_others: object) -> bool:
        tell(input_ids[:, -1:].cpu())
        return False

    return {"stopping_criteria": StoppingCriteriaList([told])}


def _padded(inputs: Inputs, output_tokens: int, device: torch.device) -> Inputs:
    """Return ids and mask padded on the host, and ``token_idx`` on the device: the place of the next token, which the model advances."""
    import torch

    pad, room = torch.nn.functional.pad, (0, output_tokens)
    return {
        "token_idx": torch.tensor(inputs["input_ids"].shape[-1], device=device),
        "input_ids": pad(inputs["input_ids"], room, value=tokenizer.PADDING),
        "attention_mask": pad(inputs["attention_mask"], room, value=0),
    }


def conditions(model: PreTrainedModel) -> EngineConditions:
    """Return whether HPU graphs are replayed; all shapes are static."""
    if getattr(model, "ignores_end_of_text", False):
        return {"graphs": _in_graph(model), "shapes": "static", "end_of_text": "ignore"}
    return {"graphs": _in_graph(model), "shapes": "static"}


def _in_graph(model: PreTrainedModel) -> bool:
    """Return whether the model's ``forward`` replays graphs: ``wrap_in_hpu_graph`` patches it and returns the module itself."""
    return "forward" in vars(model)


def _wraps_in_hpu_graph() -> bool:
    """Return whether this DeepSpeed makes an HPU graph where a CUDA graph is asked for: the vendor's releases do.

    The vendor's releases for 1.9 and 1.10 know the device by a function, later releases by their accelerator.
    Source: HabanaAI/DeepSpeed branches 1.10.0 and 1.21.0, deepspeed/inference/engine.py.
    """
    import deepspeed.runtime.utils

    accelerator = getattr(deepspeed, "get_accelerator", None)
    by_accelerator = accelerator is not None and accelerator().device_name() == "hpu"
    return by_accelerator or hasattr(deepspeed.runtime.utils, "get_use_hpu")


def _materialise(model: PreTrainedModel, buffers: dict[str, torch.Tensor], device: torch.device) -> PreTrainedModel:
    """Give every parameter on the meta device memory on ``device``, and every buffer the values in ``buffers``.

    DeepSpeed 0.14.5 and 0.15.4 keep the bias that they cut off a fused query, key and value as a plain tensor; the bias is made
    a parameter again, so that the weights' loader sees it. DeepSpeed also empties the buffers of a model on the meta device: 1.5
    would take its ALiBi slopes from memory that nothing has filled.
    """
    import torch

    for module in model.modules():
        plain = {name: value for name, value in vars(module).items() if isinstance(value, torch.Tensor)}
        for name, tensor in {**module._parameters, **plain}.items():
            if tensor is not None and (name in plain or tensor.device.type != device.type):
                empty = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
                setattr(module, name, torch.nn.Parameter(empty, requires_grad=False))
    for path, buffer in buffers.items():
        parent, _, name = path.rpartition(".")
        module = model.get_submodule(parent)
        # The vendor's DeepSpeed has converted the buffers to the model's precision; they keep that precision.
        module._buffers[name] = buffer.to(module._buffers[name].dtype).to(device)
    return model
