from types import SimpleNamespace

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch 2.13 warns itself of its own while it compiles
]
torch = pytest.importorskip("torch")

from runner.bench.engines import compiled, plain  # noqa: E402
from runner.bench.inputs import tokenizer, weights  # noqa: E402
from runner.bench.rank import model  # noqa: E402
from tests.support import samples  # noqa: E402
from tests.support.plain_transformers import plain_model  # noqa: E402

ROWS = [samples.PROMPT, "He has a"]  # the shorter one is padded on the left
NEW = 20


@pytest.fixture(scope="module")
def loaded():
    source, cpu = weights.DummyWeights(29, 0.3), torch.device("cpu")
    made = compiled.finish(plain_model(), None)
    return model.Loaded(made, tokenizer.kit(), cpu, source, compiled, "compiled", compiled.arguments(None), 0.0)


def graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_tokens_are_those_of_eager_decoding_and_one_graph_serves_all_calls(loaded):
    workload = samples.workload(batch_size=2, output_tokens=NEW)
    wanted = model.generate(loaded._replace(engine=plain, arguments={}), ROWS, workload).ids.tolist()
    before = graphs()
    assert model.generate(loaded, ROWS, workload).ids.tolist() == wanted
    (cache,) = loaded.arguments["caches"].values()
    held = [layer.keys.data_ptr() for layer in cache.layers]
    assert graphs() == before + 1
    traced = model.traced_call(loaded, ROWS, workload, iter(range(10**6)).__next__)
    assert model.generate(loaded, ROWS, workload).ids.tolist() == wanted
    assert graphs() == before + 1  # to be watched changes nothing
    # a graph is bound to the memory that it was captured with
    assert [layer.keys.data_ptr() for layer in cache.layers] == held
    assert list(loaded.arguments["caches"].values()) == [cache]
    assert traced.forward_tokens == [7] + [1] * (NEW - 1)
    assert "prepare_inputs_for_generation" not in vars(loaded.model)


def test_a_prompt_without_padding_is_masked_as_far_as_it_goes(loaded):
    """generate() leaves out a mask of nothing but ones; BLOOM needs it over the whole cache."""

    class Cache:
        def get_seq_length(self):
            return torch.tensor(3)

        def get_max_length(self):
            return 6

    told = compiled._mask(torch.empty(2, 2, 0), None, Cache(), config=None)
    assert told.tolist() == [[1, 1, 1, 1, 1, 0]] * 2
    given = torch.ones(1, 4)
    assert compiled._mask(torch.empty(1, 4, 0), given, Cache()) is given


def test_only_the_first_token_needs_no_graph(loaded):
    workload = samples.workload(output_tokens=1)
    before = graphs()
    eager = model.generate(loaded._replace(engine=plain, arguments={}), ROWS[:1], workload)
    assert model.generate(loaded, ROWS[:1], workload).ids.tolist() == eager.ids.tolist()
    assert graphs() == before


def test_graphs_are_replayed_on_a_gpu_alone(loaded):
    assert compiled.conditions(loaded.model) == {"graphs": False, "shapes": "static cache"}


@pytest.mark.parametrize("roots, graphs", [(None, False), ({}, False), ({0: []}, False), ({0: [], 1: ["node"]}, True)])
def test_on_a_gpu_only_graphs_that_torch_has_captured_are_told(monkeypatch, roots, graphs):
    from torch._inductor import cudagraph_trees

    manager = None if roots is None else SimpleNamespace(roots=roots)
    asked = []
    monkeypatch.setattr(
        cudagraph_trees, "get_manager", lambda *index, **how: asked.append((*index, *how.items())) or manager
    )
    assert compiled.conditions(SimpleNamespace(device=torch.device("cuda", 3)))["graphs"] is graphs
    assert asked == [(3, ("create_if_none_exists", False))]


def test_rows_of_a_dataset_share_one_graph_however_long_they_are(loaded):
    workload = samples.workload(name="dataset", prompt=None, batch_size=2, input_tokens=16, output_tokens=NEW)
    eager, before = loaded._replace(engine=plain, arguments={}), graphs()
    for rows in (ROWS, [samples.PROMPT * 3, "x"], ["a machine", "a"]):
        found, wanted = (model.generate(made, rows, workload, input_tokens=16).ids for made in (loaded, eager))
        assert found.shape == (2, 16 + NEW)
        assert found[:, -NEW:].tolist() == wanted[:, -NEW:].tolist()
    assert graphs() == before + 1
