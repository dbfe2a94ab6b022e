from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Callable, Tuple

import pytest

from runner.bench import devices
from runner.bench.facts.environment import for_other_hosts
from runner.bench.parent import checks
from runner.bench.parent.checks import durations, outcome
from runner.bench.rank import device_log
from runner.contract import strictjson
from runner.contract.errors import LaunchFailed
from runner.contract.records import Check, JsonObject
from runner.contract.request import Accelerator, Expected, Model, Request, Weights
from tests.support import samples
from tests.support.known_device import KnownDevice

# Changes the record of a launch, or the environment of its attempt.
Change = Callable[[JsonObject, JsonObject], None]
# A request, the record of a launch of it, and the environment of the attempt.
Case = Tuple[Request, JsonObject, JsonObject]

CPU = devices.load("cpu")
OUTPUT_IDS = [number % 50 for number in range(100)]
INPUT_IDS = list(range(10, 17))
EXPECTED = Expected(strictjson.sha256_of(INPUT_IDS), strictjson.sha256_of(OUTPUT_IDS))


# The checks that a runner must make, by the number of the project's notes on validity, and the names they go by here.
# The last one is made by the comparison, whose own generated test covers it.
DEMANDED = {
    1: ["device", "devices", "accelerator", "logits_on_device", "experimental"],
    2: ["parameters_on_device", "device_memory"],
    3: ["operator_fallback"],
    4: ["precision", "parameter_bytes"],
    5: ["kv_cache", "decode_growth"],
    6: ["output_tokens", "end_of_text", "forward_calls"],
    7: ["input_tokens", "input_ids", "input_text"],
    8: ["synchronised"],
    9: ["synchronisation_control", "device_clock"],
    10: ["compilations", "first_call"],
    11: ["compile_cache"],
    12: ["clock_resolution", "clock_drift_s"],
    13: ["spread", "extremes", "drift"],
    14: ["timed_calls", "calls_agree", "ranks_agree"],
    15: ["output_ids", "tokens_vary", "logits_finite"],
    16: ["exclusive_device"],
    17: ["throttling"],
    18: ["cpu_pressure", "throttled_periods", "idle_before", "governor"],
    19: ["oom_kills", "swapped_pages", "major_faults"],
    20: ["numa"],
    21: ["inventory", "inventory_added", "interpreter", "driver", "firmware"],
    22: ["weights"],
    23: ["generation", "variables"],
}


def accelerated() -> Case:
    """Return a request of a device that can tell everything, and the record of a good launch of it with its environment."""
    asked = samples.request(
        accelerator=Accelerator("gaudi2", "hpu", None, None),
        stack=samples.hpu_stack("1.10.0-494", "1.10.0-fw-43.2.0"),
        expected=EXPECTED,
    )
    launch, environment = samples.body(asked)["launches"][0], samples.environment()
    weight_bytes = asked.model.architecture.weight_bytes("float32")
    launch["conditions"]["device"] = launch["tokens"]["logits_on"] = "hpu"
    launch["variables"] = {"PT_HPU_LAZY_MODE": "1"}
    launch["host_noise"]["oom_kills"] = 0
    environment["cpu"]["governor"] = "performance"
    for rank in launch["ranks"]:
        observed = dict.fromkeys(("compilations", "cached_kernels"), 0)
        observed.update(fallbacks=0, foreign_processes=[], throttle_reasons=[], memory_rise_bytes=weight_bytes)
        observed.update(control={"queued_s": 1.0, "finished_s": 10.0}, device_clock={"host_s": 1.02, "device_s": 1.0})
        observed.update(device_node=1, cpu_nodes=[1])
        rank["device"] = {
            "name": "HL-225",
            "accelerator": "gaudi2",
            "driver": "1.10.0-494ae52",
            "firmware": "1.10.0-fw-43.2.0",
        }
        rank.update(parameters_on=["hpu"], watched=samples.watched(**observed), variables={"PT_HPU_LAZY_MODE": "1"})
    return asked, launch, environment


def of_the_cpu(asked: Request | None = None) -> Case:
    asked = asked or samples.request(expected=EXPECTED)
    return asked, samples.body(asked)["launches"][0], samples.environment()


def judged(
    asked: Request, launch: JsonObject, environment: JsonObject, device: KnownDevice | None = None
) -> dict[str, Check]:
    device = device or KnownDevice()
    launch = {**launch, "cannot_tell": device.cannot_tell}
    return {check["name"]: check for check in checks.run(asked, launch, environment, device.shared)}


def passed(*arguments: Any) -> dict[str, bool | None]:
    return {name: check["passed"] for name, check in judged(*arguments).items()}


def test_a_good_launch_passes_every_check_on_a_device_that_can_tell_everything() -> None:
    outcomes = judged(*accelerated())
    assert {name: check["found"] for name, check in outcomes.items() if check["passed"] is not True} == {}
    assert {*outcomes} == {name for names in DEMANDED.values() for name in names}
    assert all({*check} == {"name", "act", "passed", "wanted", "found", "reason"} for check in outcomes.values())


def test_on_the_cpu_what_it_cannot_tell_is_said_with_its_reason_and_all_else_passes() -> None:
    outcomes = judged(*of_the_cpu(), CPU)
    unchecked = {name for name, check in outcomes.items() if check["passed"] is None}
    assert unchecked == {*CPU.cannot_tell, "oom_kills", "governor", "driver", "firmware"}
    assert outcomes["driver"]["reason"] == "the lock knows none for this stack"
    assert outcomes["firmware"]["reason"] == "the lock knows none for this accelerator"
    assert all(outcomes[name]["reason"] == reason for name, reason in CPU.cannot_tell.items())
    assert all(check["passed"] is True for name, check in outcomes.items() if name not in unchecked)
    acts = {name: check["act"] for name, check in judged(*accelerated()).items()}
    assert [outcomes[name] for name in unchecked] == [
        outcome.not_made(name, acts[name], outcomes[name]["reason"]) for name in unchecked
    ]
    assert outcomes["governor"]["reason"] == "this host does not tell it"
    assert all({*check} == {"name", "act", "passed", "wanted", "found", "reason"} for check in outcomes.values())


def _set(path: tuple[str | int, ...], value: object) -> Change:
    def change(launch: JsonObject, environment: JsonObject) -> None:
        holder = {"environment": environment, **launch}
        for key in path[:-1]:
            holder = holder[key]
        if len(path) == 1:
            launch[path[0]] = value
        else:
            holder[path[-1]] = value

    return change


def _calls(*durations: float) -> Change:
    return _set(("timed", "iterations_s"), list(durations))


def _watched(name: str, value: object) -> Change:
    return _set(("ranks", 0, "watched", name), value)


def _lacking_firmware(launch: JsonObject, environment: JsonObject) -> None:
    launch["ranks"][0]["device"].pop("firmware")


NO_RANKS = _set(("ranks",), [])

# For every check an input that must trip it, and an empty input that must trip it too.
VIOLATIONS = [
    ("device", _set(("conditions", "device"), "cuda")),
    ("device", _set(("conditions", "device"), None)),
    ("devices", lambda launch, environment: launch["ranks"].append(copy.deepcopy(launch["ranks"][0]))),
    ("devices", NO_RANKS),
    ("accelerator", _set(("ranks", 0, "device", "accelerator"), "gaudi")),
    ("accelerator", _set(("ranks", 0, "device", "accelerator"), None)),
    ("accelerator", NO_RANKS),
    ("logits_on_device", _set(("tokens", "logits_on"), "cpu")),
    ("logits_on_device", _set(("tokens", "logits_on"), None)),
    ("parameters_on_device", _set(("ranks", 0, "parameters_on"), ["hpu", "meta"])),
    ("parameters_on_device", _set(("ranks", 0, "parameters_on"), [])),
    ("device_memory", _watched("memory_rise_bytes", 1)),
    ("device_memory", _watched("memory_rise_bytes", None)),
    ("device_memory", NO_RANKS),
    ("operator_fallback", _watched("fallbacks", 1)),
    ("operator_fallback", _watched("fallbacks", None)),
    ("operator_fallback", NO_RANKS),
    ("precision", _set(("conditions", "precision"), "bfloat16")),
    ("precision", _set(("conditions", "precision"), "")),
    ("parameter_bytes", _set(("ranks", 0, "parameter_bytes"), 0)),
    ("parameter_bytes", NO_RANKS),
    ("kv_cache", _set(("conditions", "kv_cache"), False)),
    ("kv_cache", _set(("conditions", "kv_cache"), None)),
    ("decode_growth", _set(("instrumented", "itl_s"), [[0.001] * 50 + [0.002] * 50])),
    ("decode_growth", _set(("instrumented", "itl_s"), [[]])),
    ("decode_growth", _set(("instrumented", "itl_s"), [])),
    ("output_tokens", _set(("timed", "output_tokens"), [[100]] * 4 + [[99]])),
    ("output_tokens", _set(("timed", "output_tokens"), [])),
    ("output_tokens", _set(("timed", "output_tokens"), [[]] * 5)),
    ("end_of_text", _set(("conditions", "end_of_text"), "stop")),
    ("end_of_text", _set(("conditions", "end_of_text"), None)),
    ("forward_calls", _set(("instrumented", "forward_calls"), [107])),
    ("forward_calls", _set(("instrumented", "forward_calls"), [])),
    ("input_tokens", _set(("tokens", "prompt_ids"), [[1] * 8])),
    ("input_tokens", _set(("tokens", "prompt_ids"), [])),
    ("input_ids", _set(("tokens", "prompt_ids"), [[1] * 7])),
    ("input_ids", _set(("tokens", "prompt_ids"), [])),
    ("input_text", _set(("tokens", "prompt_text"), ["DeepSpeed is a machine learning frame"])),
    ("input_text", _set(("tokens", "prompt_text"), [])),
    ("synchronised", _watched("residual_s", 0.02)),
    ("synchronised", _watched("residual_s", None)),
    ("synchronised", NO_RANKS),
    ("synchronisation_control", _watched("control", {"queued_s": 9.5, "finished_s": 10.0})),
    ("synchronisation_control", _watched("control", {"queued_s": 0.0, "finished_s": 0.0})),
    ("synchronisation_control", _watched("control", None)),
    ("synchronisation_control", NO_RANKS),
    ("device_clock", _watched("device_clock", {"host_s": 1.06, "device_s": 1.0})),
    ("device_clock", _watched("device_clock", {"host_s": 0.94, "device_s": 1.0})),
    ("device_clock", _watched("device_clock", {"host_s": 1.0, "device_s": 0.0})),
    ("device_clock", _watched("device_clock", None)),
    ("device_clock", NO_RANKS),
    ("compilations", _watched("compilations", 1)),
    ("compilations", _watched("compilations", None)),
    ("compilations", NO_RANKS),
    ("first_call", _calls(0.30, 0.25, 0.25, 0.25, 0.25)),
    ("first_call", _calls()),
    ("compile_cache", _watched("cached_kernels", 12)),
    ("compile_cache", _watched("cached_kernels", None)),
    ("compile_cache", NO_RANKS),
    ("clock_resolution", _set(("clock", "resolution_s"), 1e-3)),
    ("clock_resolution", _calls()),
    ("clock_drift_s", _set(("clock", "drift_s"), -1.5)),
    ("clock_drift_s", _set(("clock", "drift_s"), float("nan"))),
    ("spread", _calls(0.25, 0.35, 0.20, 0.25, 0.25)),
    ("spread", _calls(0.25)),
    ("spread", _calls()),
    ("extremes", _calls(0.25, 0.25, 0.25, 0.25, 0.60)),
    ("extremes", _calls()),
    ("drift", _calls(0.25, 0.25, 0.25, 0.25, 0.27)),
    ("drift", _calls()),
    ("timed_calls", _calls(0.25, 0.25)),
    ("timed_calls", _calls()),
    ("calls_agree", _set(("tokens", "outputs_sha256"), ["a", "b"])),
    ("calls_agree", _set(("tokens", "outputs_sha256"), [])),
    ("ranks_agree", NO_RANKS),
    ("output_ids", _set(("tokens", "output_ids"), [[*range(100)]])),
    ("output_ids", _set(("tokens", "output_ids"), [])),
    ("tokens_vary", _set(("tokens", "output_ids"), [[7] * 100])),
    ("tokens_vary", _set(("tokens", "output_ids"), [])),
    ("tokens_vary", _set(("tokens", "output_ids"), [[]])),
    ("logits_finite", _set(("tokens", "logits_finite"), False)),
    ("logits_finite", _set(("tokens", "logits_finite"), None)),
    ("exclusive_device", _watched("foreign_processes", [4711])),
    ("exclusive_device", _watched("foreign_processes", None)),
    ("exclusive_device", NO_RANKS),
    ("throttling", _watched("throttle_reasons", ["heat"])),
    ("throttling", _watched("throttle_reasons", None)),
    ("throttling", NO_RANKS),
    ("cpu_pressure", _set(("host_noise", "cpu_pressure"), 0.2)),
    ("throttled_periods", _set(("host_noise", "throttled_periods"), 1)),
    ("idle_before", _set(("runnable_before",), 1)),
    ("governor", _set(("environment", "cpu", "governor"), "powersave")),
    ("governor", _set(("environment", "cpu", "governor"), "")),
    ("oom_kills", _set(("host_noise", "oom_kills"), 1)),
    ("swapped_pages", _set(("host_noise", "swapped_pages"), 1)),
    ("major_faults", _watched("major_faults", 3)),
    ("major_faults", _watched("major_faults", None)),
    ("major_faults", NO_RANKS),
    ("numa", _watched("cpu_nodes", [0])),
    ("numa", _watched("cpu_nodes", [0, 1])),
    ("numa", _watched("device_node", None)),
    ("numa", NO_RANKS),
    ("inventory", _set(("environment", "inventory", "missing"), {"torch": "2.0.1"})),
    ("inventory", _set(("environment", "inventory", "changed"), {"torch": ["2.0.1", "2.1.0"]})),
    ("inventory", _set(("environment", "inventory", "altered_files"), ["torch/__init__.py"])),
    ("inventory", _set(("environment", "inventory", "shadowed"), {"torch": "/elsewhere/torch/__init__.py"})),
    ("inventory", _set(("environment", "inventory", "unrecorded"), ["torch"])),
    ("inventory", _set(("environment", "inventory", "injected"), ["/site/evil.pth"])),
    ("interpreter", _set(("environment", "inventory", "interpreter"), {"LD_PRELOAD": "/lib/x.so"})),
    ("interpreter", _set(("environment", "inventory"), None)),
    ("inventory_added", _set(("environment", "inventory", "added"), {"foreign": "1"})),
    ("inventory_added", _set(("environment", "inventory"), None)),
    ("driver", _set(("ranks", 0, "device", "driver"), "1.9.0-580")),
    ("driver", _set(("ranks", 0, "device", "driver"), "1.10.0.1")),
    ("driver", _set(("ranks", 0, "device", "driver"), None)),
    ("driver", _set(("ranks", 0, "device", "driver"), "")),
    ("driver", NO_RANKS),
    ("firmware", _set(("ranks", 0, "device", "firmware"), "1.9.0-fw-42.0.1")),
    ("firmware", _set(("ranks", 0, "device", "firmware"), "1.10.0-rc-fw-43.2.0")),
    ("firmware", _set(("ranks", 0, "device", "firmware"), None)),
    ("firmware", _lacking_firmware),
    ("firmware", NO_RANKS),
    ("weights", _set(("weights", "seed"), 30)),
    ("weights", _set(("weights", "seed"), None)),
    ("generation", _set(("generation", "num_beams"), 2)),
    ("generation", _set(("generation", "repetition_penalty"), 1.2)),
    ("generation", _set(("generation",), {})),
    ("variables", _set(("ranks", 0, "variables", "PT_HPU_LAZY_MODE"), "2")),
    ("variables", _set(("ranks", 0, "variables"), {})),
    ("variables", NO_RANKS),
    ("experimental", lambda launch, environment: launch["ranks"].append({**launch["ranks"][0], "host": "another"})),
    ("experimental", NO_RANKS),
]


@pytest.mark.parametrize(
    "name, change", VIOLATIONS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(VIOLATIONS)]
)
def test_each_check_is_tripped_by_its_violation(name: str, change: Change) -> None:
    asked, launch, environment = accelerated()
    change(launch, environment)
    assert passed(asked, launch, environment)[name] is False


def test_every_demanded_check_has_a_violation() -> None:
    assert {name for name, _ in VIOLATIONS} == {name for names in DEMANDED.values() for name in names}
    assert len(DEMANDED) == 23


def test_every_rank_is_judged_and_not_the_first_alone() -> None:
    asked, launch, environment = accelerated()
    asked = samples.request(devices=2, accelerator=asked.accelerator, stack=asked.stack, expected=EXPECTED)
    share = asked.model.architecture.weight_bytes_per_rank("float32", 2)
    launch["ranks"].append({**copy.deepcopy(launch["ranks"][0]), "rank": 1})
    for rank in launch["ranks"]:
        rank["parameter_bytes"] = rank["watched"]["memory_rise_bytes"] = share
    assert set(passed(asked, launch, environment).values()) == {True}
    for name, (fact, value) in (
        *(("device_memory", ("memory_rise_bytes", 1)), ("operator_fallback", ("fallbacks", 1))),
        *(("exclusive_device", ("foreign_processes", [1])), ("throttling", ("throttle_reasons", ["x"]))),
        *(("compilations", ("compilations", 1)), ("compile_cache", ("cached_kernels", 1))),
        *(("numa", ("cpu_nodes", [0])), ("synchronised", ("residual_s", 1.0)), ("major_faults", ("major_faults", 1))),
        *(("device_memory", ("memory_rise_bytes", None)), ("synchronised", ("residual_s", None))),
    ):
        twin = copy.deepcopy(launch)
        twin["ranks"][1]["watched"][fact] = value
        assert [check for check, outcome in passed(asked, twin, environment).items() if outcome is False] == [name]
    whole = asked.model.architecture.weight_bytes_per_rank("float32", 2, head_cut=False)
    for rank in launch["ranks"]:
        rank["parameter_bytes"] = whole
    assert passed(asked, launch, environment)["parameter_bytes"] is True
    launch["ranks"][0]["parameter_bytes"] = share
    assert passed(asked, launch, environment)["parameter_bytes"] is False
    launch["ranks"][1]["parameter_bytes"] = share
    for change, name in (({"tokens_sha256": "0" * 64}, "ranks_agree"), ({"variables": {}}, "variables")):
        twin = copy.deepcopy(launch)
        twin["ranks"][1].update(change)
        assert [check for check, outcome in passed(asked, twin, environment).items() if outcome is False] == [name]


OF_THE_HOST = {"HABANA_VISIBLE_DEVICES": "0,1", "HABANA_VISIBLE_MODULES": "0,1", "HCCL_SOCKET_IFNAME": "ens32"}
OF_ANOTHER = {"HABANA_VISIBLE_DEVICES": "4,5", "HCCL_SOCKET_IFNAME": "eth0"}  # and it lists no modules


def on_two_hosts() -> Case:
    """Return a launch of four ranks on two hosts that number their devices and name their interfaces in their own ways."""
    asked, launch, environment = accelerated()
    asked = samples.request(devices=4, accelerator=asked.accelerator, stack=asked.stack, expected=EXPECTED)
    (rank,) = launch["ranks"]
    rank["parameter_bytes"] = rank["watched"]["memory_rise_bytes"] = asked.model.architecture.weight_bytes_per_rank(
        "float32", 4
    )
    everywhere = launch["variables"]
    launch["ranks"] = [
        {**copy.deepcopy(rank), "rank": number, "host": host, "variables": {**everywhere, **own}}
        for number, (host, own) in enumerate([("one", OF_THE_HOST)] * 2 + [("two", OF_ANOTHER)] * 2)
    ]
    launch["variables"] = {**everywhere, **OF_THE_HOST}
    return asked, launch, environment


def test_hosts_may_differ_in_what_their_devices_and_interfaces_are_called() -> None:
    outcomes = judged(*on_two_hosts())
    assert [name for name, check in outcomes.items() if check["passed"] is False] == ["experimental"]
    assert outcomes["variables"]["found"][3] == {
        "PT_HPU_LAZY_MODE": "1",
        "HABANA_VISIBLE_DEVICES": "4,5",
        "HABANA_VISIBLE_MODULES": None,
        "HCCL_SOCKET_IFNAME": "eth0",
    }


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["HABANA_VISIBLE_DEVICES", "HABANA_VISIBLE_MODULES", "HCCL_SOCKET_IFNAME"])
def test_ranks_of_one_host_must_agree_in_what_it_calls_its_own(rank: int, name: str) -> None:
    asked, launch, environment = on_two_hosts()
    launch["ranks"][rank]["variables"][name] = "another"
    assert passed(asked, launch, environment)["variables"] is False


def test_what_decides_a_measurement_must_be_the_same_on_every_host() -> None:
    for change in ("2", None):
        asked, launch, environment = on_two_hosts()
        for rank in launch["ranks"][2:]:
            rank["variables"]["PT_HPU_LAZY_MODE"] = change
        assert passed(asked, launch, environment)["variables"] is False


def test_another_host_is_not_told_which_devices_are_this_one_s() -> None:
    handed_on = for_other_hosts({"PT_HPU_LAZY_MODE": "1", **OF_THE_HOST, "CUDA_VISIBLE_DEVICES": "1"})
    assert handed_on == {"PT_HPU_LAZY_MODE": "1", "HCCL_SOCKET_IFNAME": "ens32"}


@pytest.mark.parametrize("firmware", ["1.10.0-fw-43.2.0", "1.10.0-fw43.2.0"])
def test_firmware_of_either_spelling_is_the_same(firmware: str) -> None:
    asked, launch, environment = accelerated()
    launch["ranks"][0]["device"]["firmware"] = firmware
    check = judged(asked, launch, environment)["firmware"]
    assert (check["passed"], check["act"]) == (True, outcome.FLAG)


@pytest.mark.parametrize("share, enough", [(0.9, True), (1.1, True), (0.89, False), (1.11, False)])
def test_a_device_must_hold_as_many_bytes_as_the_weights_have(share: float, enough: bool) -> None:
    asked, launch, environment = accelerated()
    launch["ranks"][0]["watched"]["memory_rise_bytes"] = share * asked.model.architecture.weight_bytes("float32")
    assert passed(asked, launch, environment)["device_memory"] is enough


@pytest.mark.parametrize("span_s, left_s, done", [(1.25, 0.0125, True), (1.25, 0.0126, False), (1e-4, 50e-6, True)])
def test_what_may_be_left_when_the_clock_stops_is_the_timer_s_error(span_s: float, left_s: float, done: bool) -> None:
    asked, launch, environment = accelerated()
    launch["timed"]["span_s"], launch["ranks"][0]["watched"]["residual_s"] = span_s, left_s
    assert passed(asked, launch, environment)["synchronised"] is done


@pytest.mark.parametrize("name", ["cpu_pressure", "throttled_periods", "swapped_pages", "oom_kills", "idle_before"])
def test_what_a_host_does_not_count_is_not_checked_and_never_passed(name: str) -> None:
    asked, launch, environment = accelerated()
    launch["host_noise"]["cpu_pressure"] = 0.0
    holder, key = (launch, "runnable_before") if name == "idle_before" else (launch["host_noise"], name)
    holder[key] = None
    check = judged(asked, launch, environment)[name]
    assert (check["passed"], check["reason"]) == (None, "this host does not count it")


def test_ids_of_which_nothing_is_known_and_a_lock_that_is_not_here_are_not_checked() -> None:
    asked, launch, environment = of_the_cpu(samples.request())
    environment["inventory"]["requirements"] = None
    outcomes = judged(asked, launch, environment, CPU)
    unknown = "the request knows none for this model, its weights and this length"
    assert [outcomes[name] for name in ("input_ids", "output_ids", "inventory")] == [
        outcome.not_made("input_ids", outcome.REFUSE, unknown),
        outcome.not_made("output_ids", outcome.FLAG, unknown),
        outcome.not_made("inventory", outcome.REFUSE, "the stack's locked requirements are not here"),
    ]


def test_a_protocol_that_stops_at_the_end_of_text_may_be_shorter_but_not_empty() -> None:
    asked = samples.request(protocol=samples.protocol(end_of_text="stop"))
    asked, launch, environment = of_the_cpu(asked)
    for counts, most, enough in (
        *(([[7]] * 5, 7, True), ([[1]] * 5, 1, True), ([[0]] * 5, 0, False)),
        *(([[100]] * 5, 100, True), ([[101]] * 5, 101, False), ([], 0, False)),
    ):
        launch["timed"]["output_tokens"] = counts
        check = judged(asked, launch, environment, CPU)["output_tokens"]
        assert check == outcome.made("output_tokens", outcome.REFUSE, enough, [1, 100], most)
    assert passed(asked, launch, environment, CPU)["generation"] is True
    launch["generation"]["eos_token_id"] = None
    assert passed(asked, launch, environment, CPU)["generation"] is False


@pytest.mark.parametrize(
    "pinned, files, passes",
    [
        ({"a.safetensors": "1" * 64}, [{"name": "a.safetensors", "bytes": 1, "sha256": "1" * 64}], True),
        ({"a.safetensors": "1" * 64}, [{"name": "a.safetensors", "bytes": 1, "sha256": "2" * 64}], False),
        ({}, [{"name": "a.safetensors", "bytes": 1, "sha256": None}], None),
        ({"a.safetensors": "1" * 64}, [], False),
    ],
)
def test_real_weights_are_held_against_their_pins(
    pinned: dict[str, str], files: list[dict[str, object]], passes: bool | None
) -> None:
    asked, launch, environment = of_the_cpu(
        samples.request(
            model=Model("bloom-tiny", samples.TINY, "somebody/bloom-tiny", "1" * 40, pinned),
            weights=Weights("hub", None, None),
        )
    )
    launch["weights"] = {"kind": "hub", "seed": None, "std": None, "files": files}
    check = judged(asked, launch, environment, CPU)["weights"]
    assert check["passed"] is passes
    if passes is None:
        assert check == outcome.not_made("weights", outcome.REFUSE, "versions.lock has no sha256 of these files")
    else:
        assert check["wanted"] == (pinned if files else "some files")


def test_ranks_of_another_host_have_the_parent_s_variables_but_devices_of_their_own() -> None:
    asked, launch, environment = accelerated()
    asked = replace(asked, devices=2)
    launch["variables"] = {"PT_HPU_LAZY_MODE": "1", "NVIDIA_VISIBLE_DEVICES": "GPU-1"}
    first = {**launch["ranks"][0], "variables": dict(launch["variables"])}
    second = {
        **first,
        "rank": 1,
        "host": "another",
        "variables": {**first["variables"], "NVIDIA_VISIBLE_DEVICES": "GPU-2"},
    }
    launch["ranks"] = [first, second]
    assert passed(asked, launch, environment)["variables"] is True
    second["variables"]["PT_HPU_LAZY_MODE"] = "2"
    assert passed(asked, launch, environment)["variables"] is False
    second["variables"]["PT_HPU_LAZY_MODE"], second["host"] = "1", first["host"]
    assert passed(asked, launch, environment)["variables"] is False
    launch["ranks"] = [first]
    assert passed(asked, launch, environment)["variables"] is False


def test_a_dataset_that_ended_early_or_was_not_waited_for_is_caught() -> None:
    asked, launch, environment = accelerated()
    for key in ("tokens", "timed", "instrumented"):
        launch.pop(key)
    launch["dataset"] = {"rows": 4, "rows_total": 4, "batches_s": [0.5, 0.5]}
    assert set(passed(asked, launch, environment).values()) == {True}
    launch["dataset"]["rows"] = 3
    assert passed(asked, launch, environment)["rows"] is False
    launch["ranks"][0]["watched"]["residual_s"] = 0.011
    assert passed(asked, launch, environment)["synchronised"] is False
    launch["ranks"][0]["watched"]["compilations"] = 2
    check = judged(asked, launch, environment)["compilations"]
    assert (check["act"], check["passed"]) == (outcome.FLAG, False)


def counted(**changes: Any) -> JsonObject:
    told = {"output_tokens": 4, "output_ids": [[0, 1, 2, 3]], "calls": {"aten::mm": 8, "gemm": 4}, "kernels": ["gemm"]}
    return {**told, **changes}


def test_a_call_whose_operators_are_counted_is_checked_only_where_it_was_made() -> None:
    asked, launch, environment = accelerated()
    assert "operators" not in passed(asked, launch, environment)
    launch["operators"] = counted()
    check = judged(asked, launch, environment)["operators"]
    assert check == outcome.made("operators", outcome.REFUSE, True, [[0, 1, 2, 3]], [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    "told",
    [
        counted(output_ids=[[0, 1, 2, 4]]),
        counted(output_ids=[[0, 1, 2]]),
        counted(output_ids=[]),
        counted(output_tokens=0, output_ids=[[]]),
        counted(calls={}, kernels=[]),
        None,
    ],
)
def test_other_tokens_than_the_measured_ones_and_counts_of_nothing_are_refused(told: JsonObject | None) -> None:
    asked, launch, environment = accelerated()
    launch["operators"] = told
    check = judged(asked, launch, environment)["operators"]
    assert (check["act"], check["passed"]) == (outcome.REFUSE, False)


def test_a_device_that_cannot_tell_its_operators_says_why() -> None:
    asked, launch, environment = accelerated()
    device, launch["operators"] = KnownDevice(), None
    device.cannot_tell["operators"] = "nobody tried"
    check = judged(asked, launch, environment, device)["operators"]
    assert check == outcome.not_made("operators", outcome.REFUSE, "nobody tried")


def test_a_slow_first_call_is_refused_where_the_device_is_exclusive_and_told_where_it_is_shared() -> None:
    asked, launch, environment = accelerated()
    launch["timed"]["iterations_s"] = [0.5, 0.25, 0.25, 0.25, 0.25]
    check = judged(asked, launch, environment)["first_call"]
    assert (check["act"], check["passed"]) == (outcome.REFUSE, False)
    check = judged(asked, launch, environment, CPU)["first_call"]
    assert (check["act"], check["passed"]) == (outcome.FLAG, False)


def test_a_check_that_refuses_refuses_and_says_what_was_wanted() -> None:
    record = {"status": "complete", "checks": [outcome.equal("devices", 8, 1), outcome.equal("kv_cache", True, False)]}
    with pytest.raises(LaunchFailed) as caught:
        checks.refuse_failed(record)
    assert str(caught.value) == record["error"]
    assert record["error"].endswith(" than was asked: devices wanted 8, found 1; kv_cache wanted True, found False.")
    assert record["status"] == "failed"


def test_a_flag_and_what_was_not_checked_refuse_nothing() -> None:
    flagged = outcome.within("spread", 0, 0.1, 0.5, outcome.FLAG)
    unchecked = outcome.not_made("throttling", outcome.REFUSE, "x")
    checks.refuse_failed({"status": "complete", "checks": [flagged, unchecked]})


def test_which_checks_refuse_is_written_down() -> None:
    """A refusal turned into a flag would pass every test above."""
    outcomes = judged(*accelerated())
    assert {check["act"] for check in outcomes.values()} == {"refuse", "flag"}
    refusing = {name for name, check in outcomes.items() if check["act"] == "refuse"}
    assert refusing == {
        *("device", "devices", "accelerator", "logits_on_device", "parameters_on_device", "device_memory"),
        "operator_fallback",
        *("precision", "parameter_bytes", "kv_cache", "output_tokens", "end_of_text", "forward_calls"),
        *("input_tokens", "input_ids", "input_text", "synchronised", "compilations", "first_call"),
        *("clock_resolution", "clock_drift_s", "timed_calls", "calls_agree", "ranks_agree", "tokens_vary"),
        *("logits_finite", "exclusive_device", "inventory", "weights", "generation", "variables"),
    }


def test_what_a_device_may_tell_is_what_the_summary_takes() -> None:
    assert {*KnownDevice().observe()} == {*device_log.OBSERVED}


@pytest.mark.parametrize(
    "name, change, wanted, found",
    [
        ("operator_fallback", _watched("fallbacks", 1), "nothing", [[1]]),
        ("throttling", _watched("throttle_reasons", None), "told by every rank", [[None]]),
        ("numa", _watched("cpu_nodes", [0]), "cores of the device's own node", [[1, [0]]]),
        ("devices", NO_RANKS, 1, 0),
        ("driver", _set(("ranks", 0, "device", "driver"), "1.9.0-580"), "1.10.0-494", ["1.9.0-580"]),
        (
            "firmware",
            _set(("ranks", 0, "device", "firmware"), "1.9.0-fw-42.0.1"),
            "1.10.0-fw-43.2.0",
            ["1.9.0-fw-42.0.1"],
        ),
        ("parameter_bytes", _set(("ranks", 0, "parameter_bytes"), 7), [samples.TINY.weight_bytes("float32")], [7]),
        ("major_faults", _watched("major_faults", 3), [0, 0], 3),
        ("clock_drift_s", _set(("clock", "drift_s"), -1.5), [0, 1.0], 1.5),
    ],
)
def test_a_check_says_what_was_wanted_and_what_was_found(
    name: str, change: Change, wanted: object, found: object
) -> None:
    asked, launch, environment = accelerated()
    change(launch, environment)
    check = judged(asked, launch, environment)[name]
    assert (check["passed"], check["wanted"], check["found"]) == (False, wanted, found)


def test_the_durations_are_measured_as_the_checks_are_called() -> None:
    asked, launch, environment = accelerated()
    launch["timed"]["iterations_s"] = [1.1, 1.0, 0.9, 1.0, 1.2, 1.4]  # mean 1.1, median 1.05
    launch["clock"]["resolution_s"] = 0.09
    outcomes = {name: check["found"] for name, check in judged(asked, launch, environment).items()}
    assert outcomes["timed_calls"] == 6
    assert outcomes["first_call"] == pytest.approx(1.1 / 1.05 - 1)
    assert outcomes["spread"] == pytest.approx((0.16 / 5) ** 0.5 / 1.1)
    assert outcomes["extremes"] == pytest.approx(0.3 / 1.1)
    assert outcomes["drift"] == pytest.approx(1.3 / 1.05 - 1)
    assert outcomes["clock_resolution"] == pytest.approx(0.1)


def test_two_calls_have_a_spread_and_no_drift() -> None:
    asked, launch, environment = accelerated()
    launch["timed"]["iterations_s"] = [0.9, 1.1]
    outcomes = {name: check["found"] for name, check in judged(asked, launch, environment).items()}
    assert outcomes["spread"] == pytest.approx(0.02**0.5)
    assert outcomes["drift"] is None


@pytest.mark.parametrize(
    "calls, growth",
    [
        ([[1, 3, 4, 4, 4, 4, 6, 10]], 4),
        ([[2, 2, 2, 1]], 0.5),
        ([[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 1, 9]], 2),
        ([[1, 1, 1]], None),
    ],
)
def test_the_growth_of_decoding_is_the_last_quarter_over_the_first(
    calls: list[list[int]], growth: float | None
) -> None:
    assert durations.median_growth(calls) == growth


def test_decoding_that_becomes_faster_is_no_growth() -> None:
    asked, launch, environment = accelerated()
    launch["instrumented"]["itl_s"] = [[0.002] * 50 + [0.001] * 50]
    assert passed(asked, launch, environment)["decode_growth"] is True


@pytest.mark.parametrize(
    "new, output_ids, vary",
    [(1, [[7]], True), (2, [[7, 7]], False), (2, [[7, 8]], True), (100, [[7, 8] * 50], True)],
)
def test_tokens_must_vary_where_there_is_more_than_one(new: int, output_ids: list[list[int]], vary: bool) -> None:
    asked, launch, environment = of_the_cpu(samples.request(workload=samples.workload(output_tokens=new)))
    launch["tokens"]["output_ids"] = output_ids
    check = judged(asked, launch, environment, CPU)["tokens_vary"]
    assert (check["passed"], check["found"]) == (vary, [vary])


@pytest.mark.parametrize(
    "name, most",
    [
        *(("first_call", 0.10), ("spread", 0.10), ("extremes", 0.50), ("drift", 0.05), ("decode_growth", 1.3)),
        *(("clock_resolution", 1e-4), ("clock_drift_s", 1.0), ("cpu_pressure", 0.10), ("device_clock", 0.05)),
        *(("synchronisation_control", 0.90), ("throttled_periods", 0), ("swapped_pages", 0), ("oom_kills", 0)),
        *(("idle_before", 0), ("major_faults", 0)),
    ],
)
def test_the_limit_of_each_check_is_written_down(name: str, most: float) -> None:
    assert judged(*accelerated())[name]["wanted"] == [0, most]


@pytest.mark.parametrize("found, within", [(-0.01, False), (0, True), (0.1, True), (0.11, False), (None, False)])
def test_a_limit_itself_is_within(found: object, within: bool) -> None:
    assert outcome.within("spread", 0, 0.1, found, outcome.FLAG)["passed"] is within


@pytest.mark.parametrize("name", [*CPU.cannot_tell, "accelerator", "driver", "firmware"])
def test_what_a_device_says_it_cannot_tell_is_not_checked_and_keeps_its_act(name: str) -> None:
    asked, launch, environment = accelerated()
    able, unable = KnownDevice(), KnownDevice()
    unable.cannot_tell = {name: "for a reason"}
    check, same = judged(asked, launch, environment, unable)[name], judged(asked, launch, environment, able)[name]
    assert (check["passed"], check["reason"], check["act"]) == (None, "for a reason", same["act"])
    assert (check["wanted"], check["found"], same["passed"]) == (None, None, True)
