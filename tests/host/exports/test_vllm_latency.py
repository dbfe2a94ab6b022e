from __future__ import annotations

import json
from typing import Any

import numpy
import pytest

from runner.host.exports import vllm_latency
from runner.host.judging.measured import Measured
from tests.host.exports import made

# What vLLM writes and its own script reads (vllm-project/vllm, vllm/benchmarks/latency.py and
# .buildkite/performance-benchmarks/scripts/convert-results-json-to-markdown.py): vLLM itself needs CUDA's torch, and is not installed.
PERCENTS = [10, 25, 50, 75, 90, 99]


def read(measured: list[Measured]) -> dict[str, Any]:
    (found,) = measured
    value: dict[str, Any] = json.loads(vllm_latency.text(found))
    return value


def test_the_numbers_are_those_that_vllm_computes_of_the_same_seconds() -> None:
    told = read(made.of(made.gaudi2()))
    assert told["latencies"] == list(made.STEADY_S)
    assert told["avg_latency"] == pytest.approx(numpy.mean(made.STEADY_S))
    assert told["std_latency"] == pytest.approx(numpy.std(made.STEADY_S))
    wanted = dict(zip(map(str, PERCENTS), numpy.percentile(made.STEADY_S, PERCENTS).tolist(), strict=True))
    assert told["percentiles"] == pytest.approx(wanted)


def test_vllms_script_finds_every_number_that_it_turns_into_milliseconds() -> None:
    told = read(made.of(made.gaudi2()))
    milliseconds = [1000 * told["percentiles"][str(percent)] for percent in PERCENTS]
    assert milliseconds == sorted(milliseconds) and 1000 * told["avg_latency"] == pytest.approx(3104)


@pytest.mark.parametrize(("launches", "without"), [(1, PERCENTS), (5, [10, 25, 75, 90, 99]), (29, [99]), (299, [])])
def test_percentiles_that_so_few_launches_cannot_tell_are_named(launches: int, without: list[int]) -> None:
    told = read(made.of(made.gaudi2(*[3.0 + number / 1000 for number in range(launches)])))
    assert told["bloomz_bench"]["percentiles_without_support"] == list(map(str, without))


def test_one_launch_has_no_variation() -> None:
    assert read(made.of(made.gaudi2(3.1)))["std_latency"] is None


def test_a_walk_through_and_dummy_weights_are_said() -> None:
    told = read(made.of(made.cpu()))["bloomz_bench"]
    assert len(told["notes"]) == 2 and told["conditions"]["walk_through"] is True
    assert told["verdicts"][0]["verdict"] == "NOT-COMPARABLE"


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_is_visible(name: str) -> None:
    assert all(character.isprintable() for text in made.texts(read(made.hostile(name))) for character in text)
