"""The engine of the GPU script on the stack cuda-2023 as it is locked: the real torch 1.13.1, transformers 4.26.1 and DeepSpeed 0.8.2.

DeepSpeed injects, cuts and loads for real; what a GPU would run stands in torch's words in standin.py. The ranks are bare
processes, since the deepspeed launcher of that release starts none where it sees no GPU.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from runner.contract.records import JsonObject
from tests.injection import runs
from tests.injection.runs import NEW
from tests.stacks import build
from tests.support import samples

pytestmark = pytest.mark.stacks("cuda-2023")
LAYERS = 2


class Seen(Protocol):
    """What each of so many ranks saw, for so many rows."""

    def __call__(self, ranks: int, batch: int = ...) -> list[JsonObject]: ...


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Return a function to what each of so many ranks saw, for so many rows; each combination runs once."""
    known: dict[tuple[int, int], list[JsonObject]] = {}

    def of(ranks: int, batch: int = 1) -> list[JsonObject]:
        if (ranks, batch) not in known:
            known[ranks, batch] = runs.run(build.python(build.make(runs.STACK)), ranks, batch)
        return known[ranks, batch]

    return of


def test_the_stack_is_the_pinned_one(seen: Seen) -> None:
    (rank,) = seen(1)
    wanted = {
        "python": "3.10",
        "torch": "1.13.1",
        "transformers": "4.26.1",
        "deepspeed": "0.8.2",
        "accelerate": "0.16.0",
    }
    assert {name: version.split("+")[0] for name, version in rank["versions"].items()} == wanted


@pytest.mark.parametrize("ranks", [1, 2])
def test_tokens_are_those_of_plain_transformers(seen: Seen, ranks: int) -> None:
    """Those that it gives in float32, for weights that were rounded to float16."""
    for rank in seen(ranks):
        assert rank["raw"]["tokens"]["output_ids"] == rank["plain"]
        assert len(set(rank["plain"][0])) > 8
        assert len(set(rank["raw"]["tokens"]["outputs_sha256"])) == 1


def test_rows_of_a_batch_are_each_that_of_plain_transformers(seen: Seen) -> None:
    (rank,) = seen(1, batch=2)
    assert rank["raw"]["tokens"]["output_ids"] == rank["plain"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_what_the_kit_fills_is_what_deepspeed_loads(seen: Seen, ranks: int) -> None:
    """Modules, values, layout and quantisation scales, on every rank: by the script's own way from the same files."""
    assert [rank["differing"] for rank in seen(ranks)] == [[]] * ranks


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_calls_are_the_script_s(seen: Seen, ranks: int) -> None:
    """bloom-ds-inference.py, between init_inference and its last line: three calls, synchronize, five calls, synchronize."""
    for rank in seen(ranks):
        noted = rank["told"]
        name, given = noted[0]
        assert name == "init_inference"
        assert given.pop("checkpoint") == given.pop("base_dir") + "/ds_inference_config.json"
        assert given == {"mp_size": str(ranks), "dtype": "torch.float16", "replace_with_kernel_inject": "True"}
        call = ["generate", ["attention_mask", "do_sample", "input_ids", "max_new_tokens"]]
        script = [call] * 3 + [["synchronize"]] + [call] * 5 + [["synchronize"]]
        # the model is loaded
        assert noted[1] == ["synchronize"]
        assert noted[2 : 2 + len(script)] == script
        # the script's way of loading, which the scenario takes last
        ours = noted[-1]
        assert (ours[0], sorted(ours[1])) == (name, sorted([*given, "checkpoint", "base_dir"]))


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_layer_of_every_pass_runs_the_injected_kernels(seen: Seen, ranks: int) -> None:
    passes = 5 * NEW
    kernels = ("qkv_gemm", "softmax", "vector_matmul", "mlp_gemm", "residual_add_bias")
    for rank in seen(ranks):
        assert rank["kernels"] == {"allocate_workspace": passes, **dict.fromkeys(kernels, LAYERS * passes)}


@pytest.mark.parametrize("ranks", [1, 2])
def test_operators_are_counted_in_the_first_tokens_of_one_more_call(seen: Seen, ranks: int) -> None:
    for rank in seen(ranks):
        told = rank["raw"]["operators"]
        assert told["output_ids"] == [row[:4] for row in rank["raw"]["tokens"]["output_ids"]]
        # The head is not injected.
        assert told["calls"]["aten::linear"] >= 4
        assert told["kernels"] == []


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_runner_s_checks_of_the_model_hold(seen: Seen, ranks: int) -> None:
    for rank in seen(ranks):
        raw = rank["raw"]
        assert raw["conditions"]["precision"] == "float16"
        assert raw["conditions"]["kv_cache"] is True
        assert (raw["conditions"]["graphs"], raw["conditions"]["shapes"]) == (False, "dynamic")
        assert raw["generation"] == rank["generation_wanted"]
        held = samples.TINY.weight_bytes_per_rank("float16", ranks, head_cut=False)
        assert [of_rank["parameter_bytes"] for of_rank in raw["ranks"]] == [held] * ranks
        assert raw["instrumented"]["forward_calls"] == [NEW] * 3
        assert [len(gaps) for gaps in raw["instrumented"]["itl_s"]] == [NEW - 1] * 3
        assert raw["weights"]["format"] == "bin"


def test_an_end_of_text_ends_a_call_and_its_last_token_is_seen(seen: Seen) -> None:
    (rank,) = seen(1)
    ended = rank["ended"]
    assert ended["found"] == ended["plain"]
    produced = len(ended["found"][0]) - 7
    assert produced < NEW == ended["whole"] - 7
    assert ended["seen"] == produced
