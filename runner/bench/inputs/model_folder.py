"""Locate the folder of a model's real weights on this host, and tell the revision that a folder names."""

from __future__ import annotations

import os
import re

from runner.bench.facts.small_files import read_text
from runner.bench.inputs import checkpoint
from runner.contract import hub_cache
from runner.contract.errors import InputError
from runner.contract.request import Model
from runner.contract.text import printable


def observed_revision(folder: str) -> str | None:
    """Return the revision that a model folder says it is of, None where it does not say.

    A hub cache names its snapshots by revision; ``hf download --local-dir`` notes the revision beside each file; a clone has a
    HEAD.
    """
    if re.fullmatch(r"[0-9a-f]{40}", os.path.basename(os.path.abspath(folder))):
        return os.path.basename(os.path.abspath(folder))
    metadata = read_text(os.path.join(folder, ".cache", "huggingface", "download", "config.json.metadata"))
    if metadata:
        return metadata.splitlines()[0]
    head = read_text(os.path.join(folder, ".git", "HEAD"))
    if head and head.startswith("ref: "):
        head = read_text(os.path.join(folder, ".git", *head[len("ref: ") :].split("/")))
    return head


def locate(model: Model, model_dir: str | None) -> str:
    """Return the folder of a model's real weights: ``model_dir`` if given, else the hub cache at the pinned revision.

    Nothing is fetched: measuring is offline. Raises ``InputError`` that says how to fetch.
    """
    if model_dir is not None:
        if not os.path.lexists(os.path.join(model_dir, "config.json")):
            raise InputError(f"{model_dir} holds no config.json: it is no model folder. Check --model-dir.")
        revision = observed_revision(model_dir)
        if revision is not None and revision != model.revision:
            raise InputError(
                f"{model_dir} holds revision {printable(revision, 80)} of the model; {model.revision} is pinned."
                f" Fetch that one: hf download {model.repository} --revision {model.revision} --local-dir {model_dir}"
            )
        checkpoint.refuse_pointers(model_dir, ("config.json", "tokenizer.json"))
        return model_dir
    # A request for the hub's weights has both: Request.from_json refuses it otherwise.
    assert model.repository is not None and model.revision is not None
    folder = hub_cache.snapshot(model.repository, model.revision)
    if not os.path.isdir(folder):
        raise InputError(
            f"{model.repository} at {model.revision}, about {model.architecture.weight_bytes('bfloat16') / 1e9:.1f} GB, is not in the"
            f" hub cache, where {folder} would be. Fetch it: make weights MODEL={model.name}. Or name a copy with --model-dir, or"
            " ask for `request --weights dummy`."
        )
    return folder
