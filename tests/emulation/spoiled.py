"""Load a request's model as a worker does, and spoil what it generates from: position, mask, weights. Run by test_runner.py.

The arguments are the request's file and, last, a folder: rank 0 leaves there the tokens, and what was said of weights.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Dict

import torch

from runner.bench import devices, engines
from runner.bench.inputs import weights
from runner.bench.inputs.sharding import Shard
from runner.bench.rank import model
from runner.contract.architecture import Architecture
from runner.contract.errors import KitError
from runner.contract.progress import SILENT
from runner.contract.request import read_request

# What a model is called with, by name. This module runs on Python 3.8, which has no dict[...] at run time.
Inputs = Dict[str, torch.Tensor]


def main(request_path: str, folder: str) -> None:
    request = read_request(request_path)
    prompt_text = request.workload.prompt
    assert prompt_text is not None, "a latency workload"
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    # as the parent of a worker sets them: before 1.5 ALiBi is cut for the ranks only then
    os.environ.update(engines.load(request.engine).variables(request))
    module = devices.load(request.stack.device)
    loaded = model.load(request, module, module.open(rank), Shard(rank, ranks), None, SILENT)
    generate, prompt = loaded.model.generate, request.workload.input_tokens
    prompt_text = request.workload.prompt
    assert prompt_text is not None

    def tokens(spoil: Callable[[Inputs], Inputs]) -> list[list[int]]:
        loaded.model.generate = lambda **arguments: generate(**spoil(arguments))
        return model.generate(loaded, [prompt_text], request.workload).ids[:, prompt:].tolist()

    def behind(arguments: Inputs) -> Inputs:
        return {name: value - 1 if name == "token_idx" else value for name, value in arguments.items()}

    def unmasked(arguments: Inputs) -> Inputs:
        return {**arguments, "attention_mask": torch.ones_like(arguments["attention_mask"])}

    def hidden(arguments: Inputs) -> Inputs:
        mask = arguments["attention_mask"].clone()
        mask[:, 0] = 0
        return {**arguments, "attention_mask": mask}

    seen: dict[str, object] = {
        "right": tokens(dict),
        "behind": tokens(behind),
        "unmasked": tokens(unmasked),
        "hidden": tokens(hidden),
    }
    architecture = request.model.architecture
    names = [parameter.name for parameter in architecture.parameters()]
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.zero_()
    seen["weights"] = {
        kind: _said(loaded.model, architecture, stored, rank, ranks)
        for kind, stored in {
            "none": {},
            "of another model": {f"model.{name}": torch.zeros(1) for name in names},
            "of another shape": {name: torch.zeros(1) for name in names},
            "whole": _whole(architecture),
        }.items()
    }
    seen["filled again"] = tokens(dict)
    if rank == 0:
        Path(folder, "rank-0.json").write_text(json.dumps(seen))
    # as the worker ends: gloo's threads sometimes die in the interpreter's teardown
    os._exit(0)


def _whole(architecture: Architecture) -> dict[str, torch.Tensor]:
    """Return the dummy weights as a checkpoint holds them: uncut."""
    parameters = {parameter.name: parameter for parameter in architecture.parameters()}
    stored = {name: torch.empty(parameter.shape) for name, parameter in parameters.items()}
    weights.DummyWeights(29, 0.3).fill(parameters, stored, Shard(0, 1))
    return stored


def _said(
    made: torch.nn.Module, architecture: Architecture, stored: dict[str, torch.Tensor], rank: int, ranks: int
) -> str | None:
    """Return the error that filling a model from a checkpoint with these tensors ends with, None if it does not."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(stored, Path(folder, "pytorch_model.bin"))
        try:
            weights.fill(made, architecture, weights.CheckpointWeights(folder, {}), rank, ranks)
        except KitError as error:
            return str(error).replace(folder, "FOLDER")
        return None


if __name__ == "__main__":
    main(*[one for one in sys.argv[1:] if not one.startswith("--local_rank")])
