import hashlib
import importlib.util
import itertools
import json
import os
from dataclasses import replace

import pytest

from runner.bench.inputs import checkpoint, dummy_weights, model_folder, weights
from runner.bench.inputs.sharding import Shard
from runner.contract.architecture import Parameter, shard_shape
from runner.contract.errors import InputError, LaunchFailed
from runner.contract.files import sha256_of_file
from runner.contract.progress import LINE_S, PlainTask
from tests.support import samples

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

PARAMETERS = {parameter.name: parameter for parameter in samples.TINY.parameters()}
QKV = PARAMETERS["transformer.h.0.self_attention.query_key_value.weight"]
DENSE = PARAMETERS["transformer.h.0.self_attention.dense.weight"]


def shard(parameter, rank=0, ranks=1, seed=1, std=0.3, dtype=torch.float32):
    target = torch.full(shard_shape(parameter, ranks), float("nan"), dtype=dtype)
    weights.DummyWeights(seed, std).fill({parameter.name: parameter}, {parameter.name: target}, Shard(rank, ranks))
    return target


def test_dummy_weights_have_the_asked_spread_and_no_pattern():
    whole = shard(Parameter("big", (1 << 10, 1 << 10), None))
    assert whole.std().item() == pytest.approx(0.3, rel=0.01)
    assert abs(whole.mean().item()) < 0.002
    assert whole.abs().max().item() <= 0.3 * 3**0.5
    assert torch.unique(whole).numel() > 0.95 * whole.numel()
    rows, columns = torch.corrcoef(whole[:64]), torch.corrcoef(whole[:, :64].T)
    for correlation in (rows, columns):
        assert (correlation - torch.eye(64)).abs().max().item() < 0.2


@pytest.mark.parametrize(
    "parameter", [QKV, DENSE, PARAMETERS["transformer.h.1.mlp.dense_h_to_4h.bias"]], ids=lambda p: p.name
)
@pytest.mark.parametrize("ranks", [2, 4])
def test_shards_put_together_are_the_whole(parameter, ranks):
    parts = [shard(parameter, rank, ranks) for rank in range(ranks)]
    assert torch.equal(torch.cat(parts, dim=parameter.split), shard(parameter))


def test_the_block_size_does_not_change_a_number(monkeypatch):
    whole = shard(QKV)
    monkeypatch.setattr(dummy_weights, "BLOCK_ELEMENTS", 100)
    assert torch.equal(shard(QKV), whole)


def by_the_book(seed, name, place, std):
    """SplitMix64 in plain integers: the element's place is the counter, the parameter's hash the start."""
    mask = (1 << 64) - 1
    start = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little")
    z = (start + place * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return (2 * (z >> 40) + 1 - 2**24) / 2**24 * std * 3**0.5


def test_every_number_is_splitmix64_of_its_place():
    """The same numbers on every device and in every version: a result must stay repeatable."""
    found = shard(QKV, rank=1, ranks=2, seed=29)
    for row, column in ((0, 0), (3, 5), (191, 127)):
        place = (192 + row) * 128 + column
        assert found[row, column].item() == pytest.approx(by_the_book(29, QKV.name, place, 0.3), rel=1e-6)


def test_numbers_made_on_the_host_are_the_same(monkeypatch):
    asked, made = [], dummy_weights._uniform
    monkeypatch.setattr(dummy_weights, "_uniform", lambda *block: asked.append(block[-1]) or made(*block))
    target = torch.empty(QKV.shape)
    weights.DummyWeights(1, 0.3, on_host=True).fill({QKV.name: QKV}, {QKV.name: target}, Shard(0, 1))
    assert {*asked} == {"cpu"}
    assert torch.equal(target, shard(QKV))


def test_seed_and_name_each_change_everything():
    base = shard(QKV)
    assert (shard(QKV, seed=2) == base).float().mean() < 0.01
    assert (shard(QKV._replace(name="another")) == base).float().mean() < 0.01


def test_half_precision_is_the_rounded_float32():
    assert torch.equal(shard(QKV, dtype=torch.bfloat16), shard(QKV).to(torch.bfloat16))


def test_layer_norms_are_the_identity():
    norm = PARAMETERS["transformer.ln_f.weight"]
    assert torch.equal(shard(norm), torch.ones(128))
    assert torch.equal(shard(PARAMETERS["transformer.ln_f.bias"]), torch.zeros(128))


def test_a_sharded_head_is_a_cut_of_the_embeddings():
    embeddings = shard(PARAMETERS["transformer.word_embeddings.weight"])
    head = samples.TINY.head_shard()
    assert torch.equal(torch.cat([shard(head, rank, 2) for rank in range(2)], dim=1), embeddings)


def model():
    from transformers import BloomConfig, BloomForCausalLM

    sizes = samples.TINY
    config = BloomConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.hidden_size,
        n_layer=sizes.n_layer,
        n_head=sizes.n_head,
        bos_token_id=1,
        eos_token_id=2,
    )
    return BloomForCausalLM(config).eval()


def test_the_real_model_has_exactly_the_parameters_that_are_counted():
    named = dict(model().named_parameters())
    assert {name: tuple(value.shape) for name, value in named.items()} == {
        name: p.shape for name, p in PARAMETERS.items()
    }


def test_published_sizes_have_exactly_their_parameters_on_the_meta_device():
    from transformers import BloomConfig, BloomForCausalLM

    from runner.contract.architecture import Architecture

    for architecture in (
        Architecture(250880, 14336, 70, 112),
        Architecture(250880, 4096, 30, 32),
        Architecture(250880, 1024, 24, 16),
    ):
        sizes = {name: getattr(architecture, name) for name in ("vocab_size", "hidden_size", "n_layer", "n_head")}
        with torch.device("meta"):
            built = BloomForCausalLM(BloomConfig(**sizes))
        assert sum(parameter.numel() for parameter in built.parameters()) == architecture.parameter_count()


def test_a_model_of_another_shape_is_refused():
    other = model()
    other.transformer.ln_f = torch.nn.LayerNorm(64)
    with pytest.raises(LaunchFailed, match=r"ln_f.weight is \(64,\), \(128,\) was expected"):
        weights.fill(other, samples.TINY, weights.DummyWeights(1, 0.3), 0, 1)


def test_a_parameter_that_the_model_has_lost_is_an_error_and_never_read_from_unfilled_memory():
    """As DeepSpeed 0.15.4 loses one: it keeps the bias that it cuts as a plain tensor, which no loader of weights sees."""
    other = model()
    linear = other.transformer.h[1].self_attention.query_key_value
    linear.bias = None
    linear.__dict__["bias"] = torch.empty(384)
    with pytest.raises(
        LaunchFailed, match=r"has no parameter transformer.h.1.self_attention.query_key_value.bias \(1 are"
    ):
        weights.fill(other, samples.TINY, weights.DummyWeights(1, 0.3), 0, 1)


def stored(style):
    """Return the tensors of a filled model under bigscience's or transformers' keys."""
    source = model()
    weights.fill(source, samples.TINY, weights.DummyWeights(7, 0.3), 0, 1)
    tensors = {name: value.detach().clone() for name, value in source.named_parameters()}
    return (
        tensors if style == "transformers" else {name[len("transformer.") :]: value for name, value in tensors.items()}
    )


def save(folder, tensors, form, parts=1):
    from safetensors.torch import save_file

    names = sorted(tensors)
    for part in range(parts):
        chosen = {name: tensors[name] for name in names[part::parts]}
        if form == "safetensors":
            save_file(chosen, folder / f"model_{part + 1:05}-of-{parts:05}.safetensors")
        else:
            torch.save(chosen, folder / f"pytorch_model_{part + 1:05}-of-{parts:05}.bin")


@pytest.mark.parametrize("style", ["bigscience", "transformers"])
@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_checkpoint_fills_every_parameter(tmp_path, style, form, parts):
    save(tmp_path, stored(style), form, parts)
    target = model()
    source = weights.CheckpointWeights(str(tmp_path), {})
    weights.fill(target, samples.TINY, source, 0, 1)
    for name, value in target.named_parameters():
        assert torch.equal(value, stored("transformers")[name]), name
    described = source.describe()
    assert (described["format"], len(described["files"])) == (form, parts)
    assert all(file["bytes"] > 0 for file in described["files"])


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_rank_takes_only_its_part_of_a_checkpoint(tmp_path, form):
    tensors = stored("bigscience")
    save(tmp_path, tensors, form)
    for parameter in (QKV, DENSE, samples.TINY.head_shard()):
        target = torch.empty(shard_shape(parameter, 2))
        names = {**PARAMETERS, "lm_head.weight": samples.TINY.head_shard()}
        source = weights.CheckpointWeights(str(tmp_path), {})
        source.fill(names, {parameter.name: target}, Shard(1, 2))
        key = "word_embeddings.weight" if parameter.name == "lm_head.weight" else parameter.name[len("transformer.") :]
        assert torch.equal(target, tensors[key].chunk(2, dim=parameter.split)[1])


@pytest.mark.parametrize(
    "change, problem",
    [
        (
            lambda tensors: tensors.pop("h.1.mlp.dense_4h_to_h.weight"),
            "lacks 1 of 29 tensors, transformer.h.1.mlp.dense_4h_to_h.weight first",
        ),
        (
            lambda tensors: tensors.update({"h.9.mlp.dense_h_to_4h.bias": torch.zeros(4)}),
            "holds 'h.9.mlp.dense_h_to_4h.bias'",
        ),
        (
            lambda tensors: tensors.update({"ln_f.bias": torch.zeros(64)}),
            r"ln_f.bias is \(64,\), \(128,\) was expected",
        ),
    ],
)
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_weights_of_another_model_are_never_measured(tmp_path, change, problem, form):
    tensors = stored("bigscience")
    change(tensors)
    save(tmp_path, tensors, form)
    with pytest.raises(InputError, match=problem):
        weights.fill(model(), samples.TINY, weights.CheckpointWeights(str(tmp_path), {}), 0, 1)


def test_keys_that_fit_nothing_are_an_error_and_not_random_weights(tmp_path):
    save(tmp_path, {f"model.{name}": value for name, value in stored("bigscience").items()}, "safetensors")
    with pytest.raises(InputError, match="which .* BLOOM has not"):
        weights.fill(model(), samples.TINY, weights.CheckpointWeights(str(tmp_path), {}), 0, 1)


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_code_in_a_pickle_is_never_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"word_embeddings.weight": Canary(str(canary))}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="is refused: it is no whole, plain file of tensors"):
        weights.fill(model(), samples.TINY, weights.CheckpointWeights(str(tmp_path), {}), 0, 1)
    assert not canary.exists()


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no \*.safetensors nor pytorch_model\*.bin, which this stack can read"):
        weights.CheckpointWeights(str(tmp_path), {})


def test_a_stack_of_2023_reads_what_its_packages_can(tmp_path, monkeypatch):
    """It has no package for safetensors, and its torch maps no file."""
    load, find_spec = torch.load, importlib.util.find_spec
    monkeypatch.setattr(torch, "load", lambda path, map_location, weights_only: load(path, map_location=map_location))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "safetensors" else find_spec(name))
    save(tmp_path, stored("bigscience"), "safetensors")
    with pytest.raises(InputError, match=r"holds no pytorch_model\*.bin, which this stack can read"):
        weights.CheckpointWeights(str(tmp_path), {})
    save(tmp_path, stored("bigscience"), "bin")
    target = model()
    weights.fill(target, samples.TINY, weights.CheckpointWeights(str(tmp_path), {}), 0, 1)
    assert all(torch.equal(value, stored("transformers")[name]) for name, value in target.named_parameters())


def test_a_torn_safetensors_file_is_refused(tmp_path):
    save(tmp_path, stored("bigscience"), "safetensors")
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InputError, match="is refused"):
        weights.fill(model(), samples.TINY, weights.CheckpointWeights(str(tmp_path), {}), 0, 1)


def test_where_real_weights_lie(tmp_path, monkeypatch):
    from runner.contract.request import Model

    asked = Model("bloom-tiny", samples.TINY, "bigscience/bloom-tiny", "0" * 40, {})
    with pytest.raises(InputError, match="holds no config.json"):
        model_folder.locate(asked, str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bloom"}))
    assert model_folder.locate(asked, str(tmp_path)) == str(tmp_path)


def test_a_hub_cache_that_has_it_not_is_one_sentence(tmp_path, monkeypatch):
    from runner.contract.request import Model

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    told = rf"about 0\.\d GB, is not in the hub cache, where {tmp_path}/models--.* would be\. Fetch it: make weights MODEL=bloom-tiny"
    with pytest.raises(InputError, match=told):
        model_folder.locate(Model("bloom-tiny", samples.TINY, "bigscience/bloom-tiny", "0" * 40, {}), None)


def _noted(folder, revision):
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    (notes / "config.json.metadata").write_text(f"{revision}\netag\n1700000000.0\n")


def _cloned(folder, revision):
    (folder / ".git" / "refs" / "heads").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".git" / "refs" / "heads" / "main").write_text(f"{revision}\n")


@pytest.mark.parametrize("say", [_noted, _cloned], ids=["download", "clone"])
def test_a_folder_that_says_it_is_of_another_revision_is_refused(tmp_path, say):
    from runner.contract.request import Model

    (tmp_path / "config.json").write_text("{}")
    assert model_folder.observed_revision(str(tmp_path)) is None
    say(tmp_path, "1" * 40)
    assert model_folder.observed_revision(str(tmp_path)) == "1" * 40
    asked = Model("bloom-tiny", samples.TINY, "bigscience/bloom-tiny", "1" * 40, {})
    assert model_folder.locate(asked, str(tmp_path)) == str(tmp_path)
    moved = Model(asked.name, asked.architecture, asked.repository, "2" * 40, {})
    with pytest.raises(InputError, match=f"holds revision {'1' * 40} of the model; {'2' * 40} is pinned"):
        model_folder.locate(moved, str(tmp_path))


def test_progress_is_told_in_bytes_of_this_rank(monkeypatch):
    monkeypatch.setattr(weights, "PROGRESS_S", 0)
    said = []
    task = PlainTask(said.append, itertools.count(step=LINE_S).__next__)
    weights.fill(model(), samples.TINY, weights.DummyWeights(7, 0.3), 0, 1, task)
    assert said[-1] == "loaded 0.0 of 0.0 GB of this rank's weights"
    assert len(said) == 29


def test_a_pickle_is_opened_only_if_the_lock_knows_it(tmp_path):
    save(tmp_path, stored("bigscience"), "bin")
    (file,) = tmp_path.glob("*.bin")
    with pytest.raises(InputError, match="is a pickle whose sha256 is not in versions.lock: it is not opened"):
        checkpoint.verify(str(tmp_path), {})
    pinned = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    checkpoint.verify(str(tmp_path), pinned)
    assert weights.CheckpointWeights(str(tmp_path), pinned).describe()["files"][0]["sha256"] == pinned[file.name]
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match="is not the file that is pinned: its sha256 differs"):
        checkpoint.verify(str(tmp_path), pinned)


def test_safetensors_need_no_pin_but_must_be_the_pinned_ones(tmp_path):
    save(tmp_path, stored("bigscience"), "safetensors")
    (file,) = tmp_path.glob("*.safetensors")
    checkpoint.verify(str(tmp_path), {})
    with pytest.raises(InputError, match="its sha256 differs"):
        checkpoint.verify(str(tmp_path), {file.name: "0" * 64})


def filled(folder, pinned=None, rank=0, ranks=1):
    target = model()
    weights.fill(target, samples.TINY, weights.CheckpointWeights(str(folder), pinned or {}), rank, ranks)
    return target


def as_one_file(folder, tensors, form, name=None):
    from safetensors.torch import save_file

    if form == "safetensors":
        save_file(tensors, folder / (name or "model.safetensors"))
    else:
        torch.save(tensors, folder / (name or "pytorch_model.bin"))


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_stray_file_beside_the_pinned_one_changes_no_tensor(tmp_path, form):
    as_one_file(tmp_path, stored("bigscience"), form)
    stray = {name: torch.zeros_like(value) for name, value in stored("bigscience").items()}
    as_one_file(tmp_path, stray, form, {"safetensors": "zz.safetensors", "bin": "pytorch_model_zz.bin"}[form])
    pinned = {} if form == "safetensors" else {"pytorch_model.bin": sha256_of_file(tmp_path / "pytorch_model.bin")}
    assert all(
        torch.equal(value, stored("transformers")[name]) for name, value in filled(tmp_path, pinned).named_parameters()
    )


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize(
    "change, told",
    [
        (lambda held: held.update({"lm_head.weight": held["word_embeddings.weight"].clone()}), None),
        (lambda held: held.update({"lm_head.weight": held["word_embeddings.weight"] + 1}), "an LM head of its own"),
        (lambda held: held.update({"lm_head.weight": torch.zeros(3, 4)}), "an LM head of its own"),
        (lambda held: held.update({"transformer.ln_f.bias": torch.zeros(128)}), "ln_f.bias'?, which .* holds too"),
        (lambda held: held.update({"ln_f.bias": torch.zeros(128, dtype=torch.int8)}), "ln_f.bias holds int8, one of"),
        (lambda held: held.update({"ln_f.bias": torch.zeros(128, dtype=torch.int64)}), "ln_f.bias holds int64, one of"),
        (lambda held: held.update({"ln_f.bias": torch.zeros(128).to(torch.float8_e4m3fn)}), "holds float8_e4m3fn"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(tmp_path, form, change, told):
    tensors = stored("bigscience")
    change(tensors)
    as_one_file(tmp_path, tensors, form)
    if told is None:
        filled(tmp_path)
    else:
        with pytest.raises(InputError, match=told):
            filled(tmp_path)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_tensor_that_two_files_hold_is_refused(tmp_path, form):
    tensors = stored("bigscience")
    save(tmp_path, {name: tensors[name] for name in tensors}, form, parts=2)
    (second,) = tmp_path.glob("*00002-of*")
    second.unlink()
    as_one_file(tmp_path, tensors, form, second.name)
    with pytest.raises(InputError, match="which .*00001-of-00002.* holds too"):
        filled(tmp_path)


@pytest.mark.parametrize("content", [{"ln_f.bias": 3}, {1: 2}, [1], {"state_dict": {"ln_f.bias": 1}}])
def test_a_pickle_of_other_things_than_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="is no mapping from names to tensors"):
        filled(tmp_path)


@pytest.mark.parametrize("pinned", [{}, {"model.safetensors": "0" * 64}], ids=["unpinned", "pinned"])
@pytest.mark.parametrize(
    "make, told",
    [
        (os.mkfifo, "it is a FIFO"),
        (os.mkdir, "Is a directory"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere, which is not there"),
    ],
    ids=["fifo", "folder", "dangling"],
)
def test_a_weight_file_that_is_no_file_is_refused_at_once(tmp_path, pinned, make, told):
    make(tmp_path / "model.safetensors")
    for attempt in (lambda: checkpoint.verify(str(tmp_path), pinned), lambda: filled(tmp_path, pinned)):
        with pytest.raises(InputError, match=f"model.safetensors cannot be read: .*{told}"):
            attempt()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin"])
def test_a_clone_without_git_lfs_is_told_what_it_lacks(tmp_path, name):
    from runner.contract.request import Model

    for other in {"config.json", "tokenizer.json", name}:
        (tmp_path / other).write_text("{}")
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    asked = Model("bloom-tiny", samples.TINY, "bigscience/bloom-tiny", "0" * 40, {"pytorch_model.bin": "0" * 64})
    asked = asked if name.endswith(".bin") else replace(asked, files={})
    with pytest.raises(InputError, match=f"{name} is a pointer of git-lfs.*run `git lfs pull` in"):
        checkpoint.verify(model_folder.locate(asked, str(tmp_path)), asked.files)
