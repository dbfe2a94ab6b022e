"""Build a BLOOM on the meta device, let the engine shard it, fill it, and generate with it greedily."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Sequence

from runner.bench import engines
from runner.bench.devices import Device
from runner.bench.engines import Inputs, Loaded, Streamer
from runner.bench.inputs import checkpoint, weights
from runner.bench.inputs import tokenizer as tokenizers
from runner.bench.inputs.sharding import Shard
from runner.bench.rank.measure import ClockNs, TracedCall
from runner.contract.architecture import Architecture
from runner.contract.progress import Task
from runner.contract.request import Request, Workload

if TYPE_CHECKING:
    import torch
    from transformers import BloomConfig

# The settings that make up greedy generation, and the settings that change neither the tokens nor the way to them.
SETTINGS = ("max_new_tokens", "do_sample", "num_beams", "use_cache", "eos_token_id")
NEUTRAL_SETTINGS = {"transformers_version", "_from_model_config", "bos_token_id", "pad_token_id"}


class Generated(NamedTuple):
    """The return value of one call: ids [rows, input + output tokens] on the host, and the text of each row."""

    ids: torch.Tensor
    texts: list[str]


class Logits(NamedTuple):
    """Whether all logits are finite numbers, and the kind of device that holds them."""

    finite: bool
    device: str


def load(
    request: Request,
    device_module: Device,
    device: torch.device,
    shard: Shard,
    folder: str | None,
    task: Task,
) -> Loaded:
    """Return the request's model with its weights on ``device``, of which this rank holds ``shard``.

    ``folder`` is the model's, None for dummy weights; ``task`` shows progress. Raises ``InputError`` for weights of another model
    and ``LaunchFailed`` where the stack cuts the model otherwise than the kit expects.
    """
    import torch

    started_ns = time.perf_counter_ns()
    architecture, engine = request.model.architecture, engines.load(request.engine)
    dtype = getattr(torch, request.workload.precision)
    tokenizer = (
        tokenizers.kit()
        if folder is None
        else tokenizers.of_model(folder, architecture.vocab_size, request.model.files)
    )
    model = engine.build(_config(architecture, folder), dtype, request).eval()
    model, name = engine.shard(model, request, device_module, dtype, device, shard.ranks)
    # The key must be there with None: generate() takes an absent end of text from the model's own configuration.
    model.generation_config.eos_token_id = tokenizers.END if request.protocol.end_of_text == "stop" else None
    model.generation_config.pad_token_id = tokenizers.PADDING
    embeddings = model.transformer.word_embeddings
    # Leaving the meta device unties the head from the embeddings. A head that is cut stays a parameter of its own.
    if weights.held(model.lm_head.weight).shape == embeddings.weight.shape:
        model.lm_head.weight = embeddings.weight
    source = weights.source(request, folder, on_host=not device_module.has_int64)
    weights.fill_named(engine.parameters(model), architecture, source, shard, task)
    model = engine.finish(model, request)
    device_module.synchronize()
    load_s = (time.perf_counter_ns() - started_ns) / 1e9
    return Loaded(model, tokenizer, device, source, engine, name, engine.arguments(request), load_s)


def _config(architecture: Architecture, folder: str | None) -> BloomConfig:
    """Return the model's configuration. Raises ``InputError`` for a folder whose config.json has other sizes than the request."""
    from transformers import BloomConfig

    sizes = {name: getattr(architecture, name) for name in ("vocab_size", "hidden_size", "n_layer", "n_head")}
    if folder is None:
        return BloomConfig(**sizes, **checkpoint.SPECIAL_IDS)
    stored = checkpoint.settings(folder, architecture)
    return BloomConfig(
        **sizes,
        **checkpoint.SPECIAL_IDS,
        layer_norm_epsilon=stored.layer_norm_epsilon,
        apply_residual_connection_post_layernorm=stored.residual_after_layernorm,
    )


def encode(loaded: Loaded, rows: Sequence[str], input_tokens: int | None = None) -> Inputs:
    """Return ids and mask [rows, tokens] of ``rows`` on the host, padded on the left; cut to ``input_tokens`` if given."""
    options: dict[str, Any] = {"padding": True}
    if input_tokens is not None:
        options = {"truncation": True, "max_length": input_tokens, "padding": loaded.engine.PADDING}
    encoded: Inputs = loaded.tokenizer(rows, return_tensors="pt", **options)
    return encoded


def generate(
    loaded: Loaded,
    rows: Sequence[str],
    workload: Workload,
    streamer: Streamer | None = None,
    input_tokens: int | None = None,
) -> Generated:
    """Make one whole call, as the published scripts time it.

    A call tokenizes, copies to the device, generates greedily with a KV cache, copies to the host (which waits for the device)
    and detokenizes.
    """
    ids = loaded.engine.generate(loaded, encode(loaded, rows, input_tokens), workload, streamer)
    return Generated(ids, loaded.tokenizer.batch_decode(ids, skip_special_tokens=True))


def effective_settings(loaded: Loaded, workload: Workload) -> dict[str, Any]:
    """Return the settings that ``generate`` works with: ``SETTINGS``, and every other setting that the model's own has changed.

    ``checks.generation_settings`` says which settings a request asks for; a penalty that the model's own configuration sets, for example,
    is in the returned settings too.
    """
    config = loaded.engine.generation_config(loaded.model, workload)
    changed = config.to_diff_dict().items()
    other = {name: value for name, value in changed if name not in NEUTRAL_SETTINGS and value not in (None, False)}
    return {**other, **{name: getattr(config, name) for name in SETTINGS}}


class _TokenClock:
    """A streamer that notes when each token is on the host; the first value put is the prompt."""

    def __init__(self, clock_ns: ClockNs) -> None:
        self._clock_ns, self._prompt_seen = clock_ns, False
        self.token_ns: list[int] = []

    def put(self, value: torch.Tensor) -> None:  # noqa: ARG002
        if self._prompt_seen:
            self.token_ns.append(self._clock_ns())
        self._prompt_seen = True

    def end(self) -> None:
        pass


def traced_call(loaded: Loaded, rows: Sequence[str], workload: Workload, clock_ns: ClockNs) -> TracedCall:
    """Make one instrumented call, which waits for every token and notes every forward pass."""
    forward_tokens: list[int] = []
    with loaded.engine.forward_hook(loaded.model, forward_tokens):
        streamer = _TokenClock(clock_ns)
        start_ns = clock_ns()
        generate(loaded, rows, workload, streamer)
        return TracedCall(start_ns, clock_ns(), streamer.token_ns, forward_tokens)


def prompt_logits(loaded: Loaded, rows: Sequence[str]) -> torch.Tensor:
    """Return the logits of the prompt, on the device, without waiting for them."""
    import torch

    with torch.no_grad():
        inputs = {name: value.to(loaded.device) for name, value in encode(loaded, rows).items()}
        logits: torch.Tensor = loaded.model(**inputs).logits
        return logits


def describe_logits(logits: torch.Tensor) -> Logits:
    """Return whether all logits are finite (weights that overflow make tokens without meaning), and where they are."""
    import torch

    return Logits(bool(torch.isfinite(logits).all()), logits.device.type)


def observed_precision(loaded: Loaded) -> str:
    """Return the dtype of the parameters; several dtypes are separated by commas."""
    return ",".join(sorted({str(parameter.dtype).replace("torch.", "") for parameter in loaded.model.parameters()}))


def parameter_bytes(loaded: Loaded) -> tuple[int, list[str]]:
    """Return the bytes of this rank's parameters, and the sorted kinds of device that hold them."""
    parts = [weights.held(parameter) for parameter in loaded.model.parameters()]
    return sum(part.numel() * part.element_size() for part in parts), sorted({part.device.type for part in parts})
