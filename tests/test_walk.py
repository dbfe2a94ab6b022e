"""The whole path with the real software: catalog, lock, request, launcher, ranks, result, comparison."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.bench.inputs import tokenizer, weights
from runner.bench.rank import model
from runner.contract.files import sha256_of_file
from runner.contract.records import JsonObject
from runner.contract.request import Request, read_request
from tests.support import planted, samples
from tests.support.house import House, output_ids
from tests.support.patience import HANG_S
from tests.support.plain_transformers import plain_tokens

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> JsonObject:
    """Run cpu-1 and cpu-2, and two ranks under torchrun with a batch of two and another seed; once for all tests."""
    house = House(tmp_path_factory.mktemp("walk"))
    before = shared_memory()
    paths = house.requests("cpu-1", "cpu-2")
    (other,) = house.requests("cpu-2", "--seed", 71, "--batch-size", 2, "--protocol", "gpu-2023")
    value = json.loads(Path(other).read_text())
    value["stack"]["launcher"] = "torchrun"
    value.pop("id")
    value["id"] = _id(value)
    Path(other).write_text(json.dumps(value))
    one, two, torchrun = house.bench("--frames", *paths, other)
    return {
        "one": one,
        "two": two,
        "torchrun": torchrun,
        "house": house,
        "new in shared memory": shared_memory() - before,
    }


def _id(content: JsonObject) -> str:
    from runner.contract import strictjson

    return f"{content['case']}-{strictjson.sha256_of(content)[:12]}"


def test_no_planted_secret_is_in_a_result_or_any_other_file(walk: JsonObject) -> None:
    assert planted.found_below(walk["house"].folder) == {}
    assert "NVIDIA_API_KEY" not in json.dumps(walk["one"])  # its name says nothing of a measurement


def test_one_rank_two_ranks_and_plain_transformers_give_the_same_tokens(walk: JsonObject) -> None:
    plain = plain_tokens(seed=29)
    assert output_ids(walk["one"]) == plain
    assert output_ids(walk["two"]) == plain
    assert len(set(plain[0])) > 30  # not an echo: a vacuous equality would prove nothing


@pytest.mark.slow
def test_two_compiled_ranks_give_the_same_tokens_and_compile_nothing_while_timed(
    walk: JsonObject, tmp_path: Path
) -> None:
    """The engine of today's GPUs, by the same code, where no graphs are replayed."""
    house = House(tmp_path)
    (compiled,) = house.bench(*house.requests("cpu-2", "--engine", "compiled"))
    (launch,) = compiled["launches"]
    assert output_ids(compiled) == output_ids(walk["two"])
    conditions = launch["conditions"]
    assert (conditions["engine"], conditions["shapes"]) == ("transformers-compiled-tp", "static cache")
    assert [rank["watched"]["compilations"] for rank in launch["ranks"]] == [0, 0]
    assert {check["name"]: check["passed"] for check in launch["checks"]}["compilations"] is True


def test_tokens_depend_on_the_seed(walk: JsonObject) -> None:
    assert plain_tokens(seed=71) != plain_tokens(seed=29)


def test_a_batch_under_torchrun_that_stops_at_the_end_of_text_gives_the_same_tokens(walk: JsonObject) -> None:
    plain = plain_tokens(seed=71, batch_size=2, end_of_text=tokenizer.END)
    assert output_ids(walk["torchrun"]) == plain
    launch = walk["torchrun"]["launches"][0]
    assert launch["conditions"]["end_of_text"] == "stop"
    assert launch["timed"]["output_tokens"] == [[len(row) for row in plain]] * 5


def test_ranks_hold_shards_and_not_the_whole(walk: JsonObject) -> None:
    whole = samples.TINY.weight_bytes("float32")
    (one,) = walk["one"]["launches"][0]["ranks"]
    two = walk["two"]["launches"][0]["ranks"]
    assert one["parameter_bytes"] == whole
    assert [rank["rank"] for rank in two] == [0, 1]
    assert {rank["parameter_bytes"] for rank in two} == {samples.TINY.weight_bytes_per_rank("float32", 2)}
    assert walk["two"]["launches"][0]["conditions"]["engine"] == "deepspeed-autotp"


def test_every_duration_is_there_and_the_estimate_follows_from_them(walk: JsonObject) -> None:
    for result in (walk["one"], walk["two"]):
        launch = result["launches"][0]
        assert len(launch["untimed_s"]) == 3
        assert len(launch["timed"]["iterations_s"]) == 5
        assert sum(launch["timed"]["iterations_s"]) == pytest.approx(launch["timed"]["span_s"])
        assert launch["estimate"]["latency_s"] == pytest.approx(launch["timed"]["span_s"] / 5)
        traced = launch["instrumented"]
        assert traced["forward_calls"] == [100] * 3
        for ttft_s, e2e_s, itl_s in zip(traced["ttft_s"], traced["e2e_s"], traced["itl_s"], strict=True):
            assert len(itl_s) == 99
            assert 0 < ttft_s < e2e_s
            assert ttft_s + sum(itl_s) <= e2e_s


def test_the_checks_that_the_cpu_can_make_were_made(walk: JsonObject) -> None:
    for result in (walk["one"], walk["two"]):
        outcome = {check["name"]: check["passed"] for check in result["launches"][0]["checks"]}
        for name in (
            "inventory",
            "generation",
            "variables",
            "input_ids",
            "output_ids",
            "input_text",
            "logits_on_device",
        ):
            assert outcome[name] is True, name
        assert result["environment"]["inventory"]["compared"] > 50
        assert all(rank["watched"]["major_faults"] is not None for rank in result["launches"][0]["ranks"])


def test_the_command_is_that_of_the_stack_s_launcher(walk: JsonObject) -> None:
    assert "deepspeed.launcher.runner" in walk["two"]["launches"][0]["command"]
    assert "torch.distributed.run" in walk["torchrun"]["launches"][0]["command"]


def test_the_log_alone_carries_the_results(walk: JsonObject, tmp_path: Path) -> None:
    log = tmp_path / "pod.log"
    log.write_text(walk["house"].log)
    done = walk["house"].runner("collect", log, "--results", tmp_path / "results")
    assert (done.returncode, done.stderr) == (0, "")
    for path in map(Path, done.stdout.split()):
        assert path.read_bytes() == (walk["house"].results / path.parent.name / path.name).read_bytes()
    assert len(done.stdout.split()) == 3


def test_nothing_is_left_behind(walk: JsonObject) -> None:
    assert walk["new in shared memory"] == set()
    assert walk["house"].left_behind() == []
    assert sorted(path.suffix for path in walk["house"].results.rglob("*") if path.is_file()) == [".json"] * 3
    assert _processes_of(walk["house"]) == []


def _processes_of(house: House) -> list[str]:
    """Return the processes that still run with this test's own place for temporary files."""
    marker, found = str(house.folder / "tmp").encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue
    return found


def test_the_comparison_says_walk_through_on_every_row(walk: JsonObject) -> None:
    house = walk["house"]
    done = house.runner("compare", house.results)
    assert done.returncode == 0, done.stderr
    # the lines of a figure, with the same names, are indented
    rows = [line for line in done.stdout.splitlines() if "bloomz" in line and " x " in line and line[0] != " "]
    assert len(rows) == 3 + 5 + 5
    assert all("walk-through, not a reproduction" in row for row in rows)
    assert "0.772" in done.stdout
    listed = json.loads(house.runner("compare", "--json", house.results).stdout)
    assert listed["refused"] == []
    assert {row["verdict"]["word"] for row in listed["rows"]} == {"NOT-COMPARABLE"}


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    house = House(tmp_path)
    before = shared_memory()
    (path,) = house.requests("cpu-2")
    command = [sys.executable, "-m", "runner", "bench", path, "--results", str(house.results)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=house.environment
    )
    assert process.stderr is not None, "a pipe"
    for line in process.stderr:
        if "untimed" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert err.endswith("runner: Stopped before anything was measured; nothing was written.\n")
    assert "Traceback" not in err
    deadline = time.monotonic() + HANG_S
    while _processes_of(house) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _processes_of(house) == []
    assert shared_memory() == before
    assert house.left_behind() == []


@pytest.mark.slow
def test_real_weights_of_a_hub_cache_give_the_tokens_of_plain_transformers(tmp_path: Path) -> None:
    """A cache laid out as the hub's client does, at a pinned revision, with bigscience's keys, in bfloat16 shards."""
    from safetensors.torch import save_file
    from transformers import BloomForCausalLM

    house = House(tmp_path)
    (path,) = house.requests("cpu-2", "--precision", "bfloat16", "--output-tokens", 20)
    content = json.loads(Path(path).read_text())
    revision = "0123456789abcdef0123456789abcdef01234567"
    content["model"].update(repository="somebody/bloom-tiny", revision=revision)
    content["weights"] = {"kind": "hub", "seed": None, "std": None}
    content.pop("id")
    content["id"] = _id(content)
    Path(path).write_text(json.dumps(content))
    request = read_request(path)

    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub" / "models--somebody--bloom-tiny"
    snapshot = cache / "snapshots" / revision
    snapshot.mkdir(parents=True)
    sizes = {"vocab_size": 512, "n_embed": 128, "n_layer": 2, "num_attention_heads": 4}
    config = {"model_type": "bloom", "layer_norm_epsilon": 1e-5, "auto_map": {"AutoModel": "evil.Model"}, **sizes}
    (snapshot / "config.json").write_text(json.dumps(config))
    canary = tmp_path / "canary"
    (snapshot / "evil.py").write_text(f"open({str(canary)!r}, 'w').close()")
    tokenizer.kit().backend_tokenizer.save(str(snapshot / "tokenizer.json"))
    plain = BloomForCausalLM(model._config(samples.TINY, str(snapshot))).to(torch.bfloat16).eval()
    weights.fill(plain, samples.TINY, weights.DummyWeights(29, 0.3), 0, 1)
    tensors = {name.removeprefix("transformer."): value.detach() for name, value in plain.named_parameters()}
    halves = sorted(tensors)[::2], sorted(tensors)[1::2]
    for number, names in enumerate(halves, 1):
        save_file({name: tensors[name] for name in names}, snapshot / f"model_{number:05}-of-00002.safetensors")

    folder = tmp_path / "folder"  # the same weights as the post's scripts read them: *.bin, in a folder
    folder.mkdir()
    torch.save(tensors, folder / "pytorch_model.bin")
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(snapshot / name, folder)
    one_path = tmp_path / "one.json"
    pinned = {"pytorch_model.bin": sha256_of_file(folder / "pytorch_model.bin")}
    one_rank = _with(request, devices=1, model=replace(request.model, files=pinned))
    one_path.write_text(json.dumps(one_rank.to_json()))
    (two,) = house.bench(path)
    (one,) = house.bench(one_path, "--model-dir", folder)
    plain.generation_config.eos_token_id = None
    plain.generation_config.pad_token_id = tokenizer.PADDING
    inputs = tokenizer.kit()([samples.PROMPT], return_tensors="pt")
    expected = plain.generate(**inputs, max_new_tokens=20, do_sample=False)[:, 7:].tolist()
    assert output_ids(one) == expected
    assert (two["launches"][0]["weights"]["format"], two["launches"][0]["weights"]["revision"]) == (
        "safetensors",
        revision,
    )
    assert (one["launches"][0]["weights"]["format"], one["launches"][0]["weights"]["revision"]) == ("bin", None)
    assert [file["name"] for file in two["launches"][0]["weights"]["files"]] == [
        f"model_{n:05}-of-00002.safetensors" for n in (1, 2)
    ]
    assert not canary.exists()


def _with(request: Request, **changes: Any) -> Request:
    made = replace(request, **changes)
    return Request.from_json(made.to_json(), "a test")
