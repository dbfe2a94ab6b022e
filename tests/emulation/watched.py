"""Load a request's model as a worker does, make one call, and tell which functions of torch ran. Run by test_differences.py.

The arguments are the request's file and, last, a folder: rank 0 leaves there what it saw. Shapes are static and no graph is made, so
that every operation of every token is seen.
"""

from __future__ import annotations

import collections
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from runner.bench import devices, engines
from runner.bench.inputs.sharding import Shard
from runner.bench.rank import model
from runner.contract.progress import SILENT
from runner.contract.request import read_request

# what writes into a cache of fixed length, or could
UPDATES = ("index_add_", "index_copy_", "one_hot", "diag_embed")


class Watch(TorchFunctionMode):
    """Count functions by name, and the products with the memory of ``weight`` by the shape of what they multiply with."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.memory = _memory(weight)
        self.counts: collections.Counter[str] = collections.Counter()
        self.products: collections.Counter[str] = collections.Counter()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(function, "__name__", str(function))
        # ids are written too
        if not (name.startswith("index_") and args and not args[0].is_floating_point()):
            self.counts[name] += 1
        if name in ("matmul", "linear"):
            for given in args:
                if isinstance(given, torch.Tensor) and _memory(given) == self.memory:
                    self.products[str(sorted(given.shape))] += 1
        return function(*args, **(kwargs or {}))


def _memory(tensor: torch.Tensor) -> int:
    return tensor.storage().data_ptr()


def main(request_path: str, folder: str) -> None:
    request = read_request(request_path)
    prompt_text = request.workload.prompt
    assert prompt_text is not None, "a latency workload"
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    # as the parent of a worker sets them: before 1.5 ALiBi is cut for the ranks only then
    os.environ.update(engines.load(request.engine).variables(request))
    module = devices.load(request.stack.device)
    loaded = model.load(request, module, module.open(rank), Shard(rank, ranks), None, SILENT)
    with Watch(loaded.model.lm_head.weight) as watch:
        model.generate(loaded, [prompt_text], request.workload)
    seen = {
        "engine": loaded.engine_name,
        "precision": model.observed_precision(loaded),
        "arguments": loaded.arguments,
        "buffers": sorted(name.rpartition(".")[2] for name, _ in loaded.model.named_buffers()),
        "head": dict(watch.products),
        "updates": {name: watch.counts[name] for name in UPDATES if watch.counts[name]},
        "bmm": watch.counts["bmm"],
        "pow": watch.counts["pow"],
    }
    if rank == 0:
        Path(folder, "rank-0.json").write_text(json.dumps(seen))
    # as the worker ends: gloo's threads sometimes die in the interpreter's teardown
    os._exit(0)


if __name__ == "__main__":
    main(*[one for one in sys.argv[1:] if not one.startswith("--local_rank")])
