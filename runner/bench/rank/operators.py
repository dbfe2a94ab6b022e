"""Count the operators of one more call of generate, made under torch's profiler once all else has been measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.bench.devices import Device
from runner.bench.engines import Loaded
from runner.bench.rank import model
from runner.contract.progress import Step, Task
from runner.contract.records import Operators
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch

# One forward pass over the prompt and three over one token each show every operator of a call.
TOKENS = 4


class _Enough(Exception):
    """Ends a call of generate from inside its streamer."""


class _FirstTokens:
    """A streamer that keeps the ids of the first tokens and then ends the call; the first value put is the prompt.

    A workload of fewer tokens would end as early, but engines make shapes, caches and graphs from the workload.
    """

    def __init__(self) -> None:
        self._prompt_seen = False
        # [Tokens][rows].
        self.ids: list[list[int]] = []

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_seen:
            self.ids.append(value.reshape(-1).tolist())
        self._prompt_seen = True
        if len(self.ids) == TOKENS:
            raise _Enough

    def end(self) -> None:
        pass


def run(request: Request, loaded: Loaded, device_module: Device, task: Task) -> Operators | None:
    """Return what ran in the first tokens of one more call of the request's prompt; None where the device cannot tell.

    Every rank makes the call, since the ranks share each forward pass.
    """
    if "operators" in device_module.cannot_tell:
        task.line(f"operators are not counted: {device_module.cannot_tell['operators']}")
        return None
    workload = request.workload
    # ``bench`` refuses to count the operators of a dataset.
    assert workload.prompt is not None
    rows = [workload.prompt] * workload.batch_size
    task.update(Step(f"one more call of {TOKENS} tokens, whose operators are counted"))
    streamer = _FirstTokens()

    def call() -> None:
        try:
            model.generate(loaded, rows, workload, streamer)
        except _Enough:
            # What the device still works on belongs to the call.
            device_module.synchronize()

    profile = device_module.profiled(call)
    return {
        "output_tokens": len(streamer.ids),
        "output_ids": [list(row) for row in zip(*streamer.ids)],
        "calls": profile.calls,
        "kernels": profile.kernels,
    }
