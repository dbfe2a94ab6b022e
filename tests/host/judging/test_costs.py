"""What tokens take, as published and as measured: the arithmetic, the intervals, and what nobody told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.host.judging import costs
from runner.host.judging.costs import Cost, ForTokens
from runner.host.judging.estimates import Estimate
from runner.host.judging.measured import Measured, Sample
from runner.host.readers.prices import HourlyPrice, Prices
from tests.examples.made_up import MadeUp
from tests.support import groups
from tests.support.materials import made_up_material, tables

EIGHT = HourlyPrice("gaudi2", 8, "36", "EUR", "here", "2026-11-01", "an invoice")


def sample(latency_s: float, energy_j: float | None = None, call_tokens: float | None = 100.0) -> Sample:
    return Sample("20261122T100000Z-0123abcd", 0, latency_s, 0.1, 0.01, energy_j, (), call_tokens)


def measured(*samples: Sample, rows: int = 1, devices: int = 8, output_tokens: int = 100) -> Measured:
    _, request = groups.gaudi2_result()
    workload = replace(request.workload, batch_size=rows, output_tokens=output_tokens)
    group = groups.Group(replace(request, workload=workload, devices=devices))
    return Measured(group, list(samples))


def cost(of: Measured, *rows: HourlyPrice) -> Cost:
    found = costs.of_measured(of, Prices("prices.yaml", {f"row-{n}": each for n, each in enumerate(rows)}))
    assert isinstance(found, Cost)
    return found


def values(tokens: ForTokens | None) -> tuple[float, float]:
    assert tokens is not None
    return tokens.per_100.value, tokens.per_million.value


def test_a_published_cell_has_seconds_and_says_what_nobody_published() -> None:
    found = costs.of_claim("a-claim", tables().claims["post-3-gaudi2-8-bloomz"], None)
    assert values(found.latency_s) == pytest.approx((3.103, 31030))
    assert found.latency_s.per_100 == Estimate(3.103)
    assert (found.energy_j, found.without_energy) == (None, "the source does not tell it")
    assert (found.money, found.launches) == ([], None)
    assert found.words == "8 x gaudi2, bloomz, bfloat16"


def test_a_published_batch_counts_the_tokens_of_all_rows() -> None:
    found = costs.of_claim("a-claim", tables().claims["bloom-2022-ds-fp16-8"], None)
    assert values(found.latency_s) == pytest.approx((0.57, 5700))
    assert found.words.endswith(", batch 8")


def test_seconds_are_the_mean_of_launches_with_its_interval() -> None:
    found = cost(measured(sample(3.0), sample(3.1), sample(3.2)))
    per_100, per_million = found.latency_s.per_100, found.latency_s.per_million
    assert per_100.value == pytest.approx((3.0 * 3.1 * 3.2) ** (1 / 3))
    assert per_100.low is not None and per_million.low is not None and per_million.high is not None
    assert per_100.low < 3.1 < per_million.high / 10_000
    assert per_million.low == pytest.approx(per_100.low * 10_000)
    assert found.launches == 3


def test_tokens_of_all_rows_of_a_batch_count() -> None:
    assert values(cost(measured(sample(4.0), rows=8, output_tokens=50)).latency_s) == pytest.approx((1.0, 10_000))


def test_joules_are_of_the_tokens_that_calls_made() -> None:
    """A call that ends after 80 tokens takes the energy of 80 tokens."""
    found = cost(measured(sample(3.0, 800.0, 80.0), sample(3.0, 1000.0, 100.0)))
    assert values(found.energy_j) == pytest.approx((1000, 10_000_000))
    assert (found.energy_launches, found.without_energy) == (2, None)


@pytest.mark.parametrize(
    "told", [sample(3.0), sample(3.0, 0.0), sample(3.0, 900.0, None)], ids=["no energy", "no rise", "no tokens"]
)
def test_energy_that_nobody_told_is_none_and_never_0(told: Sample) -> None:
    found = cost(measured(told))
    assert (found.energy_j, found.energy_launches) == (None, 0)
    assert found.without_energy == "not measured: no device told its energy"


def test_launches_that_tell_no_energy_are_left_out_of_its_mean() -> None:
    found = cost(measured(sample(3.0, 900.0), sample(3.0), sample(3.0, 900.0)))
    assert values(found.energy_j)[0] == pytest.approx(900)
    assert (found.launches, found.energy_launches) == (3, 2)


def test_money_is_the_time_at_the_price_of_an_hour() -> None:
    """36 an hour is a cent a second."""
    (money,) = cost(measured(sample(3.0), sample(3.1)), EIGHT).money
    assert (money.currency, money.share) == ("EUR", None)
    assert values(money.whole) == pytest.approx(((3.0 * 3.1) ** 0.5 / 100, (3.0 * 3.1) ** 0.5 * 100))
    time = cost(measured(sample(3.0), sample(3.1))).latency_s.per_100
    assert money.whole.per_100.low is not None and time.low is not None
    assert money.whole.per_100.low == pytest.approx(time.low / 100)


@pytest.mark.parametrize(
    "devices, whole, share",
    [(1, 0.03, 0.03 / 8), (4, 0.03, 0.015), (12, 0.06, 0.045), (8, 0.03, None), (16, 0.06, None)],
)
def test_a_part_of_an_instance_has_both_readings(devices: int, whole: float, share: float | None) -> None:
    (money,) = cost(measured(sample(3.0), devices=devices), EIGHT).money
    assert values(money.whole)[0] == pytest.approx(whole)
    assert (None if money.share is None else values(money.share)[0]) == (
        None if share is None else pytest.approx(share)
    )


def test_each_price_of_the_product_stands_alone_in_its_currency() -> None:
    prices = [EIGHT, replace(EIGHT, currency="JPY", price="5000"), replace(EIGHT, product="h200")]
    assert [(money.price, money.currency) for money in cost(measured(sample(3.0)), *prices).money] == [
        ("row-0", "EUR"),
        ("row-1", "JPY"),
    ]


def test_one_launch_has_no_interval() -> None:
    assert cost(measured(sample(3.0, 900.0))).latency_s.per_100 == Estimate(pytest.approx(3.0), None, None)


def test_a_request_without_samples_says_so() -> None:
    found = costs.of_measured(measured(), None)
    assert isinstance(found, str) and found.endswith(": no launch is a sample of its latency")


def test_an_invalid_run_tells_no_number_but_its_reason() -> None:
    """Also where no published cell is beside the request, so that no verdict says so."""
    found = costs.of_measured(Measured(groups.group(0.1, 0.1, beside=[]), [sample(0.1), sample(0.1)]), None)
    assert isinstance(found, str) and ": a launch of 0.1 s took less than the 1.798 s in which the memory" in found


def test_an_emulated_run_tells_no_number(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp("gaudi2-8-bloomz", emulated=True))
    found, without = costs.of_all({}, made.measured, None)
    assert found == []
    assert len(without) == 1 and without[0].endswith("something stood in for the device")


def test_measured_requests_follow_their_cells_and_walk_throughs_come_last(tmp_path: Path) -> None:
    many = [
        MadeUp("cpu-2", latency_s=0.6),
        MadeUp("gaudi2-1-bloomz-7b1", watts=350),
        MadeUp("h100-1-bloomz-7b1-compiled", latency_s=0.7),
    ]
    made = made_up_material(tmp_path, *many)
    found, without = costs.of_all(made.claims_of("post-3"), made.measured, None)
    order = [(each.kind, each.words.split(",")[0]) for each in found]
    assert order[5:7] == [("published", "1 x gaudi2"), ("measured", "1 x gaudi2")]
    assert order[-2:] == [("measured", "1 x h100"), ("measured", "2 x cpu")]
    assert (len(order), without) == (8 + 3, [])
    assert found[-1].remark == "walk-through on a CPU: tells nothing of an accelerator"
    # one device of 350 W for 0.772 s
    assert values(found[6].energy_j)[0] == pytest.approx(350 * 0.772, rel=1e-3)
    assert found[-1].words.endswith(", dummy weights")
