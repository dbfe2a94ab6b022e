"""The ways to run a BLOOM, one sibling module each; every module satisfies the Protocol ``Engine``.

No other room asks which engine runs: other rooms call the functions of the module that ``load`` returns.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, ContextManager, Dict, Literal, NamedTuple, Protocol, TypedDict, cast

from runner.bench.devices import Device
from runner.bench.inputs.weights import Source
from runner.contract.errors import Unsupported
from runner.contract.records import EngineObserved
from runner.contract.request import Request, Stack, Workload

if TYPE_CHECKING:
    import torch
    from transformers import BloomConfig, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

# Ids and mask, [rows, tokens] each.
Inputs = Dict[str, "torch.Tensor"]


class Streamer(Protocol):
    """The receiver of the prompt and then of each token of ``generate``, with the methods of transformers' streamers."""

    def put(self, value: torch.Tensor) -> None:
        """Take the ids of the prompt at the first call, the ids of a token at every later call."""
        ...

    def end(self) -> None:
        """Take the end of the generation."""
        ...


class _EngineConditions(TypedDict):
    graphs: bool
    shapes: Literal["static", "dynamic", "static cache"]


class EngineConditions(_EngineConditions, total=False):
    """The conditions that the engine alone knows; ``end_of_text`` where the model has an end of text and ignores it."""

    end_of_text: Literal["ignore", "stop"]


class Loaded(NamedTuple):
    """A BLOOM with its weights, as an engine generates with it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    device: torch.device
    # Where the weights came from.
    source: Source
    # The module that generates.
    engine: Engine
    # How the engine cut the model.
    engine_name: EngineObserved
    # What ``Engine.arguments`` returned: every call of ``generate`` gets it.
    arguments: dict[str, Any]
    # Seconds from the model on the meta device to its filled weights.
    load_s: float


class Engine(Protocol):
    """A way to run a BLOOM. The sibling modules satisfy this Protocol: their functions are its methods."""

    PADDING: Literal["longest", "max_length"]
    """How rows of a dataset are padded: to the longest of the batch, or always to as many tokens."""

    PACKAGES: dict[str, str]
    """The packages that a stack must have, each with the series of releases that the engine is written for."""

    NAMES: tuple[EngineObserved, ...]
    """The names that ``shard`` may return, as results have them."""

    def launcher(self, stack: Stack, devices: int) -> str:
        """Return the launcher that starts the ranks."""
        ...

    def variables(self, request: Request) -> dict[str, str]:
        """Return the variables that a rank needs before any import."""
        ...

    def build(self, config: BloomConfig, dtype: torch.dtype, request: Request) -> PreTrainedModel:
        """Return the model with its parameters on the meta device. Raises ``Unsupported`` for another precision."""
        ...

    def shard(
        self,
        model: PreTrainedModel,
        request: Request,
        device_module: Device,
        dtype: torch.dtype,
        device: torch.device,
        ranks: int,
    ) -> tuple[PreTrainedModel, EngineObserved]:
        """Return the model on ``device``, cut for the ranks, with memory that nothing has filled, and the engine's name."""
        ...

    def parameters(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return the parameters to fill by transformers' names, each in the shape of this rank's share."""
        ...

    def finish(self, model: PreTrainedModel, request: Request) -> PreTrainedModel:
        """Return the filled model as it generates. Raises ``Unsupported`` for a model that the engine would use wrongly."""
        ...

    def arguments(self, request: Request) -> dict[str, Any]:
        """Return what every call of ``generate`` gets beside inputs and settings."""
        ...

    def generation_config(self, model: PreTrainedModel, workload: Workload) -> GenerationConfig:
        """Return the settings that ``generate`` works with."""
        ...

    def forward_hook(self, model: PreTrainedModel, token_counts: list[int]) -> ContextManager[None]:
        """Return a context in which each forward pass appends to ``token_counts`` how many tokens of a row it is given."""
        ...

    def generate(
        self, loaded: Loaded, inputs: Inputs, workload: Workload, streamer: Streamer | None = None
    ) -> torch.Tensor:
        """Return ids [rows, input + output tokens] on the host, from ids and mask on the host."""
        ...

    def conditions(self, model: PreTrainedModel) -> EngineConditions:
        """Return the conditions as they really were, once the model has generated, in the words of the claims."""
        ...


_MODULES = {
    "plain": "plain",
    "compiled": "compiled",
    "kernel-injection": "kernel_injection",
    "optimum-habana": "optimum_habana",
}

if TYPE_CHECKING:
    # mypy holds every module against the Protocol here.
    from runner.bench.engines import compiled, kernel_injection, optimum_habana, plain

    _compiled: Engine = compiled
    _kernel_injection: Engine = kernel_injection
    _optimum_habana: Engine = optimum_habana
    _plain: Engine = plain


def load(engine: str) -> Engine:
    """Return the module of an engine that a request names. Raises ``Unsupported`` where this version has no such module."""
    if engine not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise Unsupported(f"The engine {engine} cannot be run by this version, only {known}. Name one with --engine.")
    # mypy has held each module against the Protocol, see above.
    return cast(Engine, importlib.import_module(f"runner.bench.engines.{_MODULES[engine]}"))


def check_packages(engine: str, stack: Stack) -> None:
    """Raise ``Unsupported`` if ``stack`` lacks a package that an engine is written for, or has another series of it."""
    for package, series in load(engine).PACKAGES.items():
        version = stack.packages.get(package)
        if version is None or not f"{version}.".startswith(f"{series}."):
            has = "does not have it" if version is None else f"has {version}"
            raise Unsupported(
                f"The engine {engine} needs {package} {series}; the stack {stack.name} {has}. Make the request with another --engine."
            )
