from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runner.contract.request import Accelerator, Request, Weights
from runner.host.judging import comparison, ledger
from runner.host.judging.comparison import Difference
from runner.host.readers import catalog
from tests.support import samples
from tests.support.groups import CLAIM, gaudi2_result, grouped, of_launches, only_row


@pytest.mark.parametrize(
    "latencies_s, word",
    [
        ((3.10, 3.11, 3.09, 3.10, 3.12), "REPRODUCED"),
        ((3.50, 3.51, 3.49, 3.50, 3.52), "SLOWER"),
        ((2.50, 2.51, 2.49, 2.50, 2.52), "FASTER"),
        ((3.00, 3.50, 3.20, 3.40, 3.10), "INCONCLUSIVE"),
        ((3.10,), "PROVISIONAL"),
        ((), "NO-RESULT"),
    ],
)
def test_like_is_judged_by_its_launches(latencies_s: tuple[float, ...], word: str) -> None:
    row = only_row(*of_launches(*latencies_s))
    assert row.verdict.word == word
    assert row.differences == []


def test_launches_of_all_attempts_of_a_request_count() -> None:
    (body, request), (more, _) = of_launches(3.10, 3.11), of_launches(3.09, 3.12, 3.10)
    more["attempt"]["status"] = "interrupted"
    assert only_row(body, request, more).verdict.launches == 5


def test_a_launch_that_failed_is_no_sample_and_alone_is_invalid() -> None:
    body, request = of_launches(3.10, 3.11, 3.12)
    failed = {**body["launches"][0], "status": "failed", "error": "x"}
    failed["checks"] = [
        {"name": "output_tokens", "act": "refuse", "passed": False, "wanted": 1, "found": 2, "reason": None}
    ]
    body["launches"].append(failed)
    assert (only_row(body, request).verdict.word, only_row(body, request).verdict.launches) == ("REPRODUCED", 3)
    body["launches"] = [failed]
    assert only_row(body, request).verdict.word == "INVALID"
    assert only_row(body, request).verdict.reasons == ["the check output_tokens failed"]


OBSERVED: dict[str, dict[str, object]] = {
    "emulated": {"emulated": True},
    "devices": {"devices": 4},
    "precision": {"precision": "float32"},
    "graphs": {"graphs": False},
    "shapes": {"shapes": "dynamic"},
    "end of text": {"end_of_text": "stop"},
    "KV cache": {"kv_cache": False},
}
ASKED: dict[str, Callable[[Request], Request]] = {
    "accelerator": lambda request: replace(request, accelerator=replace(request.accelerator, name="gaudi3")),
    "model": lambda request: replace(request, model=replace(request.model, name="bloom")),
    "weights": lambda request: replace(request, weights=Weights("dummy", 1, 0.3)),
    "stack": lambda request: replace(request, stack=replace(request.stack, name="gaudi-1.9")),
    "protocol": lambda request: replace(request, protocol=replace(request.protocol, name="gaudi-1.9")),
    "protocol version": lambda request: replace(request, protocol=replace(request.protocol, version="2")),
    "batch": lambda request: replace(request, workload=replace(request.workload, batch_size=2)),
    "prompt": lambda request: replace(request, workload=replace(request.workload, prompt="Other")),
    "input tokens": lambda request: replace(request, workload=replace(request.workload, input_tokens=8)),
    "output tokens": lambda request: replace(request, workload=replace(request.workload, output_tokens=99)),
}


def all_conditions() -> set[str]:
    """Return the names of all conditions that the firewall compares, from the firewall itself."""
    body, request = gaudi2_result()
    tables = catalog.read()
    return {name for name, _, _ in comparison.conditions(tables, tables.claims[CLAIM], grouped(request, body))}


def test_every_condition_has_a_change_that_must_trip_it() -> None:
    assert all_conditions() == {*OBSERVED, *ASKED}


@pytest.mark.parametrize("condition", sorted({*OBSERVED, *ASKED}))
def test_each_condition_alone_makes_the_two_unlike_and_is_named(condition: str) -> None:
    body, request = gaudi2_result(**OBSERVED.get(condition, {}))
    if condition in ASKED:
        request = ASKED[condition](request)
    row = only_row(body, request)
    assert row.verdict.word == "NOT-COMPARABLE"
    assert [difference.condition for difference in row.differences] == [condition]
    assert row.verdict.reasons == [f"{condition} differs"]
    assert (row.verdict.ratio is None) is (condition == "emulated")


def test_a_claim_of_made_up_weights_wants_made_up_weights() -> None:
    body, request = gaudi2_result()
    tables = catalog.read()
    claim = replace(tables.claims[CLAIM], weights="dummy")
    (difference,) = comparison.conditions_that_differ(tables, claim, grouped(request, body))
    assert difference == Difference("weights", found="hub", wanted="dummy")
    made_up = replace(request, weights=Weights("dummy", 1, 0.3))
    assert comparison.conditions_that_differ(tables, claim, grouped(made_up, body)) == []


def test_a_product_that_no_accelerator_of_the_catalog_is_stands_beside_claims_and_is_not_comparable() -> None:
    body, request = of_launches(3.10, 3.11, 3.09)
    product = Accelerator("nvidia-a100-pcie-40gb", request.accelerator.device, 40960 << 20, None)
    row = only_row(body, replace(request, accelerator=product))
    assert row.verdict.word == "NOT-COMPARABLE" and "accelerator" in row.verdict.reasons[0]
    assert [(each.found, each.wanted) for each in row.differences] == [("nvidia-a100-pcie-40gb", "gaudi2")]
    assert row.limit is None, "its bandwidth is unknown"
    others = [row for row in catalog.read().cases.values() if row.accelerator == "other-cuda"]
    assert all(case.beside for case in others), "a row without a claim beside it would say nothing"


def test_one_launch_that_differs_is_enough() -> None:
    body, request = of_launches(3.10, 3.11)
    odd = body["launches"][1]
    odd["conditions"] = {**odd["conditions"], "precision": "float16"}
    assert [difference.condition for difference in only_row(body, request).differences] == ["precision"]


def test_a_headline_is_corrected_for_the_number_of_cells() -> None:
    slow = only_row(*of_launches(3.50, 3.51, 3.49, 3.50, 3.52))
    doubtful = replace(slow, verdict=replace(slow.verdict, p_slower=0.04))
    assert comparison.headline([replace(slow, verdict=replace(slow.verdict, p_slower=0.05))]) == []
    assert comparison.headline([slow]) == [CLAIM]
    assert comparison.headline([doubtful]) == [CLAIM]
    assert comparison.headline([doubtful] * 8) == []
    assert comparison.headline([only_row(*of_launches(3.10, 3.11, 3.12))]) == []


def test_the_cpu_is_always_a_walk_through() -> None:
    row = only_row(samples.body(), samples.request())
    assert row.walk_through
    assert row.verdict.word == "NOT-COMPARABLE"
    assert {"accelerator", "model", "weights", "stack"} <= {difference.condition for difference in row.differences}


def test_a_claim_that_the_catalog_no_longer_has_is_passed_over() -> None:
    request = samples.request(beside=["post-0-gone"])
    assert comparison.against_claims(catalog.read(), grouped(request, samples.body(request))) == []
    body, request = of_launches(3.10, 3.11)
    assert only_row(body, replace(request, beside=["post-0-gone", CLAIM])).claim == CLAIM


def test_a_row_says_what_stands_beside_what() -> None:
    body, request = of_launches(3.10, 3.11, 3.12)
    row = only_row(body, request)
    assert (row.claim, row.request, row.walk_through) == (CLAIM, request.id, False)
    assert (row.published, row.published_s) == ("8 x gaudi2, bloomz", "3.103")
    assert row.measured == "8 x gaudi2, bloomz"
    bloomz = request.model.architecture
    assert row.verdict.ratio is not None
    assert row.limit == ledger.limit(bloomz, "bfloat16", 8, 2.45e12, row.verdict.ratio * 3.103)
    slower = only_row(body, replace(request, devices=4, accelerator=replace(request.accelerator, name="gaudi3")))
    assert (slower.published, slower.measured) == ("8 x gaudi2, bloomz", "4 x gaudi3, bloomz")


def test_each_thing_found_instead_of_a_condition_is_told_once() -> None:
    body, request = of_launches(3.10, 3.11, 3.12, 3.13)
    for launch, (precision, emulated) in zip(
        body["launches"], [("float16", True), ("float32", False), ("float16", True), ("bfloat16", False)], strict=True
    ):
        launch["conditions"] = {**launch["conditions"], "precision": precision, "emulated": emulated}
    assert only_row(body, request).differences == [
        comparison.Difference("emulated", "yes", "no"),
        comparison.Difference("precision", "float16", "bfloat16"),
        comparison.Difference("precision", "float32", "bfloat16"),
    ]


@pytest.mark.parametrize(
    "latencies_s, word",
    [((1.79,), "INVALID"), ((3.10, 3.11, 1.79), "INVALID"), ((1.80,), "PROVISIONAL"), ((1.80, 1.81), "FASTER")],
)
def test_a_launch_that_took_less_than_reading_the_weights_takes_is_invalid(
    latencies_s: tuple[float, ...], word: str
) -> None:
    """The weights of 176B in bfloat16 are 352 GB; eight times 2.45 TB/s read them 100 times in 1.798 s."""
    row = only_row(*of_launches(*latencies_s))
    assert row.verdict.word == word
    if word == "INVALID":
        assert row.verdict.reasons == [
            "a launch of 1.79 s took less than the 1.798 s in which the memory of gaudi2 can give the weights once for each token"
        ]
        assert (row.verdict.ratio, row.limit) == (None, None)


@pytest.mark.parametrize("batch_size, word", [(1, "INVALID"), (8, "INVALID")])
def test_a_batch_reads_the_weights_as_often_as_one_row(batch_size: int, word: str) -> None:
    body, request = of_launches(1.5)
    assert only_row(body, replace(request, workload=samples.workload(batch_size=batch_size))).verdict.word == word


def test_the_limit_is_that_of_the_tokens_that_were_asked_for() -> None:
    body, request = of_launches(1.0, 1.1)
    row = only_row(body, replace(request, workload=samples.workload(output_tokens=50, precision="bfloat16")))
    assert row.verdict.word == "NOT-COMPARABLE"
    assert row.limit is not None
    assert row.limit.floor_s == pytest.approx(0.899, rel=1e-3)


def test_the_batch_of_a_claim_is_a_condition() -> None:
    tables = catalog.read()
    claim = replace(tables.claims[CLAIM], batch_size=8)
    body, request = gaudi2_result()
    differences = comparison.conditions_that_differ(tables, claim, grouped(request, body))
    assert differences == [comparison.Difference("batch", "1", "8")]
