"""One rank of a BLOOM sharded by the stack's DeepSpeed, started by its launcher. Run by test_ranks.py.

The last argument is a folder, into which each rank writes what it saw. Weights are sharded from a whole model, which every DeepSpeed
of the stacks' time can. The vendor's fork moves the model to the device and wraps it itself; a public DeepSpeed does neither, so it is
done here, behind it.
"""

from __future__ import annotations

import json
import os
import sys

import deepspeed
import habana_frameworks.torch as hpu_torch
import torch
from habana_frameworks import trace
from habana_frameworks.torch.distributed.hccl import initialize_distributed_hpu

from tests.emulation import scenario


def main(folder: str) -> None:
    # as the script of 1.8 sets it, in whose model ALiBi is cut for the ranks only then; later releases read it no more
    os.environ.setdefault("WA_BETA_ALIBI", "1")
    size, rank, _ = initialize_distributed_hpu()
    # its shared-memory all-reduce is compiled on first use, and leaves 66 MiB per rank behind in /dev/shm
    getattr(deepspeed.ops, "__compatible_ops__", {})["deepspeed_shm_comm"] = False
    plain = {batch: scenario.plain(batch) for batch in (1, 8)} if rank == 0 else None
    deepspeed.init_distributed(dist_backend="hccl")
    scenario.adapt()
    made = _sharded(size)
    seen = {
        "deepspeed": deepspeed.__version__,
        "plain": plain,
        "shard": list(made.transformer.h[0].mlp.dense_h_to_4h.weight.shape),
        "device": str(made.transformer.h[0].mlp.dense_h_to_4h.weight.device),
        "set_up": scenario.told([event for event in trace.events if event["event"] == "collective"]),
        "calls": {batch: [scenario.call(made, batch, True) for _ in range(2)] for batch in (1, 8)},
    }
    with open(os.path.join(folder, f"rank-{rank}.json"), "w") as file:
        json.dump(seen, file)
    torch.distributed.barrier()
    # the launcher's ranks sometimes die in the interpreter's teardown of gloo's threads
    os._exit(0)


def _sharded(size: int) -> torch.nn.Module:
    from transformers.models.bloom.modeling_bloom import BloomBlock

    engine = deepspeed.init_inference(
        scenario.model(),
        dtype=torch.float32,
        tensor_parallel={"tp_size": size},
        injection_policy={BloomBlock: ("self_attention.dense", "mlp.dense_4h_to_h")},
        enable_cuda_graph=False,
    )
    made = engine.module.to("hpu")
    # 1.5.0, as its script does
    if hasattr(made, "split_lm_head"):
        made.split_lm_head()
    return hpu_torch.hpu.wrap_in_hpu_graph(made)


if __name__ == "__main__":
    main(sys.argv[-1])
