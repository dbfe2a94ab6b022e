import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.bench import devices, engines
from runner.bench.engines import compiled, optimum_habana, plain
from runner.bench.inputs import tokenizer
from runner.bench.parent import launcher
from runner.contract import result
from runner.contract.errors import Unsupported
from runner.contract.request import ENGINES, Dataset, Stack
from tests.support import samples

DATASET = Dataset("file", "a.jsonl", None, None, None, "json", "1" * 64, "text", None)


def stack(release):
    return Stack("gaudi-1.10", "hpu", "3.8", "deepspeed", {"optimum-habana": release}, None, None)


def gaudi(release="1.6.1", devices=1, graphs=True, dataset=False):
    workload = samples.workload(name="dataset", prompt=None, dataset=DATASET) if dataset else samples.workload()
    return samples.request(
        accelerator=samples.Accelerator("gaudi2", "hpu", 96 * 10**9, 2.45e12),
        stack=stack(release),
        engine="optimum-habana",
        devices=devices,
        protocol=samples.protocol(graphs=graphs),
        workload=workload,
    )


def test_the_engine_s_name_is_its_module_s():
    assert engines.load("plain") is plain
    assert engines.load("optimum-habana") is optimum_habana
    assert engines.load("compiled") is compiled


def test_an_engine_that_is_not_there_yet_is_said_to_be(monkeypatch):
    monkeypatch.delitem(engines._MODULES, "plain")
    with pytest.raises(Unsupported, match="The engine plain cannot be run by this version, only .*optimum-habana"):
        engines.load("plain")


def test_every_engine_offers_what_the_protocol_names():
    methods = {name for name in vars(engines.Engine) if not name.startswith("_")}
    assert {"shard", "generate", "forward_hook"} <= methods
    assert all(callable(getattr(engine, name)) for engine in map(engines.load, engines._MODULES) for name in methods)


def test_results_may_name_every_way_that_an_engine_cuts_a_model():
    path = Path(result.__file__).parent / "schema" / f"result-{result.SCHEMA}.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    launch = schema["properties"]["launches"]["items"]["properties"]
    names = {name for engine in engines._MODULES for name in engines.load(engine).NAMES}
    assert {*launch["conditions"]["properties"]["engine"]["enum"]} == names
    assert {*schema["properties"]["request"]["properties"]["engine"]["enum"]} == {*engines._MODULES} == {*ENGINES}


@pytest.mark.parametrize(
    "engine, packages, told",
    [
        ("optimum-habana", {}, "needs optimum-habana 1; the stack s does not have it. Make the request with another"),
        ("kernel-injection", {"deepspeed": "0.19.8"}, "needs deepspeed 0.8; the stack s has 0.19.8"),
        ("kernel-injection", {"deepspeed": "0.80"}, "has 0.80"),
        ("compiled", {"transformers": "4.28.1"}, "needs transformers 5; the stack s has 4.28.1"),
    ],
)
def test_an_engine_on_a_stack_that_it_is_not_written_for_is_refused(engine, packages, told):
    with pytest.raises(Unsupported, match=told):
        engines.check_packages(engine, Stack("s", "cpu", "3.8", "torchrun", packages, None, None))


# How gaudi_spawn.py of the releases starts the example, and what the example sets before it imports the device.
@pytest.mark.parametrize(
    "release, count, name",
    [
        ("1.5.0.dev0", 1, "deepspeed"),
        ("1.5.0.dev0", 8, "deepspeed"),
        ("1.5.0", 1, "deepspeed"),
        ("1.5.0", 8, "deepspeed"),
        ("1.6.1", 1, "python"),
        ("1.6.1", 8, "deepspeed"),
        ("1.21.2", 1, "python"),
        ("1.21.2", 8, "deepspeed"),
    ],
)
def test_from_1_6_on_one_device_is_a_plain_process_and_all_else_runs_under_deepspeed(release, count, name):
    assert optimum_habana.launcher(stack(release), count) == name


def test_the_command_of_a_plain_process_names_no_launcher():
    command = launcher.command("python", 1, ["--out", "folder"])
    assert command[1:] == ["-m", "runner.bench.rank.worker", "--out", "folder"]


@pytest.mark.parametrize(
    "asked, variables",
    [
        (
            gaudi("1.5.0.dev0"),
            {"PT_HPU_LAZY_ACC_PAR_MODE": "0", "PT_HPU_ENABLE_LAZY_COLLECTIVES": "true", "WA_BETA_ALIBI": "1"},
        ),
        (gaudi("1.5.0"), {"PT_HPU_LAZY_ACC_PAR_MODE": "0", "PT_HPU_ENABLE_LAZY_COLLECTIVES": "true"}),
        (
            gaudi("1.5.0", graphs=False),
            {"PT_HPU_LAZY_ACC_PAR_MODE": "0", "PT_HPU_ENABLE_LAZY_COLLECTIVES": "true", "PT_HPU_LAZY_MODE": "2"},
        ),
        (gaudi("1.6.1"), {}),
        (gaudi("1.6.1", graphs=False), {}),
        (gaudi("1.6.1", devices=2), {"PT_HPU_LAZY_ACC_PAR_MODE": "0", "PT_HPU_ENABLE_LAZY_COLLECTIVES": "true"}),
        (gaudi("1.21.2"), {"PT_HPU_LAZY_MODE": "1", "EXPERIMENTAL_WEIGHT_SHARING": "FALSE"}),
        (
            gaudi("1.21.2", devices=2, graphs=False),
            {
                "PT_HPU_LAZY_MODE": "1",
                "EXPERIMENTAL_WEIGHT_SHARING": "FALSE",
                "PT_HPU_ENABLE_LAZY_COLLECTIVES": "true",
            },
        ),
    ],
)
def test_variables_are_those_that_the_examples_set(asked, variables):
    assert optimum_habana.variables(asked) == variables


PROFILING = {"profiling_steps": 0, "profiling_warmup_steps": 0}


@pytest.mark.parametrize(
    "asked, arguments",
    [
        (gaudi("1.5.0.dev0"), {"lazy_mode": True, "hpu_graphs": True}),
        (gaudi("1.5.0"), {"lazy_mode": True, "hpu_graphs": True}),
        (gaudi("1.5.0", graphs=False), {"lazy_mode": False, "hpu_graphs": False}),
        (gaudi("1.5.0", graphs=False, dataset=True), {"lazy_mode": False, "hpu_graphs": False}),
        (gaudi("1.6.1"), {"lazy_mode": True, "hpu_graphs": True, **PROFILING}),
        (gaudi("1.6.1", graphs=False), {"lazy_mode": True, "hpu_graphs": False, **PROFILING}),
        (gaudi("1.6.1", dataset=True), {"lazy_mode": True, "hpu_graphs": True, **PROFILING}),
        (gaudi("1.6.1", graphs=False, dataset=True), {"lazy_mode": False, "hpu_graphs": False, **PROFILING}),
        (gaudi("1.21.2"), {"lazy_mode": True, "hpu_graphs": True, "ignore_eos": True, "iteration_times": []}),
        (gaudi("1.21.2", graphs=False, dataset=True), {"lazy_mode": True, "hpu_graphs": False, "ignore_eos": True}),
    ],
)
def test_arguments_are_those_that_the_examples_pass(asked, arguments):
    assert optimum_habana.arguments(asked) == arguments


def test_shapes_are_static_and_graphs_are_those_that_were_made():
    model = type("Model", (), {"forward": lambda self: None})()
    assert optimum_habana.conditions(model) == {"graphs": False, "shapes": "static"}
    model.forward = model.forward  # what wrapping in a graph does
    assert optimum_habana.conditions(model) == {"graphs": True, "shapes": "static"}
    assert plain.conditions(model) == {"graphs": False, "shapes": "dynamic"}


def test_a_model_that_does_not_fit_a_device_is_refused_with_both_sizes():
    hpu = devices.load("hpu")
    assert hpu.missing(gaudi()) is None
    small = samples.request(
        accelerator=samples.Accelerator("gaudi2", "hpu", 10**9, None), stack=stack("1.6.1"), protocol=samples.protocol()
    )
    assert (
        "bloom-tiny in float32 on 1 x gaudi2 needs 2,002,069,504 bytes on each device; each has 1,000,000,000"
        in str(hpu.missing(small))
    )


def test_without_the_vendor_s_package_the_device_says_what_is_missing():
    from runner.contract.errors import LaunchFailed

    with pytest.raises(
        LaunchFailed, match="habana_frameworks is not installed here. Run this in the image of a gaudi stack"
    ):
        devices.load("hpu").open(0)


@pytest.mark.parametrize(
    "release, graphs, dataset, ignores",
    [
        ("1.5.0.dev0", True, False, True),
        ("1.5.0", True, False, True),
        ("1.5.0", False, False, False),
        ("1.6.1", False, False, True),
        ("1.6.1", False, True, False),
    ],
)
def test_in_lazy_mode_the_end_of_text_is_there_and_ignored_as_upstream_s_is(release, graphs, dataset, ignores):
    made = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=None), forward=None)
    assert optimum_habana.finish(made, gaudi(release, graphs=graphs, dataset=dataset)) is made
    assert made.generation_config.eos_token_id == (tokenizer.END if ignores else None)
    assert optimum_habana.conditions(made).get("end_of_text") == ("ignore" if ignores else None)


def test_a_head_that_deepspeed_has_cut_is_never_split_again():
    from runner.contract.errors import Unsupported

    class Weight:
        def __init__(self, *shape):
            self.shape = shape

    class Model:
        def __init__(self, *head):
            self.lm_head = type("Head", (), {"weight": Weight(*head)})
            self.transformer = type(
                "Body", (), {"word_embeddings": type("Embeddings", (), {"weight": Weight(512, 128)})}
            )
            self.split = 0

        def split_lm_head(self):
            self.split += 1

    whole = Model(512, 128)
    assert optimum_habana.finish(whole, gaudi("1.5.0", graphs=False)) is whole
    assert whole.split == 1
    with pytest.raises(Unsupported, match="cuts the LM head among the ranks, which optimum-habana 1.5 reads whole"):
        optimum_habana.finish(Model(512, 64), gaudi("1.5.0", devices=2))


def test_a_batch_on_several_devices_before_1_5_is_refused_since_its_tokens_are_wrong():
    asked = replace(gaudi("1.5.0.dev0", devices=2), workload=samples.workload(batch_size=8))
    with pytest.raises(
        Unsupported, match=r"1\.5\.0\.dev0 gives wrong tokens for a batch of 8 on 2 devices\. Use a batch of 1"
    ):
        optimum_habana.shard(None, asked, None, None, None, 2)


@pytest.mark.parametrize("release, arguments", [("1.5.0.dev0", set()), ("1.5.0", {"streamer"})])
def test_a_streamer_is_handed_to_a_release_that_takes_one(release, arguments):
    made = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=None), forward=None)
    optimum_habana.finish(made, gaudi(release))
    assert set(optimum_habana._listener(made, {}, None)) == arguments


def test_a_model_that_was_watched_is_as_it_was():
    """Its forward is its class's again: one of its own would say that it replays a graph."""
    model, noted = type("Model", (), {"forward": lambda self, input_ids: input_ids})(), []
    ids = type("Ids", (), {"shape": (1, 7)})()
    with plain.forward_hook(model, noted):
        assert model.forward(input_ids=ids) is ids
    assert noted == [7]
    assert optimum_habana.conditions(model)["graphs"] is False
    model.forward = own = lambda input_ids: "graph"
    with plain.forward_hook(model, noted):
        assert model.forward(ids) == "graph"
    assert model.forward is own
    assert noted == [7, 7]
