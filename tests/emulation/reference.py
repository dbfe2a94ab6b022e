"""What the runner must give on the Gaudi stacks: the tokens of plain transformers, and a dataset that both complete."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.files import sha256_of_file
from runner.contract.progress import SILENT
from runner.contract.request import Dataset
from runner.host import paths
from runner.host.readers import catalog
from tests.support import samples
from tests.support.plain_transformers import plain_model


def output_ids_sha256() -> str:
    """Return the hash of a row's 100 new ids in float32, of any rank, batch, torch and device that adds in another order."""
    return catalog.read().reference_outputs["bloom-tiny-cpu"].output_ids_sha256


def write_rows(folder: Path) -> Path:
    """Write six rows, some shorter and some longer than the 16 tokens that a prompt has; return the file."""
    sentences = (paths.ROOT / "examples" / "sentences.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in sentences[:3]]
    texts[1:1] = ["a machine", "DeepSpeed is a machine learning framework", "x"]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def completions_sha256(file: Path) -> str:
    """Return the hash that today's runner gives to the same rows on the CPU, one by one."""
    torch = pytest.importorskip("torch")
    from runner.bench.engines import plain
    from runner.bench.inputs import tokenizer, weights
    from runner.bench.rank import completions, model

    source = weights.DummyWeights(29, 0.3)
    loaded = model.Loaded(
        plain_model(), tokenizer.kit(), torch.device("cpu"), source, plain, "transformers", {}, load_s=0.0
    )
    dataset = Dataset("file", file.name, None, None, None, "json", sha256_of_file(file), "text", None)
    workload = replace(
        samples.workload(), name="dataset", prompt=None, dataset=dataset, input_tokens=16, output_tokens=50
    )
    asked = samples.request(workload=workload)
    return completions.run(asked, loaded, str(file), None, SILENT)["tokens_sha256"]
