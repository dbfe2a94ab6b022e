"""transformers over a cache whose shapes never change, its decode step compiled by torch, which replays CUDA graphs on a GPU.

generate() itself runs the prompt as it comes and compiles what follows ("reduce-overhead" of torch.compile, transformers' default).
More than one device share the linear layers through torch.distributed.tensor.parallel, along the same cuts as DeepSpeed's.
"""

import functools

from runner.bench.engines import passes, plain

PADDING = "max_length"  # another length would be another graph
PACKAGES = {"transformers": "5"}
NAMES = ("transformers-compiled", "transformers-compiled-tp")
watch = passes.as_prepared  # forward itself is compiled: to watch it would compile it again

build, launcher, variables = plain.build, plain.launcher, plain.variables
generation_config, parameters = plain.generation_config, plain.parameters


def shard(model, request, device_module, dtype, device, ranks):
    if ranks == 1:
        return model.to_empty(device=device), NAMES[0]
    import torch.distributed

    torch.distributed.init_process_group(backend=device_module.backend)
    _cut(model, torch.distributed.device_mesh.init_device_mesh(device.type, (ranks,)))
    return model.to_empty(device=device), NAMES[1]


def _cut(model, mesh):
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

    def own(attention_mask, num_heads, dtype):
        alibi = whole(attention_mask, num_heads, dtype)  # [batch * heads, 1, positions]
        per_row = alibi.view(attention_mask.shape[0], num_heads, 1, -1)
        return per_row[:, rank * heads : (rank + 1) * heads].reshape(-1, 1, alibi.shape[-1])

    model.transformer.build_alibi_tensor = own


def finish(model, request):
    model.create_masks_for_generate = _mask
    return model


def _mask(inputs_embeds, attention_mask, past_key_values, **others):
    """Return the mask [batch, positions] from which BLOOM builds its ALiBi; generate() drops one that masks nothing.

    transformers 5.20.2 would hand it a mask of four dimensions, or none, and either fails over a static cache.
    """
    if attention_mask is not None:
        return attention_mask  # BLOOM itself fills it up to the length of the cache
    import torch

    seen = past_key_values.get_seq_length() + inputs_embeds.shape[1]
    positions = torch.arange(past_key_values.get_max_length(), device=inputs_embeds.device)
    return (positions < seen).long().expand(inputs_embeds.shape[0], -1)


def arguments(request):
    """Return the caches of the calls, by batch and length: made once, since a graph is bound to the memory that it writes."""
    return {"caches": {}}


def generate(loaded, inputs, workload, streamer=None):
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    batch, input_tokens = inputs["input_ids"].shape
    return loaded.model.generate(
        **moved,
        **plain.settings(workload),
        past_key_values=_cache(loaded, batch, input_tokens + workload.output_tokens),
        compile_config=_compile_config(),
        streamer=streamer,
    ).cpu()


def _cache(loaded, batch, positions):
    from transformers import StaticCache

    caches = loaded.arguments["caches"]
    if (batch, positions) not in caches:
        caches[batch, positions] = StaticCache(config=loaded.model.config, max_cache_len=positions)
    caches[batch, positions].reset()
    return caches[batch, positions]


@functools.lru_cache(maxsize=1)
def _compile_config():
    from transformers import CompileConfig

    config = CompileConfig(fullgraph=True, dynamic=False)
    config._compile_all_devices = True  # on the CPU too: the same code, though no graphs are replayed there
    return config


def conditions(model):
    """Decoding has static shapes, the prompt runs in its own; CUDA graphs are replayed on a GPU alone."""
    return {"graphs": _captured(model.device), "shapes": "static cache"}


def _captured(device):
    """Return whether torch holds a CUDA graph: it goes without one where it finds a reason to, and tells its log alone."""
    if device.type != "cuda":
        return False
    from torch._inductor import cudagraph_trees

    manager = cudagraph_trees.get_manager(device.index, create_if_none_exists=False)
    return manager is not None and any(manager.roots.values())
