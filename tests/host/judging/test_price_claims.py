"""The better price that the post claims: at its own prices, and at a user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.host.judging import price_claims
from runner.host.judging.price_claims import ClaimedPrice
from runner.host.readers.prices import HourlyPrice, Prices
from runner.host.report.material import Material
from tests.examples.made_up import MadeUp
from tests.support.materials import made_up_material, material

A100, GAUDI = "a100-1-bloomz-7b1", "gaudi-1-bloomz-7b1"


def priced(*rows: HourlyPrice) -> Prices:
    return Prices("prices.yaml", {f"row-{number}": row for number, row in enumerate(rows)})


def price(product: str, amount: str, currency: str = "USD", devices: int = 8) -> HourlyPrice:
    return HourlyPrice(product, devices, amount, currency, "here", "2026-11-01", "an invoice")


def claims(made: Material, users: Prices | None = None) -> dict[str, ClaimedPrice]:
    beside = {name: this for name, _ in made.shown_claims() if (this := made.this_run(name)) is not None}
    return {claim.name: claim for claim in price_claims.prices(made.catalog, made.sources, beside, users)}


def test_the_posts_cells_and_prices_give_its_better_price() -> None:
    found = claims(material())
    assert {name: round(claim.at_published.published, 2) for name, claim in found.items()} == {
        "post-1": 1.71,
        "post-3": 2.05,
    }
    assert found["post-3"].at_published.over.date == "2023-06-24"
    assert found["post-3"].at_users == []
    assert found["post-3"].without is None


@pytest.mark.parametrize("a100, gaudi, word", [(1.0, 1.0, "HOLDS"), (0.4, 1.0, "LOWER"), (1.0, 2.05, "INCONCLUSIVE")])
def test_the_cost_of_measured_cells_judges_the_direction(tmp_path: Path, a100: float, gaudi: float, word: str) -> None:
    made = made_up_material(tmp_path, MadeUp(A100, ratio=a100, cv=0.01), MadeUp(GAUDI, ratio=gaudi, cv=0.01))
    cost = claims(made)["post-3"].at_published
    assert cost.judgement.word == word
    assert cost.judgement.margin is None
    assert cost.measured is not None
    assert cost.measured.value == pytest.approx(2.119 * a100 * 30 / (2.387 * gaudi * 13))


def test_one_launch_is_provisional(tmp_path: Path) -> None:
    cost = claims(made_up_material(tmp_path, MadeUp(A100, launches=1), MadeUp(GAUDI)))["post-3"].at_published
    assert cost.judgement.word == "PROVISIONAL"


def test_what_was_not_measured_is_not_judged() -> None:
    judgement = claims(material())["post-3"].at_published.judgement
    assert judgement.word == "NOT-JUDGED"
    assert judgement.reasons == [
        f"nothing was measured beside 1 x {name}, bloomz-7b1 of post-3" for name in ("a100-80gb", "gaudi")
    ]


def test_a_users_prices_stand_beside_the_posts() -> None:
    claim = claims(material(), priced(price("a100-80gb", "20"), price("gaudi", "10")))["post-3"]
    (cost,) = claim.at_users
    assert cost.reading == "either"
    assert cost.published == pytest.approx(2.119 * 20 / (2.387 * 10))
    assert (cost.over.name, cost.under.name) == ("row-0", "row-1")
    assert claim.at_published.published == pytest.approx(2.0486, abs=1e-4)


def test_instances_of_unlike_sizes_have_two_readings() -> None:
    """One device of an instance of 8 at 24 an hour, beside an instance of 1 at 2 an hour."""
    whole, share = claims(material(), priced(price("a100-80gb", "24"), price("gaudi", "2", devices=1)))[
        "post-3"
    ].at_users
    latencies = 2.119 / 2.387
    assert (whole.reading, share.reading) == ("whole instances", "share of the instances")
    assert whole.published == pytest.approx(latencies * 24 / 2)
    assert share.published == pytest.approx(latencies * 3 / 2)


def test_prices_of_unlike_currencies_are_never_set_against_each_other() -> None:
    rows = [price("a100-80gb", "20", "USD"), price("a100-80gb", "18", "EUR"), price("gaudi", "9", "EUR")]
    (cost,) = claims(material(), priced(*rows))["post-3"].at_users
    assert (cost.over.currency, cost.under.currency) == ("EUR", "EUR")
    alone = claims(material(), priced(rows[0], rows[2]))["post-3"]
    assert alone.at_users == []
    assert alone.without == "prices.yaml has no prices of a100-80gb and of gaudi in one currency"


def test_a_file_without_one_of_the_products_says_so() -> None:
    claim = claims(material(), priced(price("gaudi2", "9")))["post-3"]
    assert (claim.at_users, claim.without) == (
        [],
        "prices.yaml has no prices of a100-80gb and of gaudi in one currency",
    )


def test_very_many_pairs_are_counted_and_not_all_shown() -> None:
    rows = [price(product, str(10 + number)) for product in ("a100-80gb", "gaudi") for number in range(12)]
    claim = claims(material(), priced(*rows))["post-3"]
    assert (len(claim.at_users), claim.left_out) == (price_claims.MOST_QUOTIENTS, 144 - price_claims.MOST_QUOTIENTS)


def test_the_intervals_of_costs_are_those_of_the_latencies(tmp_path: Path) -> None:
    made = made_up_material(tmp_path, MadeUp(A100, cv=0.02), MadeUp(GAUDI, cv=0.01))
    claim = claims(made)["post-3"]
    cost, latency = claim.at_published.measured, claim.quotient.measured
    assert cost is not None and latency is not None and latency.low is not None and cost.low is not None
    assert cost.low / cost.value == pytest.approx(latency.low / latency.value)


def test_claims_of_other_sources_stay_out() -> None:
    assert list(claims(material(sources=["post-1"]))) == ["post-1"]
