"""Fill a model's parameters, one shard of one parameter at a time; no rank ever holds more than its own shards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Mapping, Protocol

from runner.bench.inputs.checkpoint_weights import CheckpointWeights
from runner.bench.inputs.dummy_weights import DummyWeights
from runner.bench.inputs.sharding import Shard
from runner.contract.architecture import Architecture, Parameter
from runner.contract.errors import LaunchFailed
from runner.contract.progress import SILENT, Step, Task
from runner.contract.records import LoadedWeights
from runner.contract.request import Request

if TYPE_CHECKING:
    import torch

# Seconds between two updates of progress.
PROGRESS_S = 1.0


class Source(Protocol):
    """Where weights come from: ``DummyWeights`` or ``CheckpointWeights``."""

    def fill(
        self,
        parameters: Mapping[str, Parameter],
        targets: Mapping[str, torch.Tensor],
        shard: Shard,
        filled: Callable[[str], None] = ...,
    ) -> None:
        """Fill every target or raise: weights that load nothing must never be measured.

        ``parameters`` maps names to whole parameters, ``targets`` maps some of the names to this rank's tensors of the shape
        ``shard.shape(parameter)``. ``filled`` is called with each name that is done.
        """
        ...

    def describe(self) -> LoadedWeights:
        """Return where the weights came from, as results have it."""
        ...


def source(request: Request, folder: str | None, on_host: bool = False) -> Source:
    """Return the source of the weights that a request asks for; ``folder`` is the model's, None for dummy weights.

    ``on_host`` makes dummy weights on the host, see ``DummyWeights``.
    """
    if folder is not None:
        return CheckpointWeights(folder, request.model.files)
    seed, std = request.weights.seed, request.weights.std
    # ``Weights.from_fields`` gives dummy weights both numbers.
    assert seed is not None and std is not None
    return DummyWeights(seed, std, on_host)


def fill(
    model: torch.nn.Module,
    architecture: Architecture,
    source: Source,
    rank: int,
    ranks: int,
    task: Task = SILENT,
) -> None:
    """Fill all parameters of a ``BloomForCausalLM`` (whole, or sharded by DeepSpeed) from ``source``; see ``fill_named``."""
    # named_parameters lists a tied head once, as the embeddings.
    fill_named(dict(model.named_parameters()), architecture, source, Shard(rank, ranks), task)


def fill_named(
    parameters: Mapping[str, torch.Tensor],
    architecture: Architecture,
    source: Source,
    shard: Shard,
    task: Task = SILENT,
) -> None:
    """Fill the tensors of this rank, given by the names that transformers has for them, from ``source``.

    ``task`` shows progress, at most every ``PROGRESS_S`` seconds.
    Raises ``LaunchFailed`` if the model's shapes are not those that the architecture and the shard prescribe.
    """
    import torch

    expected = {parameter.name: parameter for parameter in architecture.parameters()}
    expected["lm_head.weight"] = architecture.head_shard()
    targets = {name: held(parameter) for name, parameter in parameters.items()}
    for name, target in targets.items():
        shape = shard.shape(expected[name]) if name in expected else None
        if shape is None or tuple(target.shape) != shape:
            raise LaunchFailed(
                f"Rank {shard.rank} of {shard.ranks}: {name} is {tuple(target.shape)}, {shape} was expected. The stack shards"
                " BLOOM otherwise."
            )
    missing = sorted(set(expected) - set(targets) - {"lm_head.weight"})
    if missing:
        raise LaunchFailed(
            f"Rank {shard.rank} of {shard.ranks}: the model has no parameter {missing[0]} ({len(missing)} are missing). It would"
            " generate from memory that nobody filled; the stack shards BLOOM otherwise."
        )
    with torch.no_grad():
        source.fill(expected, targets, shard, _progress(targets, task))


def held(parameter: torch.Tensor) -> torch.Tensor:
    """Return this rank's part of a parameter that torch knows to be cut, else the parameter itself."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def _progress(targets: Mapping[str, torch.Tensor], task: Task) -> Callable[[str], None]:
    """Return a function that counts the bytes of filled targets and shows the count now and then."""
    sizes_bytes = {name: target.numel() * target.element_size() for name, target in targets.items()}
    total_bytes, done_bytes, shown_at_s = sum(sizes_bytes.values()), 0, time.monotonic()

    def filled(name: str) -> None:
        nonlocal done_bytes, shown_at_s
        done_bytes += sizes_bytes[name]
        if time.monotonic() - shown_at_s >= PROGRESS_S:
            shown_at_s = time.monotonic()
            sentence = f"loaded {done_bytes / 1e9:.1f} of {total_bytes / 1e9:.1f} GB of this rank's weights"
            task.update(Step("loading weights", done_bytes, total_bytes, "bytes", sentence))

    return filled
