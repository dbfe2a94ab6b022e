"""The GPU script's engine and protocol where there is neither a GPU nor DeepSpeed 0.8.2; tests/injection runs it on the latter.

What is expected stands in huggingface/transformers-bloom-inference@7bea352, bloom-inference-scripts/bloom-ds-inference.py, and its
README: one call to warm up, one that is shown, one more to warm up, a synchronisation, five calls, a synchronisation.
"""

from types import SimpleNamespace

import pytest

from runner.bench import engines
from runner.bench.engines import kernel_injection
from runner.bench.inputs import tokenizer
from runner.bench.parent import checks, launcher
from runner.bench.rank import latency, model
from runner.contract.architecture import shard_shape
from runner.contract.errors import Unsupported
from runner.contract.estimator import latency_s
from runner.contract.progress import SILENT
from runner.contract.request import Stack
from tests.support import samples
from tests.support.known_device import KnownDevice

SCRIPT = ["call"] * 3 + ["synchronize"] + ["call"] * 5 + ["synchronize"]


def cuda_2023(launcher="deepspeed"):
    return Stack("cuda-2023", "cuda", "3.10", launcher, {"torch": "1.13.1", "deepspeed": "0.8.2"}, None, None)


def request(**changes):
    parts = {
        "accelerator": samples.Accelerator("a100-80gb", "cuda", 80 * 10**9, 2.0e12),
        "stack": cuda_2023(),
        "engine": "kernel-injection",
        "workload": samples.workload(precision="float16"),
        "protocol": samples.protocol(end_of_text="stop", token_count="produced", estimator="produced"),
    }
    return samples.request(**{**parts, **changes})


@pytest.mark.parametrize("count", [1, 8])
def test_the_launcher_s_command_is_the_readme_s(count):
    name = engines.load("kernel-injection").launcher(cuda_2023(), count)
    command = launcher.command(name, count, ["--request", "r.json"])
    assert command[1:5] == ["-m", "deepspeed.launcher.runner", "--num_gpus", str(count)]
    assert command[5] == "--master_port"
    assert command[7:] == ["--module", "runner.bench.rank.worker", "--request", "r.json"]


def test_another_launcher_of_a_stack_stays():
    assert kernel_injection.launcher(cuda_2023("torchrun"), 8) == "torchrun"


def test_every_parameter_has_one_name_in_deepspeed():
    names = [one.name for one in samples.TINY.parameters() if one.name.startswith("transformer.h.")]
    found = [kernel_injection._deepspeed_name(name) for name in names]
    assert len(set(found)) == len(names) == 24
    assert "transformer.h.1.attention.attn_qkvw" in found


@pytest.mark.torch
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_skeleton_has_all_shapes_and_no_weights(tmp_path, ranks):
    import json
    import os

    import torch

    path = kernel_injection._skeleton(str(tmp_path), samples.TINY, torch.float16, ranks)
    with open(path) as file:
        described = json.load(file)
    assert described == {
        "type": "BLOOM",
        "version": 1.0,
        "parallelization": "tp",
        "tp_size": ranks,
        "checkpoints": {"non_tp": ["non_tp.pt"], "tp": ["tp.pt"] * ranks},
    }
    parts = {name: torch.load(tmp_path / f"{name}.pt") for name in ("non_tp", "tp")}
    assert sorted(parts["non_tp"]) == sorted(
        one.name for one in samples.TINY.parameters() if not one.name.startswith("transformer.h.")
    )
    for one in samples.TINY.parameters():
        if one.name.startswith("transformer.h."):
            held = parts["tp"].pop(kernel_injection._deepspeed_name(one.name))
            assert tuple(held.shape) == shard_shape(one, ranks)[::-1]
            assert held.dtype == torch.float16
    assert parts["tp"] == {}
    assert os.path.getsize(tmp_path / "tp.pt") < 32_000  # for any size of model: each tensor is one number


@pytest.mark.torch
def test_parameters_are_views_under_transformers_names():
    import torch

    block = torch.nn.Module()
    block.attention, block.norm_b = torch.nn.Module(), torch.nn.Parameter(torch.zeros(3))
    block.attention.attn_qkvw = torch.nn.Parameter(torch.zeros(3, 9))
    whole = torch.nn.Module()
    whole.transformer = torch.nn.Module()
    whole.transformer.h = torch.nn.ModuleList([block])
    whole.transformer.ln_f = torch.nn.LayerNorm(3)
    found = kernel_injection.parameters(whole)
    assert {name: tuple(held.shape) for name, held in found.items()} == {
        "transformer.h.0.input_layernorm.bias": (3,),
        "transformer.h.0.self_attention.query_key_value.weight": (9, 3),
        "transformer.ln_f.weight": (3,),
        "transformer.ln_f.bias": (3,),
    }
    with torch.no_grad():
        found["transformer.h.0.self_attention.query_key_value.weight"][8].fill_(7)
    assert block.attention.attn_qkvw[:, 8].tolist() == [7, 7, 7]


class KnownBloom:
    """Generates like transformers 4.26.1 as far as it is seen from outside, ends early, and notes what it is given."""

    def __init__(self, device, produced):
        self.device, self.produced, self.given = device, produced, []

    def generate(self, input_ids, attention_mask, stopping_criteria=(), **settings):
        import torch

        self.given.append(settings)
        self.device.queue(40_000_000)
        for number in range(self.produced):
            token = torch.full((input_ids.shape[0], 1), 10 + number)
            input_ids = torch.cat([input_ids, token], dim=1)
            if number < self.produced - 1:  # the last token ends the call before a criterion of ours is asked
                assert not any(criterion(input_ids, None) for criterion in stopping_criteria)
        self.device.copy_out()
        return input_ids


@pytest.mark.torch
def test_the_runner_makes_the_calls_of_the_script_and_divides_by_what_came_out(monkeypatch):
    from runner.host.readers import catalog

    device = KnownDevice(host_ns=lambda: 500)
    asked = request(protocol=catalog.read().protocols["gpu-2023"])
    bloom = KnownBloom(device, produced=40)
    loaded = SimpleNamespace(
        model=bloom,
        tokenizer=tokenizer.kit(),
        device="cpu",
        engine=SimpleNamespace(generate=kernel_injection.generate),
        arguments=kernel_injection.arguments(asked),
    )
    monkeypatch.setattr(latency.time, "perf_counter_ns", device.clock_ns)
    monkeypatch.setattr(latency, "INSTRUMENTED_CALLS", 0)
    monkeypatch.setattr(model, "prompt_logits", lambda loaded, rows: device.queue(1000))
    monkeypatch.setattr(model, "describe_logits", lambda logits: model.Logits(True, "cuda"))
    timed = latency.run(asked, loaded, device, SILENT).timed
    assert device.log[: len(SCRIPT)] == SCRIPT
    assert bloom.given[:8] == [{"max_new_tokens": 100, "do_sample": False}] * 8
    assert timed["output_tokens"] == [[40]] * 5
    assert timed["span_s"] == pytest.approx(device.busy_s(3, 7), rel=checks.RESIDUAL)
    # as the script: seconds by the tokens of all calls, 200 of the 500 that were asked for, times the 100 of the post
    assert latency_s(asked.protocol, asked.workload, timed) == timed["span_s"] / 200 * 100


@pytest.mark.torch
def test_each_token_is_seen_once_though_no_streamer_is_known():
    device = KnownDevice()
    loaded = SimpleNamespace(
        model=KnownBloom(device, produced=5),
        tokenizer=tokenizer.kit(),
        device="cpu",
        engine=kernel_injection,
        arguments={"max_new_tokens": 5, "do_sample": False},
    )
    clock = model._TokenClock(device.clock_ns)
    generated = model.generate(loaded, [samples.PROMPT], samples.workload(output_tokens=5), clock)
    assert generated.ids[0, -5:].tolist() == [10, 11, 12, 13, 14]
    assert len(clock.token_ns) == 5


def test_another_precision_is_refused_before_anything_is_loaded():
    bfloat16 = request(workload=samples.workload(precision="bfloat16"))
    with pytest.raises(Unsupported, match="runs BLOOM in float16 alone, not in bfloat16. Take --precision float16"):
        kernel_injection.build(None, None, bfloat16)


def test_neither_graphs_nor_static_shapes():
    assert kernel_injection.conditions(None) == {"graphs": False, "shapes": "dynamic"}
    assert kernel_injection.variables(request()) == {}
