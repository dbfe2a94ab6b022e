from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from runner.host.exports import openmetrics
from runner.host.judging.measured import Measured
from tests.host.exports import made

LAUNCHES = "bloomz_bench_launch_latency_seconds"


def read(measured: list[Measured]) -> dict[str, Metric]:
    """Return the metrics by their names, as Prometheus's own strict parser reads them."""
    return {family.name: family for family in families(openmetrics.text(measured))}


def families(text: str) -> Iterator[Metric]:
    # prometheus_client has no types for its parser
    yield from text_string_to_metric_families(text)


def test_every_launch_is_a_sample_in_seconds() -> None:
    latency = read(made.of(made.gaudi2()))[LAUNCHES]
    assert (latency.type, latency.unit) == ("gauge", "seconds") and latency.documentation
    assert [sample.value for sample in latency.samples] == list(made.STEADY_S)
    assert [sample.labels["launch"] for sample in latency.samples] == list("01234")


def test_units_end_the_names_and_are_those_that_openmetrics_knows() -> None:
    found = read(made.of(made.energetic(1234.5), made.cpu()))
    for family in found.values():
        assert family.name.startswith("bloomz_bench_") and family.name.endswith(family.unit)
        assert family.unit in ("", "seconds", "joules", "ratio")
    assert found["bloomz_bench_launch_energy_joules"].samples[0].value == pytest.approx(1234.5)


def test_the_information_holds_all_conditions() -> None:
    (sample,) = read(made.of(made.gaudi2()))["bloomz_bench_request"].samples
    told = {"accelerator": "gaudi2", "devices": "8", "weights": "hub", "precision": "bfloat16", "walk_through": "false"}
    assert told.items() <= sample.labels.items() and "emulated" in sample.labels


def test_one_verdict_of_each_cell_is_set() -> None:
    measured = made.of(made.gaudi2(), made.cpu())
    verdict = read(measured)["bloomz_bench_verdict"]
    assert verdict.type == "stateset"
    said = [sample.labels["bloomz_bench_verdict"] for sample in verdict.samples if sample.value == 1]
    assert said == [row.verdict.word for found in measured for row in found.rows]


def test_every_sample_says_whether_it_is_a_walk_through_and_which_weights_it_has() -> None:
    for family in read(made.of(made.cpu())).values():
        for sample in family.samples:
            assert (sample.labels["walk_through"], sample.labels["weights"]) == ("true", "dummy")


def test_what_is_unknown_has_no_sample_and_a_stand_in_no_times() -> None:
    found = read(made.of(made.stand_in()))
    assert set(found) == {"bloomz_bench_request", "bloomz_bench_published_seconds", "bloomz_bench_verdict"}
    assert found["bloomz_bench_request"].samples[0].labels["emulated"] == "true"
    assert "bloomz_bench_launch_energy_joules" not in read(made.of(made.gaudi2()))


def test_without_results_the_text_is_empty_but_for_its_end() -> None:
    assert openmetrics.text([]) == "# EOF\n"


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_stays_in_its_label(name: str) -> None:
    samples = read(made.hostile(name))["bloomz_bench_published_seconds"].samples
    assert len(samples) == 1
    told = samples[0].labels["claim"]
    assert all(character.isprintable() for character in told)
    assert told == name or not name.isprintable() or len(name) > 2000
