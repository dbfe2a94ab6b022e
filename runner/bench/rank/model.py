"""Build a BLOOM on the meta device, let the engine shard it, fill it, and generate with it greedily."""

import time
from collections import namedtuple

from runner.bench import engines
from runner.bench.inputs import checkpoint, weights
from runner.bench.inputs import tokenizer as tokenizers
from runner.bench.rank.measure import TracedCall

# source: where the weights came from; engine: the module that generates, engine_name: how it cut the model; arguments: what
# each of its calls gets; load_s: from the meta device to filled weights
Loaded = namedtuple("Loaded", "model tokenizer device source engine engine_name arguments load_s")

# What greedy generation is made of, and settings that change neither which tokens come out nor how they are found.
SETTINGS = ("max_new_tokens", "do_sample", "num_beams", "use_cache", "eos_token_id")
NEUTRAL_SETTINGS = {"transformers_version", "_from_model_config", "bos_token_id", "pad_token_id"}

# What one call returned: ids [batch, input + output] on the host, and the texts.
Generated = namedtuple("Generated", "ids texts")


def load(request, device_module, device, rank, ranks, folder, say):
    """Return a ``Loaded`` model, its weights materialised shard by shard on ``device``.

    ``folder`` is None for dummy weights; ``say`` shows progress.
    """
    import torch

    started_ns = time.perf_counter_ns()
    architecture, engine = request.model.architecture, engines.load(request.engine)
    dtype = getattr(torch, request.workload.precision)
    tokenizer = (
        tokenizers.kit() if folder is None else tokenizers.own(folder, architecture.vocab_size, request.model.files)
    )
    model = engine.build(_config(architecture, folder), dtype, request).eval()
    model, name = engine.shard(model, request, device_module, dtype, device, ranks)
    # None, not a missing key: generate() reads an absent end of text from the model's own configuration
    model.generation_config.eos_token_id = tokenizers.END if request.protocol.end_of_text == "stop" else None
    model.generation_config.pad_token_id = tokenizers.PADDING
    embeddings = model.transformer.word_embeddings
    if weights.held(model.lm_head.weight).shape == embeddings.weight.shape:  # a head that is cut stays its own
        model.lm_head.weight = embeddings.weight  # leaving the meta device unties them
    source = weights.source(request, folder)
    weights.fill_named(engine.parameters(model), architecture, source, rank, ranks, say)
    model = engine.finish(model, request)
    device_module.synchronize()
    load_s = (time.perf_counter_ns() - started_ns) / 1e9
    return Loaded(model, tokenizer, device, source, engine, name, engine.arguments(request), load_s)


def _config(architecture, folder):
    """Return the model's configuration; a folder's own must have the sizes that the request names."""
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


def encode(loaded, rows, input_tokens=None):
    """Return ids and mask [batch, tokens] of ``rows`` on the host, padded on the left; cut to ``input_tokens`` if given."""
    if input_tokens is None:
        return loaded.tokenizer(rows, return_tensors="pt", padding=True)
    cut = {"truncation": True, "max_length": input_tokens, "padding": loaded.engine.PADDING}
    return loaded.tokenizer(rows, return_tensors="pt", **cut)


def generate(loaded, rows, workload, streamer=None, input_tokens=None):
    """Make one whole call, as the published scripts time it, and return a ``Generated``.

    Tokenize, copy to the device, generate greedily with a KV cache, copy to the host (which waits for the device),
    detokenize.
    """
    ids = loaded.engine.generate(loaded, encode(loaded, rows, input_tokens), workload, streamer)
    return Generated(ids, loaded.tokenizer.batch_decode(ids, skip_special_tokens=True))


def effective_settings(loaded, workload):
    """Return the settings that ``generate`` works with.

    ``checks.generation`` says what is wanted; whatever else is set, a penalty of the model's own say, is there too.
    """
    config = loaded.engine.generation_config(loaded.model, workload)
    differs = config.to_diff_dict().items()
    other = {name: value for name, value in differs if name not in NEUTRAL_SETTINGS and value not in (None, False)}
    return {**other, **{name: getattr(config, name) for name in SETTINGS}}


class _TokenClock:
    """A streamer that notes when each token is on the host; the first thing put is the prompt."""

    def __init__(self, clock_ns):
        self._clock_ns, self._prompt_seen, self.token_ns = clock_ns, False, []

    def put(self, value):
        if self._prompt_seen:
            self.token_ns.append(self._clock_ns())
        self._prompt_seen = True

    def end(self):
        pass


def traced_call(loaded, rows, workload, clock_ns):
    """Make one instrumented call: every token is waited for, every forward pass noted. Returns a ``TracedCall``."""
    forward_tokens: list = []
    with loaded.engine.watch(loaded.model, forward_tokens):
        streamer = _TokenClock(clock_ns)
        start_ns = clock_ns()
        generate(loaded, rows, workload, streamer)
        return TracedCall(start_ns, clock_ns(), streamer.token_ns, forward_tokens)


def prompt_logits(loaded, rows):
    """Return the logits after the prompt, on the device and not waited for."""
    import torch

    with torch.no_grad():
        inputs = {name: value.to(loaded.device) for name, value in encode(loaded, rows).items()}
        return loaded.model(**inputs).logits


def describe_logits(logits):
    """Return whether all are finite numbers (weights that overflow make tokens without meaning), and on which kind of device."""
    import torch

    return {"finite": bool(torch.isfinite(logits).all()), "on": logits.device.type}


def observed_precision(loaded):
    """Return the dtype of the parameters, comma-separated if they differ."""
    return ",".join(sorted({str(parameter.dtype).replace("torch.", "") for parameter in loaded.model.parameters()}))


def parameter_bytes(loaded):
    """Return the bytes of this rank's parameters and the kinds of device that they are on."""
    held = [weights.held(parameter) for parameter in loaded.model.parameters()]
    return sum(part.numel() * part.element_size() for part in held), sorted({part.device.type for part in held})
