import pytest

from runner.bench import checks
from runner.contract.errors import LaunchFailed
from tests import samples


def outcome(raw, asked=None):
    return {check["name"]: check["passed"] for check in checks.run(asked or samples.request(), raw)}


def test_a_good_launch_passes_every_check():
    passed = outcome(samples.raw(samples.request()))
    assert len(passed) == 13
    assert all(passed.values())


def _set(path, value):
    def change(raw):
        holder = raw
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value

    return change


# For every check an input that must trip it, and where there can be one, an empty input that must trip it.
VIOLATIONS = [
    ("device", _set(("conditions", "device"), "cuda")),
    ("devices", _set(("ranks",), [])),
    ("precision", _set(("conditions", "precision"), "bfloat16")),
    ("precision", _set(("conditions", "precision"), "")),
    ("kv_cache", _set(("conditions", "kv_cache"), False)),
    ("parameters_on_device", _set(("ranks", 0, "parameters_on"), ["cpu", "meta"])),
    ("parameters_on_device", _set(("ranks", 0, "parameters_on"), [])),
    ("parameter_bytes", _set(("ranks", 0, "parameter_bytes"), 0)),
    ("parameter_bytes", _set(("ranks",), [])),
    ("ranks_agree", _set(("ranks",), [])),
    ("input_tokens", _set(("tokens", "prompt_ids"), [[1] * 8])),
    ("input_tokens", _set(("tokens", "prompt_ids"), [])),
    ("calls_agree", _set(("tokens", "outputs_sha256"), ["a", "b"])),
    ("calls_agree", _set(("tokens", "outputs_sha256"), [])),
    ("logits_finite", _set(("tokens", "logits_finite"), False)),
    ("timed_calls", _set(("timed", "iterations_s"), [])),
    ("output_tokens", _set(("timed", "output_tokens"), [[100]] * 4 + [[99]])),
    ("output_tokens", _set(("timed", "output_tokens"), [])),
    ("output_tokens", _set(("timed", "output_tokens"), [[]] * 5)),
    ("forward_calls", _set(("instrumented", "forward_calls"), [107])),
    ("forward_calls", _set(("instrumented", "forward_calls"), [])),
]


@pytest.mark.parametrize(
    "name, change", VIOLATIONS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(VIOLATIONS)]
)
def test_each_check_is_tripped_by_its_violation(name, change):
    raw = samples.raw(samples.request())
    change(raw)
    assert outcome(raw)[name] is False


def test_every_check_has_a_violation():
    assert {name for name, _ in VIOLATIONS} == set(outcome(samples.raw(samples.request())))


def test_ranks_that_differ_are_caught():
    asked = samples.request(devices=2)
    raw = samples.raw(asked)
    raw["ranks"][1]["tokens_sha256"] = "0" * 64
    assert outcome(raw, asked)["ranks_agree"] is False


def test_a_protocol_that_stops_at_the_end_of_text_may_be_shorter():
    asked = samples.request(protocol=samples.protocol(end_of_text="stop"))
    raw = samples.raw(asked)
    raw["timed"]["output_tokens"] = [[7]] * 5
    assert all(outcome(raw, asked).values())


def test_a_failed_check_refuses_the_launch_and_says_what_was_wanted():
    record = {"status": "complete", "checks": [{"name": "devices", "passed": False, "wanted": 8, "found": 1}]}
    with pytest.raises(LaunchFailed, match="devices wanted 8, found 1"):
        checks.refuse_failed(record)
    assert record["status"] == "failed"
