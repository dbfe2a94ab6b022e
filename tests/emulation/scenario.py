"""Generate with a tiny BLOOM as upstream's script does, and tell tokens and calls. Run by test_generation.py and test_ranks.py.

``call`` is one call of the published script from its sentences to tokens on the host: inputs padded to their final length, the
position in ``token_idx``, a fresh GenerationConfig, copied to the host. From 1.8 on ``generate`` pads by itself, and the script asks
for the time of each token. Source: huggingface/optimum-habana@v1.5.0, v1.6.1 and v1.20.0, examples/text-generation/run_generation.py.
"""

from __future__ import annotations

import importlib.metadata as importlib_metadata
import itertools
import json
import sys
import warnings
from collections.abc import Iterable
from typing import Dict

warnings.simplefilter("ignore")

import torch  # noqa: E402
from transformers import BloomConfig, GenerationConfig  # noqa: E402
from transformers.models.bloom import modeling_bloom  # noqa: E402

from runner.bench.inputs import tokenizer, weights  # noqa: E402
from runner.contract.architecture import Architecture  # noqa: E402
from runner.contract.records import JsonObject  # noqa: E402

# What a model is called with, by name. This module runs on Python 3.8, which has no dict[...] at run time.
Inputs = Dict[str, torch.Tensor]

TINY = Architecture(512, 128, 2, 4)
NEW_TOKENS = 100
SENTENCES = [
    "DeepSpeed is a machine learning framework",
    "He is working on",
    "He has a",
    "He got all",
    "Everyone is happy and I can",
    "The new movie that got Oscar this year",
    "In the far far distance from our galaxy,",
    "Peace is the only way",
]


def config() -> BloomConfig:
    sizes = {name: getattr(TINY, name) for name in ("vocab_size", "hidden_size", "n_layer", "n_head")}
    return BloomConfig(**sizes, unk_token_id=0, bos_token_id=1, eos_token_id=2, pad_token_id=3)


def model() -> torch.nn.Module:
    """Return a BLOOM with the kit's dummy weights. The class is asked for by its module, where upstream puts its own."""
    made = modeling_bloom.BloomForCausalLM(config()).eval()
    made.tie_weights()
    weights.fill(made, TINY, weights.DummyWeights(29, 0.3), 0, 1)
    return made


def encoded(batch: int) -> Inputs:
    return tokenizer.kit()(SENTENCES[:batch], return_tensors="pt", padding=True)


def plain(batch: int) -> list[list[int]]:
    """Return the tokens of plain transformers, which must not have been adapted yet; end of text is ignored, as in lazy mode."""
    made = model()
    # None would be filled in from the model's own configuration
    made.generation_config = GenerationConfig(max_new_tokens=NEW_TOKENS, pad_token_id=3)
    return made.generate(**encoded(batch), do_sample=False).tolist()


def adapt() -> None:
    from optimum.habana.transformers.modeling_utils import adapt_transformers_to_gaudi

    adapt_transformers_to_gaudi()


def call(
    made: torch.nn.Module, batch: int, graphs: bool, padded: bool = False, behind: int = 0, unmasked: bool = False
) -> JsonObject:
    """Make one call as upstream does; ``behind`` and ``unmasked`` make it wrong. Returns tokens and events.

    ``padded`` comes padded where upstream's ``generate`` would do it: then it can be wrong there too.
    """
    from habana_frameworks import trace

    # asked for again: the newer upstream puts its own class in this place
    from transformers.generation import GenerationConfig

    inputs, events = encoded(batch), len(trace.events)
    settings = GenerationConfig(max_new_tokens=NEW_TOKENS, use_cache=True)
    pads_itself = hasattr(settings, "static_shapes")
    flags: JsonObject = {"lazy_mode": True, "hpu_graphs": graphs}
    if pads_itself:
        flags.update(ignore_eos=True, iteration_times=[])
        settings.static_shapes = not padded
    if padded or not pads_itself:
        length = inputs["input_ids"].shape[1]
        pad = torch.nn.functional.pad
        inputs["input_ids"] = pad(inputs["input_ids"], (0, NEW_TOKENS), value=3)
        inputs["attention_mask"] = pad(inputs["attention_mask"], (0, NEW_TOKENS), value=int(unmasked))
        inputs["token_idx"] = torch.tensor(length - behind, device="hpu")
    inputs = {name: value.to("hpu") for name, value in inputs.items()}
    ids = made.generate(**inputs, generation_config=settings, **flags).cpu()
    return {"tokens": ids.tolist(), "events": told(trace.events[events:])}


def told(events: Iterable[JsonObject]) -> list[JsonObject]:
    """Return events in order, equal neighbours as one with ``times``."""
    rows = [json.dumps({**event, "times": 1}, sort_keys=True) for event in events]
    return [{**json.loads(row), "times": len(list(same))} for row, same in itertools.groupby(rows)]


def single() -> JsonObject:
    """Plain tokens first, then three calls of each kind on one model, as the script's warm-up makes them."""
    import habana_frameworks.torch.hpu as hpu

    seen = {"torch": torch.__version__, "plain": {batch: plain(batch) for batch in (1, 8)}, "runs": []}
    adapt()
    for graphs, batch in itertools.product((False, True), (1, 8)):
        made = model().to("hpu")
        made = hpu.wrap_in_hpu_graph(made) if graphs else made
        calls = [call(made, batch, graphs) for _ in range(3)]
        seen["runs"].append({"graphs": graphs, "batch": batch, "calls": calls})
    made = hpu.wrap_in_hpu_graph(model().to("hpu"))
    seen["padded"] = {
        "right": call(made, 1, True, padded=True)["tokens"],
        "behind": call(made, 1, True, padded=True, behind=1)["tokens"],
        "unmasked": call(made, 1, True, padded=True, unmasked=True)["tokens"],
    }
    seen["class"] = type(made).__name__
    seen.update(
        {name: importlib_metadata.version(name) for name in ("optimum-habana", "transformers", "habana-torch-plugin")}
    )
    seen["python"] = "{}.{}".format(*sys.version_info[:2])
    return seen


def growing() -> JsonObject:
    """Plain transformers, whose shapes grow, under the same graphs: what the trace must show to be worth anything."""
    import habana_frameworks.torch.hpu as hpu
    from habana_frameworks import trace

    made = hpu.wrap_in_hpu_graph(model().to("hpu"))
    made.generation_config = GenerationConfig(max_new_tokens=20, pad_token_id=3, eos_token_id=2)
    events = len(trace.events)
    ids = made.generate(**{name: value.to("hpu") for name, value in encoded(1).items()}, do_sample=False)
    return {
        "events": told(trace.events[events:]),
        "tokens": ids.cpu().tolist(),
        "new": ids.shape[1] - encoded(1)["input_ids"].shape[1],
    }


if __name__ == "__main__":
    print(json.dumps({"single": single, "growing": growing}[sys.argv[1]]()))
