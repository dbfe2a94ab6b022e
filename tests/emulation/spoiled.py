"""Load a request's model as a worker does, and spoil what it generates from: position, mask, weights. Run by test_runner.py.

The arguments are the request's file and, last, a folder: rank 0 leaves there the tokens, and what was said of weights.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import torch

from runner.bench import devices
from runner.bench.inputs import weights
from runner.bench.inputs.sharding import Shard
from runner.bench.rank import model
from runner.contract.errors import KitError
from runner.contract.request import read_request


def main(request_path, folder):
    request = read_request(request_path)
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    module = devices.load(request.stack.device)
    loaded = model.load(request, module, module.open(rank), Shard(rank, ranks), None, lambda text: None)
    generate, prompt = loaded.model.generate, request.workload.input_tokens

    def tokens(spoil):
        loaded.model.generate = lambda **arguments: generate(**spoil(arguments))
        return model.generate(loaded, [request.workload.prompt], request.workload).ids[:, prompt:].tolist()

    def behind(arguments):
        return {name: value - 1 if name == "token_idx" else value for name, value in arguments.items()}

    def unmasked(arguments):
        return {**arguments, "attention_mask": torch.ones_like(arguments["attention_mask"])}

    def hidden(arguments):
        mask = arguments["attention_mask"].clone()
        mask[:, 0] = 0
        return {**arguments, "attention_mask": mask}

    seen = {"right": tokens(dict), "behind": tokens(behind), "unmasked": tokens(unmasked), "hidden": tokens(hidden)}
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
    os._exit(0)  # as the worker ends: gloo's threads sometimes die in the interpreter's teardown


def _whole(architecture):
    """Return the dummy weights as a checkpoint holds them: uncut."""
    parameters = {parameter.name: parameter for parameter in architecture.parameters()}
    stored = {name: torch.empty(parameter.shape) for name, parameter in parameters.items()}
    weights.DummyWeights(29, 0.3).fill(parameters, stored, Shard(0, 1))
    return stored


def _said(made, architecture, stored, rank, ranks):
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
