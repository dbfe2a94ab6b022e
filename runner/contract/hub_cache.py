"""Where the hub's client keeps the files of a model on this host, and whether a folder holds a model's real weights.

The layout is that of huggingface_hub's page "Understand caching"; the variables are those of its page "Environment variables".
"""

from __future__ import annotations

import os
from typing import Collection, Mapping

from runner.contract import strictjson
from runner.contract.architecture import Architecture
from runner.contract.errors import KitError

# The names of the files of every published BLOOM that are no weights, and are read before the weights.
_READ_FIRST = ("config.json", "tokenizer.json")
_ENDINGS = (".safetensors", ".bin")
_INDEX = ".index.json"


def folder(environment: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the hub's cache, by the variables that the hub's client reads."""
    cache = environment.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = environment.get("HF_HOME") or os.path.join(cache, "huggingface")
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return os.path.expandvars(os.path.expanduser(named))


def repository(hub: str, name: str) -> str:
    """Return the folder of a model's repository, such as bigscience/bloomz, in the cache ``hub``."""
    return os.path.join(hub, "models--" + name.replace("/", "--"))


def snapshot(name: str, revision: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the folder of a repository at a revision; the folder need not be there."""
    return os.path.join(repository(folder(environment), name), "snapshots", revision)


def holds(path: str, architecture: Architecture, files: Collection[str]) -> bool:
    """Return whether a folder seems to hold the whole weights of a model, by its configuration and by the names that are there.

    ``files`` are the names of the model's large files. Where none is known, all files that an index names must be there; without an
    index, a file of weights. No file of weights is opened: ``bench`` compares the files before a launch.
    """
    try:
        config = strictjson.read(os.path.join(path, "config.json"))
        names = os.listdir(path)
        indexes = [_indexed(os.path.join(path, name)) for name in names if name.endswith(_INDEX)]
    # A configuration or an index of another form is of no whole model. bench says what is wrong with it.
    except (OSError, KitError, KeyError, TypeError, AttributeError):
        return False
    if not isinstance(config, dict) or not architecture.is_told_by(config):
        return False
    known = [list(files)] if files else indexes
    choices = known or [[name] for name in names if name.endswith(_ENDINGS)]
    return any(
        all(os.path.exists(os.path.join(path, name)) for name in [*_READ_FIRST, *choice])
        for choice in choices
        if choice
    )


def _indexed(path: str) -> list[str]:
    """Return the names of the files of weights that an index names."""
    return list(strictjson.read(path)["weight_map"].values())
