"""transformers as it is, its linear layers cut by DeepSpeed's automatic tensor parallelism where the stack has DeepSpeed."""

import copy

from runner.bench.engines import passes

PADDING = "longest"
PACKAGES: dict = {}
NAMES = ("transformers", "deepspeed", "deepspeed-autotp")
watch = passes.of_forward


def launcher(stack, devices):
    return stack.launcher


def variables(request):
    return {}


def build(config, dtype, request):
    import torch
    from transformers import BloomForCausalLM

    with torch.device("meta"):
        return BloomForCausalLM(config).to(dtype)


def shard(model, request, device_module, dtype, device, ranks):
    if "deepspeed" not in request.stack.packages:
        return model.to_empty(device=device), NAMES[0]
    import deepspeed

    device_module.prepare_collectives()
    deepspeed.init_distributed(dist_backend=device_module.backend)
    engine = deepspeed.init_inference(
        model, tensor_parallel={"tp_size": ranks}, dtype=dtype, replace_with_kernel_inject=False
    )
    return engine.module, NAMES[2 if ranks > 1 else 1]


def parameters(model):
    return dict(model.named_parameters())  # a tied head is not listed twice


def finish(model, request):
    return model


def arguments(request):
    return {}


def generation_config(model, workload):
    """Return what the call is given, laid over the model's own, as transformers lays it."""
    own = copy.deepcopy(model.generation_config)
    own.update(**settings(workload))
    return own


def settings(workload):
    return {"max_new_tokens": workload.output_tokens, "do_sample": False, "num_beams": 1, "use_cache": True}


def generate(loaded, inputs, workload, streamer=None):
    moved = {name: value.to(loaded.device) for name, value in inputs.items()}
    return loaded.model.generate(**moved, **settings(workload), streamer=streamer).cpu()


def conditions(model):
    """This engine makes no graphs, and its shapes grow with each token."""
    return {"graphs": False, "shapes": "dynamic"}
