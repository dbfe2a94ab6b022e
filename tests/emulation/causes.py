"""Decode in bfloat16 with plain transformers, with upstream, and with the reference under every cause. Run by test_arithmetic.py.

``single RELEASE`` is upstream in one process over sentences of several lengths; ``runner RELEASE RANKS`` the reference alone, over the
runner's prompt, which the caller sets beside the runner's tokens. RELEASE is that of optimum-habana. Prints
JSON; tokens are those behind the prompt.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection

import torch
from transformers import GenerationConfig

from runner.contract.records import JsonObject
from tests.emulation import arithmetic, scenario


def model(dtype: torch.dtype = torch.bfloat16) -> torch.nn.Module:
    return scenario.model().to(dtype)


def reference(
    inputs: scenario.Inputs, causes: Collection[str], ranks: int = 1, dtype: torch.dtype = torch.bfloat16
) -> list[list[int]]:
    ids = arithmetic.generate(model(dtype), inputs, scenario.NEW_TOKENS, causes, ranks)
    return ids[:, inputs["input_ids"].shape[1] :].tolist()


def plain(inputs: scenario.Inputs, dtype: torch.dtype = torch.bfloat16) -> list[list[int]]:
    made = model(dtype)
    made.generation_config = GenerationConfig(max_new_tokens=scenario.NEW_TOKENS, pad_token_id=arithmetic.PADDING)
    return made.generate(**inputs, do_sample=False)[:, inputs["input_ids"].shape[1] :].tolist()


def explained(inputs: scenario.Inputs, causes: Collection[str], ranks: int = 1) -> JsonObject:
    """Return what the reference decodes with all causes, with none, with each alone, and with all but each."""
    return {
        "all": reference(inputs, causes, ranks),
        "none": reference(inputs, (), ranks),
        "alone": {cause: reference(inputs, (cause,), ranks) for cause in causes},
        "without": {cause: reference(inputs, [other for other in causes if other != cause], ranks) for cause in causes},
    }


def single(release: str) -> dict[int, JsonObject]:
    batches = {batch: scenario.encoded(batch) for batch in (1, 8)}
    seen = {
        batch: {
            "plain": plain(inputs),
            "float32": {"plain": plain(inputs, torch.float32), "none": reference(inputs, (), dtype=torch.float32)},
            **explained(inputs, arithmetic.of_optimum(release)),
        }
        for batch, inputs in batches.items()
    }
    import habana_frameworks.torch.hpu as hpu

    scenario.adapt()
    for batch, inputs in batches.items():
        ids = scenario.call(hpu.wrap_in_hpu_graph(model().to("hpu")), batch, True)["tokens"]
        seen[batch]["found"] = [row[inputs["input_ids"].shape[1] :] for row in ids]
    return seen


def runner(release: str, ranks: str) -> dict[int, JsonObject]:
    causes, seen = arithmetic.of_runner(release, int(ranks)), {}
    for batch in (1, 8):
        inputs = scenario.tokenizer.kit()(scenario.SENTENCES[:1] * batch, return_tensors="pt")
        seen[batch] = {"plain": plain(inputs), **explained(inputs, causes, int(ranks))}
    return seen


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    print(json.dumps(single(*rest) if kind == "single" else runner(*rest)))
