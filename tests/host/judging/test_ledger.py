from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from runner.host.judging import ledger
from runner.host.judging.findings import Finding
from runner.host.paths import ROOT
from runner.host.readers import catalog as catalogs
from runner.host.readers.catalog import Catalog
from runner.host.verbs import claims


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return catalogs.read()


def findings_of(catalog: Catalog, kind: str) -> list[Finding]:
    return [finding for finding in ledger.findings(catalog) if finding.kind == kind]


def known(limit: ledger.Limit | None) -> ledger.Limit:
    """Return a limit that a claim must have."""
    assert limit is not None
    return limit


def changed(catalog: Catalog, name: str, **values: Any) -> Catalog:
    """Return the catalog with one claim's row changed."""
    return replace(catalog, claims={**catalog.claims, name: replace(catalog.claims[name], **values)})


def test_units_come_out_as_the_seconds_of_100_tokens(catalog: Catalog) -> None:
    assert catalog.claims["post-3-gaudi2-8-bloomz"].latency_s == 3.103
    assert catalog.claims["ci-1.9.0-gaudi2-8-bloomz"].latency_s == pytest.approx(3.025, abs=5e-4)
    assert catalog.claims["bloom-2022-ds-fp16-1"].latency_s == pytest.approx(4.402)


# From the notes on the post: percent of the memory-bandwidth floor, with 2.45 TB/s for Gaudi2 and 2.0 for A100.
@pytest.mark.parametrize(
    "name, share, bound",
    [
        ("post-1-gaudi2-8-bloomz", 0.484, "memory"),
        ("post-3-gaudi2-8-bloomz", 0.580, "memory"),
        ("post-1-gaudi2-1-bloomz-7b1", 0.541, "memory"),
        ("post-3-gaudi2-1-bloomz-7b1", 0.747, "memory"),
        ("post-3-a100-8-bloomz", 0.500, "memory"),
        ("post-3-a100-1-bloomz-7b1", 0.334, "memory or host"),
        ("post-3-gaudi2-8-bloomz-7b1", 0.098, "host or link"),
        ("post-3-a100-8-bloomz-7b1", 0.037, "host or link"),
    ],
)
def test_each_cell_reaches_its_share_of_the_physical_limit(
    catalog: Catalog, name: str, share: float, bound: str
) -> None:
    reached = known(ledger.limits(catalog)[name])
    assert reached.share == pytest.approx(share, abs=6e-4)
    assert reached.bound == bound


def test_an_unknown_bandwidth_and_a_batch_have_no_share(catalog: Catalog) -> None:
    limits = ledger.limits(catalog)
    assert limits["post-3-gaudi-1-bloomz-7b1"] is None
    assert limits["bloom-2022-ds-fp16-8"] is None
    assert set(limits) == set(catalog.claims)


def test_the_limit_is_bytes_over_bandwidth_and_devices(catalog: Catalog) -> None:
    model = catalog.models["bloomz-7b1"]
    reached = known(ledger.limit(model, "float16", 1, 2e12, 1.0))
    assert reached.floor_s == pytest.approx(100 * 14_138_032_128 / 2e12)
    assert known(ledger.limit(model, "float16", 8, 2e12, 1.0)).floor_s == pytest.approx(reached.floor_s / 8)
    assert known(ledger.limit(model, "float32", 1, 2e12, 1.0)).floor_s == pytest.approx(reached.floor_s * 2)
    assert known(ledger.limit(model, "float16", 1, 2e12, 100.0)).bound == "host"


def test_the_second_revision_is_said_to_be_not_found(catalog: Catalog) -> None:
    finding, *of_images = findings_of(catalog, "not found")
    assert finding.text.startswith("post-2 (2023-04-28)")
    assert [found.text.partition(" ")[0] for found in of_images] == ["sd-2023-03", "sd-2023-04"]


def test_the_third_revision_s_text_names_another_stack_than_its_table(catalog: Catalog) -> None:
    (finding,) = findings_of(catalog, "text differs")
    assert "post-3: the table is of SynapseAI 1.10" in finding.text
    assert "post-3-gaudi2-8-bloomz" in finding.claims
    same = replace(catalog.claim_sources["post-3"], text_stack=catalog.claim_sources["post-3"].table_stack)
    assert findings_of(replace(catalog, claim_sources={**catalog.claim_sources, "post-3": same}), "text differs") == []


def test_an_older_number_of_another_model_is_recognised_by_its_digits(catalog: Catalog) -> None:
    (finding,) = findings_of(catalog, "equal digits")
    assert finding.text == "4.402 s of bloomz equals 100 tokens of 44.02 ms/token of bloom (bloom-2022-ds-fp16-1)"
    assert {"post-1-a100-8-bloomz", "post-3-a100-8-bloomz", "bloom-2022-ds-fp16-1"} == set(finding.claims)
    assert findings_of(changed(catalog, "bloom-2022-ds-fp16-1", value="44.03"), "equal digits") == []


def test_the_a100_cells_were_not_measured_again(catalog: Catalog) -> None:
    repeated = {
        name
        for finding in findings_of(catalog, "not measured again")
        for name in finding.claims
        if name.startswith("post-3")
    }
    assert repeated == {"post-3-a100-8-bloomz", "post-3-a100-8-bloomz-7b1", "post-3-a100-1-bloomz-7b1"}


def test_first_generation_gaudi_on_eight_devices_got_slower(catalog: Catalog) -> None:
    (finding,) = findings_of(catalog, "slower later")
    assert finding.text == "8 x gaudi, bloomz-7b1: 3.029 s, later 3.321 s (+9.6%)"
    assert findings_of(changed(catalog, "post-3-gaudi-8-bloomz-7b1", value="3.000"), "slower later") == []


def test_every_factor_in_words_is_computed_again(catalog: Catalog) -> None:
    holds = [finding.text for finding in findings_of(catalog, "ratio holds") if not finding.claims[0].startswith("sd-")]
    assert holds == [
        "post-1-176b says 1.2: 4.402 / 3.717 = 1.184, which rounds to it",
        "post-3-176b says 1.42: 4.402 / 3.103 = 1.419, which rounds to it",
    ]
    (differs,) = findings_of(changed(catalog, "post-3-gaudi2-8-bloomz", value="3.200"), "ratio differs")
    assert "4.402 / 3.200 = 1.376, which does not" in differs.text


def test_a_factor_of_unlike_devices_is_told_like_for_like(catalog: Catalog) -> None:
    first, third = findings_of(catalog, "ratio of unlike devices")
    assert "it sets 1 x a100-80gb against 8 x gaudi2, like for like it is 1.99 on 1 and 3.28 on 8" in first.text
    assert "2.119 / 0.734 = 2.887" in third.text
    assert "like for like it is 2.74 on 1 and 3.29 on 8" in third.text


@pytest.mark.parametrize(
    "name, value, words",
    [
        (
            "post-3-gaudi2-8-bloomz",
            "1.7",
            "1.7 s is 106% of what memory allows: reading the weights for 100 tokens takes 1.798 s",
        ),
        ("post-3-gaudi2-8-bloomz", "17e-1", "17e-1 s is 106% of what memory allows"),
        # eight rows share one reading of the weights; 176B in float16 on 8 x A100 takes 2.203 s
        ("bloom-2022-ds-fp16-8", "2.7", "2.7 ms/token is 102% of what memory allows"),
    ],
)
def test_a_number_that_memory_does_not_allow_is_a_finding(catalog: Catalog, name: str, value: str, words: str) -> None:
    assert findings_of(catalog, "faster than memory allows") == []
    (finding,) = findings_of(changed(catalog, name, value=value), "faster than memory allows")
    assert finding.claims == [name]
    assert words in finding.text


def test_a_cell_above_its_limit_suggests_an_error(catalog: Catalog) -> None:
    limits = ledger.limits(changed(catalog, "post-3-gaudi2-8-bloomz", value="1.7"))
    reached = known(limits["post-3-gaudi2-8-bloomz"])
    assert (reached.share > 1, reached.bound) == (True, "an error")


def test_digits_after_an_exponent_count_as_decimals(catalog: Catalog) -> None:
    name = next(iter(catalog.ratios))
    plain = (
        findings_of(catalog, "ratio holds")
        + findings_of(catalog, "ratio differs")
        + findings_of(catalog, "ratio of unlike devices")
    )
    says = catalog.ratios[name].says
    scaled = f"{says.replace('.', '')}e-{len(says.partition('.')[2])}"
    other = replace(catalog, ratios={**catalog.ratios, name: replace(catalog.ratios[name], says=scaled)})
    again = (
        findings_of(other, "ratio holds")
        + findings_of(other, "ratio differs")
        + findings_of(other, "ratio of unlike devices")
    )
    assert [finding.kind for finding in again] == [finding.kind for finding in plain]


def test_prices_are_computed_again(catalog: Catalog) -> None:
    assert [finding.text.split(" costs ")[1].split(" for")[0] for finding in findings_of(catalog, "price")] == [
        "1.71 times gaudi",
        "2.05 times gaudi",
    ]


def test_columns_that_differ_in_more_than_the_accelerator_are_told(catalog: Catalog) -> None:
    _, third, *_ = findings_of(catalog, "unlike columns")
    assert "gaudi and gaudi2: bfloat16, end of text ignore" in third.text
    assert "a100-80gb: float16, end of text stop" in third.text


def test_free_replications_stand_beside_the_newest_revision(catalog: Catalog) -> None:
    texts = {finding.claims[0]: finding.text for finding in findings_of(catalog, "replicates")}
    assert "0.770 s (-0.2%, ci-1.9.0)" in texts["post-3-gaudi2-1-bloomz-7b1"]
    assert "3.657 s (+10.1%, ci-1.7.5)" in texts["post-3-gaudi-8-bloomz-7b1"]
    assert not any("a100" in name for name in texts)


def test_a_number_of_made_up_weights_replicates_none_of_published_weights(catalog: Catalog) -> None:
    name = "ci-1.9.0-gaudi2-8-bloomz"
    (before,) = [found for found in findings_of(catalog, "replicates") if name in found.claims]
    assert "ci-1.9.0" in before.text
    others = findings_of(changed(catalog, name, weights="dummy"), "replicates")
    assert others and not any(name in found.claims for found in others)


def test_one_h100_is_told_as_measured_and_stands_for_no_cell_of_the_post(catalog: Catalog) -> None:
    measured = {name: claim for name, claim in catalog.claims.items() if claim.source == "h100-2026"}
    assert {claim.engine: (claim.value, claim.weights) for claim in measured.values()} == {
        "plain": ("1.994", "dummy"),
        "compiled": ("0.703", "dummy"),
    }
    # 14.138 GB a token at 3.35 TB/s: 0.422 s for 100 tokens
    shares = {claim.engine: known(ledger.limits(catalog)[name]).share for name, claim in measured.items()}
    assert shares == {"plain": pytest.approx(0.2116, abs=1e-3), "compiled": pytest.approx(0.6003, abs=1e-3)}
    assert not any(set(measured) & set(finding.claims) for finding in ledger.findings(catalog))
    assert not any(set(measured) & set(case.beside) for case in catalog.cases.values())


def test_the_numbers_of_the_h100_are_those_that_the_page_of_what_has_run_tells(catalog: Catalog) -> None:
    page = (ROOT / "docs" / "what-has-run.md").read_text(encoding="utf-8")
    of_h100 = page.partition("## One H100")[2].partition("## One H200")[0]
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in of_h100.splitlines() if line.startswith("|")
    ]
    told = {(cells[0], cells[1], cells[2]): cells[3] for cells in rows}
    for claim in catalog.claims.values():
        if claim.source == "h100-2026":
            assert told[claim.model, claim.precision, claim.engine] == f"{claim.value} {claim.unit}"


def test_the_verb_prints_every_claim_and_finding(catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    assert claims.main([]) == 0
    out = capsys.readouterr().out
    for claim in (*catalog.claims.values(), *catalog.images.values()):
        assert f"{claim.value} {claim.unit}" in out
    for finding in ledger.findings(catalog):
        assert finding.text in out
    assert "gaudi: unknown" in out


def test_programs_get_the_same(catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    assert claims.main(["--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert set(output["claims"]) == set(catalog.claims)
    assert output["claims"]["h100-2026-compiled"]["weights"] == "dummy"
    assert {name: image["value"] for name, image in output["images"].items()} == {
        name: claim.value for name, claim in catalog.images.items()
    }
    assert output["images"]["diffusers-2023-03-gaudi2-8"]["seconds_per_image"] == pytest.approx(1.106, abs=5e-4)
    assert output["claims"]["post-3-gaudi2-8-bloomz"]["limit"]["bound"] == "memory"
    assert len(output["findings"]) == len(ledger.findings(catalog))
    assert output["sources"]["post-2"]["found"] is False
