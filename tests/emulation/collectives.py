"""One of two ranks over the stand-in's hccl; prints as JSON what it saw. Run by test_units.py."""

from __future__ import annotations

import json
import os

import habana_frameworks.torch
import torch
import torch.distributed as dist
from habana_frameworks import trace
from habana_frameworks.torch.distributed.hccl import initialize_distributed_hpu

size, rank, local = initialize_distributed_hpu()
dist.init_process_group("hccl", rank=rank, world_size=size)
seen = {"rank": rank, "backend": dist.get_backend(), "reduced": {}}
trace.clear()
for dtype in (torch.float32, torch.bfloat16, torch.int64):
    value = torch.full((2,), rank + 1, dtype=dtype, device="hpu")
    # never waited for, as the vendor's DeepSpeed leaves it to the stream
    handle = dist.all_reduce(value, async_op=True)
    seen["reduced"][str(dtype)] = value.tolist()
    assert handle.wait() and handle.is_completed()
module = torch.nn.Module()
module.forward = lambda x: (dist.all_reduce(x), x)[1]
habana_frameworks.torch.hpu.wrap_in_hpu_graph(module)
seen["graph"] = [module(torch.full((1,), float(start), device="hpu")).cpu().tolist() for start in (1, 10)]
told = torch.full((2,), rank, device="hpu")
dist.broadcast(told, 0)
seen["broadcast"] = told.tolist()
gathered = [None] * size
dist.all_gather_object(gathered, {"rank": rank})
seen["gathered"] = gathered
dist.barrier()
seen["events"] = [event for event in trace.events if event["event"] in ("collective", "capture", "replay")]
print(json.dumps(seen), flush=True)
dist.barrier()
# on torch 2.0.1 one rank of about ten was seen to spin for ever in destroy_process_group
os._exit(0)
