"""Load a request's model as a worker does, make one call, and tell every operator of torch in order. Run by tests/emulation/calls.py.

The arguments are the request's file and, last, a folder: each rank leaves there what it saw. torch's dispatcher tells an operator by its
name and the shapes of the tensors that came out. torch.compile refuses to run under such a watch, so torch's profiler watches what is
compiled, and tells an operator by its name and the shapes of the tensors that went in. Operators are cut at each forward pass.
This script has a folder without ``habana_frameworks``: Python looks first where a script lies, and a CPU must not find the stand-in.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from runner.bench import devices, engines
from runner.bench.devices import compiling
from runner.bench.inputs.sharding import Shard
from runner.bench.rank import model
from runner.contract.progress import SILENT
from runner.contract.request import read_request

if TYPE_CHECKING:
    Numbers = list[int]
else:
    # Python 3.8 has no list[...] at run time
    Numbers = list

PASS = "forward pass"


class Dispatched(TorchDispatchMode):
    """Note operators by name and the shapes of what they return; ``begin_pass`` notes the beginning of a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def __torch_dispatch__(
        self,
        function: Any,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        shapes = [str(list(tensor.shape)) for tensor in _tensors(result)]
        self.noted.append(" ".join([function._schema.name, *shapes]))
        return result

    def begin_pass(self) -> None:
        self.noted.append(PASS)


class Profiled:
    """Note operators by name and the shapes of what they are given, of compiled code too."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self._profiler = torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True, acc_events=True
        )

    def __enter__(self) -> Profiled:
        self._profiler.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._profiler.__exit__(*problem)
        # a caller begins with its first callee, and ends after it
        events = sorted(self._profiler.events(), key=lambda event: (event.time_range.start, -event.time_range.end))
        for event in events:
            name = "compiled graph" if event.name.startswith("## Call CompiledFxGraph") else event.name
            # the time of the day decides whether the profiler itself is seen
            if not name.startswith("profiler::") and name != "PyTorch Profiler (0)":
                shapes = [str(shape) for shape in event.input_shapes or [] if shape]
                self.noted.append(" ".join([name, *shapes]))

    def begin_pass(self) -> None:
        with torch.profiler.record_function(PASS):
            pass


class Passes(Numbers):
    """The list to which a forward hook appends the tokens of each pass; each appended pass calls ``begin``."""

    def __init__(self, begin: Callable[[], object]) -> None:
        super().__init__()
        self._begin = begin

    def append(self, tokens: int) -> None:
        self._begin()
        super().append(tokens)


def _tensors(values: object) -> Iterator[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


def _passes(noted: list[str]) -> list[list[str]]:
    """Return what was noted, cut where a pass begins; the first list is what comes before the first pass."""
    passes: list[list[str]] = [[]]
    for one in noted:
        if one == PASS:
            passes.append([])
        else:
            passes[-1].append(one)
    return passes


def main(request_path: str, folder: str) -> None:
    request = read_request(request_path)
    prompt_text = request.workload.prompt
    assert prompt_text is not None, "a latency workload"
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    # as the parent of a worker sets them: before 1.5 ALiBi is cut for the ranks only then
    os.environ.update(engines.load(request.engine).variables(request))
    module = devices.load(request.stack.device)
    loaded = model.load(request, module, module.open(rank), Shard(rank, ranks), None, SILENT)
    prompts = [prompt_text] * request.workload.batch_size
    # what is made once, such as a cache or a graph, is made here
    ids = model.generate(loaded, prompts, request.workload).ids
    graphs = compiling.graphs()
    watch = Profiled() if graphs else Dispatched()
    tokens = Passes(watch.begin_pass)
    with contextlib.ExitStack() as stack:
        stack.enter_context(loaded.engine.forward_hook(loaded.model, tokens))
        stack.enter_context(watch)
        again = model.generate(loaded, prompts, request.workload).ids
    assert ids.tolist() == again.tolist(), "watching changes no token"
    passes = _passes(watch.noted)
    assert len(passes) == len(tokens) + 1
    seen = {
        "engine": loaded.engine_name,
        "seen_by": "torch's profiler" if graphs else "torch's dispatcher",
        "graphs": graphs,
        "passes": passes,
    }
    Path(folder, f"rank-{rank}.json").write_text(json.dumps(seen))
    sys.stdout.flush()
    # as the worker ends: gloo's threads sometimes die in the interpreter's teardown
    os._exit(0)


if __name__ == "__main__":
    main(*[one for one in sys.argv[1:] if not one.startswith("--local_rank")])
