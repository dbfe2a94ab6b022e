"""The call whose operators are counted: real engines on the CPU, in this process."""

from __future__ import annotations

import functools
from typing import Any

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch 2.13 warns itself of its own while it compiles
]
torch = pytest.importorskip("torch")

from runner.bench.devices import compiling, cpu  # noqa: E402
from runner.bench.engines import compiled, plain  # noqa: E402
from runner.bench.inputs import tokenizer, weights  # noqa: E402
from runner.bench.rank import model, operators  # noqa: E402
from runner.contract.progress import SILENT, PlainTask  # noqa: E402
from runner.contract.records import Operators  # noqa: E402
from tests.support import samples  # noqa: E402
from tests.support.known_device import KnownDevice  # noqa: E402
from tests.support.plain_transformers import plain_model  # noqa: E402

NEW, LAYERS = 12, samples.TINY.n_layer


def loaded(engine: Any) -> model.Loaded:
    source, device = weights.DummyWeights(29, 0.3), torch.device("cpu")
    made = engine.finish(plain_model(), None)
    return model.Loaded(made, tokenizer.kit(), device, source, engine, "transformers", engine.arguments(None), 0.0)


def counted(held: model.Loaded, batch_size: int = 1, output_tokens: int = NEW) -> tuple[Operators, list[list[int]]]:
    """Return what was counted, and the ids of a whole call."""
    asked = samples.request(workload=samples.workload(batch_size=batch_size, output_tokens=output_tokens))
    rows = [samples.PROMPT] * batch_size
    whole = model.generate(held, rows, asked.workload).ids[:, 7:].tolist()
    told = operators.run(asked, held, cpu, SILENT)
    assert told is not None
    return told, whole


@pytest.mark.parametrize("engine", [plain, compiled])
def test_the_call_makes_the_first_tokens_in_the_shapes_of_the_whole_call(engine: Any) -> None:
    held = loaded(engine)
    told, whole = counted(held, batch_size=2)
    assert told["output_ids"] == [row[: operators.TOKENS] for row in whole]
    assert (told["output_tokens"], told["kernels"]) == (operators.TOKENS, [])
    graphs = compiling.graphs()
    again, _ = counted(held, batch_size=2)
    assert (again, compiling.graphs()) == (told, graphs)
    if engine is compiled:
        # A shorter call would have a cache, and a graph, of its own.
        assert len(held.arguments["caches"]) == 1


def test_each_forward_pass_runs_each_linear_layer_once() -> None:
    told, _ = counted(loaded(plain))
    # Four linear layers a block, and the head without a bias.
    assert told["calls"]["aten::addmm"] == 4 * LAYERS * operators.TOKENS
    assert told["calls"]["aten::mm"] == operators.TOKENS


def test_a_forward_pass_too_many_shows_in_the_counts_and_not_in_the_tokens() -> None:
    held = loaded(plain)
    told, whole = counted(held)
    prepare = held.model.prepare_inputs_for_generation

    @functools.wraps(prepare)
    def twice(*arguments: Any, **keywords: Any) -> Any:
        with torch.no_grad():
            held.model(input_ids=torch.ones(1, 1, dtype=torch.long), use_cache=False)
        return prepare(*arguments, **keywords)

    held.model.prepare_inputs_for_generation = twice
    planted, same = counted(held)
    assert same == whole
    assert planted["output_ids"] == told["output_ids"]
    assert planted["calls"]["aten::addmm"] == 2 * told["calls"]["aten::addmm"]
    assert planted["calls"] != told["calls"]


@pytest.mark.parametrize("output_tokens", [1, operators.TOKENS - 1, operators.TOKENS])
def test_a_call_that_is_as_short_ends_by_itself(output_tokens: int) -> None:
    told, whole = counted(loaded(plain), output_tokens=output_tokens)
    assert (told["output_tokens"], told["output_ids"]) == (output_tokens, whole)


def test_a_call_that_ends_at_an_end_of_text_tells_fewer_tokens() -> None:
    held = loaded(plain)
    _, whole = counted(held)
    held.model.generation_config.eos_token_id = whole[0][1]
    told, _ = counted(held)
    assert (told["output_tokens"], told["output_ids"]) == (2, [whole[0][:2]])


def test_a_device_that_cannot_tell_makes_no_call_and_says_why() -> None:
    device, shown = KnownDevice(), []
    device.cannot_tell["operators"] = "nobody tried"
    held = loaded(plain)
    held.model.generate = None
    assert operators.run(samples.request(), held, device, PlainTask(shown.append)) is None
    assert shown == ["operators are not counted: nobody tried"]
