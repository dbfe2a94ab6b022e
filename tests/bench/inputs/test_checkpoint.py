"""Which files of a folder are the model, and whether its config.json is this model's; no file of tensors is opened here."""

import json
import os
from dataclasses import asdict

import pytest

from runner.bench.inputs import checkpoint
from runner.contract.errors import InputError, LaunchFailed
from tests.support import samples

SHA256 = "0" * 64
CONFIG = {"model_type": "bloom", **asdict(samples.TINY)}


def folder_of(folder, names, index=None, form="safetensors"):
    for name in names:
        (folder / name).write_bytes(b"")
    if index is not None:
        content = json.dumps({"weight_map": index}) if isinstance(index, dict) else index
        name = {"safetensors": "model.safetensors.index.json", "bin": "pytorch_model.bin.index.json"}[form]
        (folder / name).write_text(content)
    return str(folder)


def found(folder, pinned=()):
    answer = checkpoint.find(str(folder), dict.fromkeys(pinned, SHA256))
    return [os.path.basename(path) for path in answer.paths]


A, B = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
STRAY = "zz.safetensors"


@pytest.fixture(autouse=True)
def any_stack(monkeypatch):
    """Whether a stack has the package safetensors is asked of the interpreter; the one of 3.8 here has not."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


@pytest.mark.parametrize(
    "present, index, pinned, names",
    [
        ([A, B, STRAY], {"a": A, "b": B}, [], [A, B]),
        ([A, B, STRAY], {"a": A, "b": B}, [A, B], [A, B]),
        ([A, B, STRAY], None, [A, B], [A, B]),
        ([A, B, STRAY], None, [], [A, B]),
        (["model.safetensors", STRAY], None, [], ["model.safetensors"]),
        ([A, B, f"._{A}", f"._{B}"], None, [], [A, B]),
        (["model.safetensors", STRAY], None, ["model.safetensors", "tokenizer.json"], ["model.safetensors"]),
        (["odd[1].safetensors", "odd1.safetensors"], {"a": "odd[1].safetensors"}, [], ["odd[1].safetensors"]),
        (["pytorch_model.bin", "training_args.bin"], None, [], ["pytorch_model.bin"]),
        (["pytorch_model.bin", STRAY], None, ["pytorch_model.bin"], ["pytorch_model.bin"]),
        (["pytorch_model.bin"], {"a": A}, ["pytorch_model.bin", A], ["pytorch_model.bin"]),
        (["model.safetensors", "pytorch_model.bin"], None, [], ["model.safetensors"]),
        (["model_1-of-1.safetensors"], None, [], ["model_1-of-1.safetensors"]),
    ],
)
def test_the_files_are_those_that_index_or_pins_name_and_no_others(tmp_path, present, index, pinned, names):
    assert found(folder_of(tmp_path, present, index), pinned) == names


@pytest.mark.parametrize(
    "present, index, pinned, told",
    [
        ([A], {"a": A, "b": B}, [], f"lacks 1 of 2 weight files, {B} first"),
        ([A, STRAY], None, [A, B], f"lacks 1 of 2 weight files, {B} first"),
        (
            [STRAY],
            None,
            ["model.safetensors"],
            "none of the weight files that versions.lock pins .*, model.safetensors say",
        ),
        (["model.safetensors"], None, ["pytorch_model.bin"], "none of the weight files .*, pytorch_model.bin say"),
        ([A, B, STRAY], {"a": A, "b": STRAY}, [A, B], f"names {STRAY}, which versions.lock does not pin"),
        ([A], None, [], "holds 1 of the 2 weight files model-N-of-00002"),
        ([STRAY], None, [], "Nothing says which weight files of .* belong together: .*model.safetensors nor"),
        ([A, B, "other-1-of-1.safetensors"], None, [], "Nothing says which weight files"),
        ([], {"a": A}, [], r"holds no \*.safetensors nor pytorch_model\*.bin"),
        ([A, B], {"a": "../" + A}, [], "names '../.*', which is no weight file of its own folder"),
        ([A, B], {"a": "/etc/x.safetensors"}, [], "names '/etc/x.safetensors', which is no weight file"),
        ([A, B], {"a": "config.json"}, [], "names 'config.json', which is no weight file"),
        ([A, B], {"a": 3}, [], "is no index: it has no weight_map"),
        ([A, B], {}, [], "is no index: it has no weight_map"),
        ([A, B], "[]", [], "is no index: it has no weight_map"),
        ([A, B], '{"weight_map": {"a": "x"}', [], "index.json is not usable JSON"),
        ([A, B], '{"weight_map": {"a": "x", "a": "y"}}', [], "index.json is not usable JSON: key 'a' stands twice"),
    ],
)
def test_a_folder_that_is_not_whole_or_says_nothing_is_refused(tmp_path, present, index, pinned, told):
    with pytest.raises(InputError, match=told):
        found(folder_of(tmp_path, present, index), pinned)


def test_an_index_that_is_no_file_is_refused_at_once(tmp_path):
    folder_of(tmp_path, [A, B])
    os.mkfifo(tmp_path / "model.safetensors.index.json")
    with pytest.raises(InputError, match="index.json cannot be read: it is a FIFO"):
        found(tmp_path)


def test_a_folder_s_name_is_no_pattern(tmp_path):
    for name in ("bloom[1]", "bloom1"):
        (tmp_path / name).mkdir()
    (tmp_path / "bloom1" / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"bloom\[1\] holds no"):
        found(tmp_path / "bloom[1]")


def settings(folder, content):
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return checkpoint.settings(str(folder), samples.TINY)


def test_a_config_may_leave_out_or_repeat_what_a_bloom_has_anyway(tmp_path):
    assert settings(tmp_path, CONFIG) == checkpoint.Settings(1e-5, False)
    older = {"n_embed": CONFIG["hidden_size"], "num_hidden_layers": CONFIG["n_layer"]}
    older["num_attention_heads"] = CONFIG["n_head"]
    spoken = {"tie_word_embeddings": True, "pad_token_id": None, "eos_token_id": 2, "n_inner": None}
    given = {"model_type": "bloom", "vocab_size": CONFIG["vocab_size"], **older, **spoken}
    given.update(layer_norm_epsilon=1e-6, apply_residual_connection_post_layernorm=True)
    assert settings(tmp_path, given) == checkpoint.Settings(1e-6, True)


@pytest.mark.parametrize(
    "content, told",
    [
        ({**CONFIG, "tie_word_embeddings": False}, "has tie_word_embeddings False, and a BLOOM of this kit has True"),
        ({**CONFIG, "quantization_config": {"bits": 8}}, "has quantization_config {'bits': 8}"),
        ({**CONFIG, "eos_token_id": 0}, "has eos_token_id 0, and a BLOOM of this kit has 2"),
        ({**CONFIG, "bos_token_id": True}, "has bos_token_id True"),
        ({**CONFIG, "n_inner": 7}, "has n_inner 7"),
        ({**CONFIG, "n_embed": 64}, r"has \[128, 64\] for hidden_size and n_embed, one whole number is expected"),
        ({**CONFIG, "n_layer": "2"}, r"has \['2'\] for n_layer and num_hidden_layers"),
        ({**CONFIG, "n_layer": 3}, "is a bloom of .*n_layer 3, .* the request names"),
        ({"model_type": "bloom"}, "is a bloom of vocab_size None"),
        ({**CONFIG, "model_type": "gpt2"}, "is a gpt2 of"),
        ({**CONFIG, "layer_norm_epsilon": "1e-5"}, "has layer_norm_epsilon '1e-5', which is none"),
        ({**CONFIG, "layer_norm_epsilon": -1}, "has layer_norm_epsilon -1, which is none"),
        ({**CONFIG, "apply_residual_connection_post_layernorm": "no"}, "'no', neither true nor false"),
        ([], "is no configuration of a model"),
        ("{", "config.json is not usable JSON"),
        ("", "config.json is not usable JSON"),
        ('{"model_type": "\xff', "config.json is not usable JSON"),
    ],
)
def test_a_config_that_is_damaged_or_another_model_s_is_named_with_its_file(tmp_path, content, told):
    with pytest.raises(InputError, match=told) as caught:
        settings(tmp_path, content)
    assert str(tmp_path / "config.json") in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"others"),
        lambda path: (path.write_bytes(b"x"), os.utime(path, ns=(0, 0))),
        lambda path: path.unlink(),
        lambda path: ((path.parent / "new").write_bytes(b"other"), os.replace(path.parent / "new", path)),
    ],
    ids=["written", "as-old", "gone", "replaced"],
)
def test_a_file_that_changes_after_it_was_compared_is_told(tmp_path, change):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"bytes")
    os.utime(path, ns=(0, 0))
    compared = checkpoint.verified([str(path)])
    compared.refuse_changed()
    change(path)
    with pytest.raises(LaunchFailed, match="model.safetensors was changed or replaced after it was compared"):
        compared.refuse_changed()
