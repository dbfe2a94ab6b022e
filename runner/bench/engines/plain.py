"""transformers as it is; DeepSpeed's automatic tensor parallelism cuts its linear layers where the stack has DeepSpeed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

from runner.bench.devices import Device
from runner.bench.engines import forward_hook as hooks
from runner.contract.records import EngineObserved
from runner.contract.request import Request, Stack, Workload

if TYPE_CHECKING:
    import torch
    from transformers import BloomConfig, GenerationConfig, PreTrainedModel

    from runner.bench.engines import EngineConditions, Inputs, Loaded, Streamer

PADDING: Literal["longest", "max_length"] = "longest"
PACKAGES: dict[str, str] = {}
NAMES: tuple[EngineObserved, ...] = ("transformers", "deepspeed", "deepspeed-autotp")
forward_hook = hooks.on_forward


def launcher(stack: Stack, devices: int) -> str:
    """Return the stack's launcher."""
    return stack.launcher


def variables(request: Request) -> dict[str, str]:
    """Return no variables."""
    return {}


def build(config: BloomConfig, dtype: torch.dtype, request: Request) -> PreTrainedModel:
    """Return transformers' own model on the meta device."""
    import torch
    from transformers import BloomForCausalLM

    with torch.device("meta"):
        return BloomForCausalLM(config).to(dtype)


def shard(
    model: PreTrainedModel,
    request: Request,
    device_module: Device,
    dtype: torch.dtype,
    device: torch.device,
    ranks: int,
) -> tuple[PreTrainedModel, EngineObserved]:
    """Let DeepSpeed cut the model, if the stack has DeepSpeed; else give the whole model memory on ``device``."""
    if "deepspeed" not in request.stack.packages:
        return model.to_empty(device=device), "transformers"
    import deepspeed

    device_module.prepare_collectives()
    deepspeed.init_distributed(dist_backend=device_module.backend)
    engine = deepspeed.init_inference(
        model, tensor_parallel={"tp_size": ranks}, dtype=dtype, replace_with_kernel_inject=False
    )
    return engine.module, "deepspeed-autotp" if ranks > 1 else "deepspeed"


def parameters(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the model's parameters; ``named_parameters`` lists a tied head once, as the embeddings."""
    return dict(model.named_parameters())


def finish(model: PreTrainedModel, request: Request) -> PreTrainedModel:
    """Return the model as it is."""
    return model


def arguments(request: Request) -> dict[str, Any]:
    """Return nothing: ``settings`` has all that a call gets."""
    return {}


def generation_config(model: PreTrainedModel, workload: Workload) -> GenerationConfig:
    """Return the settings of a call, laid over the model's own as transformers lays them."""
    config = copy.deepcopy(model.generation_config)
    config.update(**settings(workload))
    return config


def settings(workload: Workload) -> dict[str, Any]:
    """Return the settings that each call of transformers' ``generate`` gets: greedy decoding with a KV cache."""
    return {"max_new_tokens": workload.output_tokens, "do_sample": False, "num_beams": 1, "use_cache": True}


def generate(loaded: Loaded, inputs: Inputs, workload: Workload, streamer: Streamer | None = None) -> torch.Tensor:
    """Copy the inputs to the device, generate, and copy the ids to the host."""
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    return loaded.model.generate(**moved, **settings(workload), streamer=streamer).cpu()


def conditions(model: PreTrainedModel) -> EngineConditions:
    """Return that this engine makes no graphs, and that its shapes grow with each token."""
    return {"graphs": False, "shapes": "dynamic"}
