"""transformers over a cache whose shapes never change, its decode step compiled by torch, which replays CUDA graphs on a GPU.

generate() runs the prompt uncompiled and compiles the decode step ("reduce-overhead" of torch.compile, transformers' default).
Several devices share the linear layers through torch.distributed.tensor.parallel, cut along the same dimensions as DeepSpeed's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

from runner.bench.devices import Device
from runner.bench.engines import forward_hook as hooks
from runner.bench.engines import plain
from runner.contract.records import EngineObserved
from runner.contract.request import Request, Workload

if TYPE_CHECKING:
    import torch
    from torch.distributed.device_mesh import DeviceMesh
    from transformers import CompileConfig, PreTrainedModel, StaticCache

    from runner.bench.engines import EngineConditions, Inputs, Loaded, Streamer

# Rows of another length would need another graph.
PADDING: Literal["longest", "max_length"] = "max_length"
PACKAGES: dict[str, str] = {"transformers": "5"}
NAMES: tuple[EngineObserved, ...] = ("transformers-compiled", "transformers-compiled-tp")
# A hook on ``forward``, which is compiled, would compile it again.
forward_hook = hooks.on_prepare

build, launcher, variables = plain.build, plain.launcher, plain.variables
generation_config, parameters = plain.generation_config, plain.parameters


def shard(
    model: PreTrainedModel,
    request: Request,
    device_module: Device,
    dtype: torch.dtype,
    device: torch.device,
    ranks: int,
) -> tuple[PreTrainedModel, EngineObserved]:
    """Cut the model for several ranks, and give it memory on ``device``."""
    if ranks == 1:
        return model.to_empty(device=device), "transformers-compiled"
    import torch.distributed

    torch.distributed.init_process_group(backend=device_module.backend)
    _cut(model, torch.distributed.device_mesh.init_device_mesh(device.type, (ranks,)))
    return model.to_empty(device=device), "transformers-compiled-tp"


def _cut(model: PreTrainedModel, mesh: DeviceMesh) -> None:
    """Cut the linear layers along the heads and the LM head along its inputs; each rank attends with its own heads."""
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan = {
        "transformer.h.*.self_attention.query_key_value": ColwiseParallel(),
        "transformer.h.*.self_attention.dense": RowwiseParallel(),
        "transformer.h.*.mlp.dense_h_to_4h": ColwiseParallel(),
        "transformer.h.*.mlp.dense_4h_to_h": RowwiseParallel(),
        "lm_head": RowwiseParallel(input_layouts=Replicate()),
    }
    parallelize_module(model, mesh, plan)
    rank, ranks = mesh.get_local_rank(), mesh.size()
    heads = model.config.n_head // ranks
    for block in model.transformer.h:
        block.self_attention.num_heads = heads
    whole = model.transformer.build_alibi_tensor

    def of_rank(attention_mask: torch.Tensor, num_heads: int, dtype: torch.dtype) -> torch.Tensor:
        # ALiBi has the shape [batch * heads, 1, positions]
        alibi = whole(attention_mask, num_heads, dtype)
        per_row = alibi.view(attention_mask.shape[0], num_heads, 1, -1)
        return per_row[:, rank * heads : (rank + 1) * heads].reshape(-1, 1, alibi.shape[-1])

    model.transformer.build_alibi_tensor = of_rank


def finish(model: PreTrainedModel, request: Request) -> PreTrainedModel:
    """Give the model the function that makes its attention mask over a static cache."""
    model.create_masks_for_generate = _mask
    return model


def _mask(
    inputs_embeds: torch.Tensor, attention_mask: torch.Tensor | None, past_key_values: StaticCache, **_others: object
) -> torch.Tensor:
    """Return the mask [batch, positions] from which BLOOM builds its ALiBi; generate() drops a mask that masks nothing.

    transformers 5.20.2 would hand BLOOM a mask of four dimensions, or no mask; over a static cache BLOOM fails with both.
    """
    if attention_mask is not None:
        # BLOOM itself extends the mask to the length of the cache.
        return attention_mask
    import torch

    seen = past_key_values.get_seq_length() + inputs_embeds.shape[1]
    positions = torch.arange(past_key_values.get_max_length(), device=inputs_embeds.device)
    return (positions < seen).long().expand(inputs_embeds.shape[0], -1)


def arguments(request: Request) -> dict[str, Any]:
    """Return the caches of the calls, by batch and length: made once, since a graph is bound to the memory that it writes."""
    return {"caches": {}}


def generate(loaded: Loaded, inputs: Inputs, workload: Workload, streamer: Streamer | None = None) -> torch.Tensor:
    """Copy the inputs to the device, generate over the cache of their size, and copy the ids to the host."""
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    batch, input_tokens = inputs["input_ids"].shape
    return loaded.model.generate(
        **moved,
        **plain.settings(workload),
        past_key_values=_cache(loaded, batch, input_tokens + workload.output_tokens),
        compile_config=_compile_config(),
        streamer=streamer,
    ).cpu()


def _cache(loaded: Loaded, batch: int, positions: int) -> StaticCache:
    """Return the emptied cache for ``batch`` rows of ``positions`` tokens."""
    from transformers import StaticCache

    caches = loaded.arguments["caches"]
    if (batch, positions) not in caches:
        caches[batch, positions] = StaticCache(config=loaded.model.config, max_cache_len=positions)
    caches[batch, positions].reset()
    return caches[batch, positions]


@functools.lru_cache(maxsize=1)
def _compile_config() -> CompileConfig:
    from transformers import CompileConfig

    config = CompileConfig(fullgraph=True, dynamic=False)
    # Compile on the CPU too: the CPU runs the same code, though it replays no graphs.
    config._compile_all_devices = True
    return config


def conditions(model: PreTrainedModel) -> EngineConditions:
    """Return whether CUDA graphs were replayed, which a GPU alone does.

    Decoding has the static shapes of the cache; the prompt runs in its own shape.
    """
    return {"graphs": _captured(model.device), "shapes": "static cache"}


def _captured(device: torch.device) -> bool:
    """Return whether torch holds a CUDA graph. Where torch finds a reason against graphs, only its log says so."""
    if device.type != "cuda":
        return False
    from torch._inductor import cudagraph_trees

    manager = cudagraph_trees.get_manager(device.index, create_if_none_exists=False)
    return manager is not None and any(manager.roots.values())
