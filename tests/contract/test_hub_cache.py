"""Where the hub's client keeps models: as the installed client says, and whole models told from others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.contract import hub_cache
from tests.support import samples

SIZES = {
    "vocab_size": samples.TINY.vocab_size,
    "n_embed": samples.TINY.hidden_size,
    "n_layer": samples.TINY.n_layer,
    "num_attention_heads": samples.TINY.n_head,
}


# The hub's client comes with the packages of a stack.
@pytest.mark.torch
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CACHE_HOME": "/x"},
        {"HF_HOME": "~/y"},
        {"HF_HOME": "$HOME/y", "XDG_CACHE_HOME": "/x"},
        {"HUGGINGFACE_HUB_CACHE": "/old"},
        {"HF_HUB_CACHE": "/hub", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/y"},
    ],
    ids=lambda variables: "+".join(variables) or "none",
)
def test_the_folder_is_the_client_s_own(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asked = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, encoding="utf-8", check=True).stdout
    assert hub_cache.folder(os.environ) == said.strip()


@pytest.mark.torch
def test_a_snapshot_lies_where_the_client_finds_it(tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    revision = "a" * 40
    path = hub_cache.snapshot("team/model", revision, {"HF_HUB_CACHE": str(tmp_path)})
    Path(path).mkdir(parents=True)
    found = snapshot_download("team/model", revision=revision, local_files_only=True, cache_dir=tmp_path)
    assert found == path


def _model(folder: Path, config: object = SIZES, **files: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    for name, content in files.items():
        (folder / name.replace("__", ".").replace("_of_", "-of-")).write_text(content)
    return folder


INDEX = json.dumps({"weight_map": {"a": "one.bin", "b": "two.bin"}})


@pytest.mark.parametrize(
    "files, pinned, whole",
    [
        ({}, [], False),
        ({"model__safetensors": ""}, [], True),
        ({"model__safetensors": ""}, ["other.bin"], False),
        ({"model__safetensors": ""}, ["model.safetensors"], True),
        ({"x__index__json": INDEX, "one__bin": ""}, [], False),
        ({"x__index__json": INDEX, "one__bin": "", "two__bin": ""}, [], True),
        ({"x__index__json": "[]", "one__bin": ""}, [], False),
        ({"x__index__json": "{", "one__bin": ""}, [], False),
        # one form of two is whole: the other's index came with it
        (
            {
                "x__index__json": INDEX,
                "y__index__json": INDEX.replace("bin", "safetensors"),
                "one__bin": "",
                "two__bin": "",
            },
            [],
            True,
        ),
    ],
    ids=["nothing", "one", "lacks", "pinned", "half", "whole", "list", "torn", "form"],
)
def test_a_whole_model_is_told_from_a_half(
    tmp_path: Path, files: dict[str, str], pinned: list[str], whole: bool
) -> None:
    assert hub_cache.holds(str(_model(tmp_path / "m", **files)), samples.TINY, pinned) is whole


@pytest.mark.parametrize("config", [{**SIZES, "n_layer": 99}, {}, [], {**SIZES, "n_embed": "64"}])
def test_another_model_is_not_the_one_that_is_asked_for(tmp_path: Path, config: object) -> None:
    folder = _model(tmp_path / "m", config, model__safetensors="")
    assert not hub_cache.holds(str(folder), samples.TINY, [])
    assert not hub_cache.holds(str(tmp_path / "none"), samples.TINY, [])
