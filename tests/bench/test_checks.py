import pytest

from runner.bench import checks
from runner.contract.errors import LaunchFailed
from runner.contract.request import Accelerator, Model, Weights
from tests import samples


def outcome(raw, asked=None):
    return {check["name"]: check["passed"] for check in checks.run(asked or samples.request(), raw)}


def test_a_good_launch_passes_every_check_that_the_cpu_can_make():
    found = outcome(samples.raw(samples.request()))
    assert set(found.values()) == {True, None}
    assert (
        sum(passed is None for passed in found.values()) == 8
    )  # seven of the device, and no count of killed processes


def _set(path, value):
    def change(raw):
        holder = raw
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value

    return change


def _calls(*durations):
    return _set(("timed", "iterations_s"), list(durations))


# For every check an input that must trip it, and an empty input that must trip it where there can be one.
VIOLATIONS = [
    ("device", _set(("conditions", "device"), "cuda")),
    ("device", _set(("conditions", "device"), None)),
    ("devices", _set(("ranks",), [])),
    ("precision", _set(("conditions", "precision"), "bfloat16")),
    ("precision", _set(("conditions", "precision"), "")),
    ("kv_cache", _set(("conditions", "kv_cache"), False)),
    ("kv_cache", _set(("conditions", "kv_cache"), None)),
    ("end_of_text", _set(("conditions", "end_of_text"), "stop")),
    ("end_of_text", _set(("conditions", "end_of_text"), None)),
    ("parameters_on_device", _set(("ranks", 0, "parameters_on"), ["cpu", "meta"])),
    ("parameters_on_device", _set(("ranks", 0, "parameters_on"), [])),
    ("parameter_bytes", _set(("ranks", 0, "parameter_bytes"), 0)),
    ("parameter_bytes", _set(("ranks",), [])),
    ("ranks_agree", _set(("ranks",), [])),
    ("weights", _set(("weights", "seed"), 30)),
    ("weights", _set(("weights", "seed"), None)),
    ("input_tokens", _set(("tokens", "prompt_ids"), [[1] * 8])),
    ("input_tokens", _set(("tokens", "prompt_ids"), [])),
    ("calls_agree", _set(("tokens", "outputs_sha256"), ["a", "b"])),
    ("calls_agree", _set(("tokens", "outputs_sha256"), [])),
    ("logits_finite", _set(("tokens", "logits_finite"), False)),
    ("logits_finite", _set(("tokens", "logits_finite"), None)),
    ("tokens_vary", _set(("tokens", "output_ids"), [[7] * 100])),
    ("tokens_vary", _set(("tokens", "output_ids"), [])),
    ("tokens_vary", _set(("tokens", "output_ids"), [[]])),
    ("output_tokens", _set(("timed", "output_tokens"), [[100]] * 4 + [[99]])),
    ("output_tokens", _set(("timed", "output_tokens"), [])),
    ("output_tokens", _set(("timed", "output_tokens"), [[]] * 5)),
    ("forward_calls", _set(("instrumented", "forward_calls"), [107])),
    ("forward_calls", _set(("instrumented", "forward_calls"), [])),
    ("timed_calls", _calls(0.25, 0.25)),
    ("timed_calls", _calls()),
    ("clock_resolution", _set(("clock", "resolution_s"), 1e-3)),
    ("clock_resolution", _calls()),
    ("clock_drift_s", _set(("clock", "drift_s"), -1.5)),
    ("first_call", _calls(0.30, 0.25, 0.25, 0.25, 0.25)),
    ("first_call", _calls()),
    ("spread", _calls(0.25, 0.35, 0.20, 0.25, 0.25)),
    ("spread", _calls(0.25)),
    ("extremes", _calls(0.25, 0.25, 0.25, 0.25, 0.60)),
    ("extremes", _calls()),
    ("drift", _calls(0.25, 0.25, 0.25, 0.25, 0.27)),
    ("drift", _calls()),
    ("decode_growth", _set(("instrumented", "itl_s"), [[0.001] * 50 + [0.002] * 50])),
    ("decode_growth", _set(("instrumented", "itl_s"), [[]])),
    ("cpu_pressure", _set(("host_noise", "cpu_pressure"), 0.2)),
    ("throttled_periods", _set(("host_noise", "throttled_periods"), 1)),
    ("swapped_pages", _set(("host_noise", "swapped_pages"), 1)),
    ("oom_kills", _set(("host_noise", "oom_kills"), 1)),
]


@pytest.mark.parametrize(
    "name, change", VIOLATIONS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(VIOLATIONS)]
)
def test_each_check_is_tripped_by_its_violation(name, change):
    raw = samples.raw(samples.request())
    change(raw)
    assert outcome(raw)[name] is False


def test_every_check_that_can_be_made_has_a_violation():
    raw = samples.raw(samples.request())
    raw["host_noise"]["oom_kills"] = 0
    made = {name for name, passed in outcome(raw).items() if passed is not None}
    assert {name for name, _ in VIOLATIONS} == made


@pytest.mark.parametrize("name", ["cpu_pressure", "throttled_periods", "swapped_pages", "oom_kills"])
def test_what_a_host_does_not_count_is_not_checked_and_never_passed(name):
    raw = samples.raw(samples.request())
    raw["host_noise"][name] = None
    (check,) = [check for check in checks.run(samples.request(), raw) if check["name"] == name]
    assert (check["passed"], check["reason"]) == (None, "this host does not count it")


def test_what_the_cpu_cannot_tell_is_said_with_its_reason():
    found = {check["name"]: check for check in checks.run(samples.request(), samples.raw(samples.request()))}
    for name in (
        "device_memory",
        "operator_fallback",
        "synchronised",
        "exclusive_device",
        "throttling",
        "compile_cache",
    ):
        assert found[name]["passed"] is None
        assert found[name]["reason"]


def test_ranks_that_differ_are_caught():
    asked = samples.request(devices=2)
    raw = samples.raw(asked)
    raw["ranks"][1]["tokens_sha256"] = "0" * 64
    assert outcome(raw, asked)["ranks_agree"] is False


def test_a_protocol_that_stops_at_the_end_of_text_may_be_shorter_but_not_empty():
    asked = samples.request(protocol=samples.protocol(end_of_text="stop"))
    raw = samples.raw(asked)
    for counts, passed in (([[7]] * 5, True), ([[0]] * 5, False), ([[101]] * 5, False), ([], False)):
        raw["timed"]["output_tokens"] = counts
        assert outcome(raw, asked)["output_tokens"] is passed


@pytest.mark.parametrize(
    "pinned, files, passed",
    [
        ({"a.safetensors": "1" * 64}, [{"name": "a.safetensors", "bytes": 1, "sha256": "1" * 64}], True),
        ({"a.safetensors": "1" * 64}, [{"name": "a.safetensors", "bytes": 1, "sha256": "2" * 64}], False),
        ({}, [{"name": "a.safetensors", "bytes": 1, "sha256": None}], None),
        ({"a.safetensors": "1" * 64}, [], False),
    ],
)
def test_real_weights_are_held_against_their_pins(pinned, files, passed):
    asked = samples.request(
        model=Model("bloom-tiny", samples.TINY, "somebody/bloom-tiny", "1" * 40, pinned),
        weights=Weights("hub", None, None),
    )
    raw = samples.raw(asked)
    raw["weights"] = {"kind": "hub", "seed": None, "std": None, "files": files}
    assert outcome(raw, asked)["weights"] is passed


def test_a_dataset_that_ended_early_is_caught():
    raw = samples.raw(samples.request())
    for key in ("tokens", "timed", "instrumented", "clock"):
        raw.pop(key)
    raw["dataset"] = {"rows": 3, "rows_total": 4}
    assert outcome(raw)["rows"] is False


def test_a_check_that_refuses_refuses_and_says_what_was_wanted():
    record = {"status": "complete", "checks": [checks._equal("devices", 8, 1)]}
    with pytest.raises(LaunchFailed, match="devices wanted 8, found 1"):
        checks.refuse_failed(record)
    assert record["status"] == "failed"


def test_a_flag_and_what_was_not_checked_refuse_nothing():
    flagged = checks._within("spread", 0, 0.1, 0.5, checks.FLAG)
    checks.refuse_failed(
        {"status": "complete", "checks": [flagged, checks._unchecked("throttling", checks.REFUSE, "x")]}
    )


def test_a_slow_first_call_is_refused_where_the_device_is_exclusive():
    asked = samples.request(accelerator=Accelerator("gaudi2", "hpu", None, None), stack=samples.hpu_stack())
    raw = samples.raw(asked)
    raw["timed"]["iterations_s"] = [0.5, 0.25, 0.25, 0.25, 0.25]
    (check,) = [check for check in checks.run(asked, raw) if check["name"] == "first_call"]
    assert (check["act"], check["passed"]) == (checks.REFUSE, False)
