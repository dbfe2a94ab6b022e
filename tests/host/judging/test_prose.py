"""The factors of the post in words: computed again from its cells, and from launches beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from runner.host.judging import prose
from runner.host.judging.prose import ClaimedFactor
from runner.host.report.material import Material
from tests.examples.made_up import MadeUp
from tests.support.materials import made_up_material, material, row, tables

BOTH = ("post-1", "post-3")


def factors(made: Material) -> dict[str, ClaimedFactor]:
    beside = {name: this for name, _ in made.shown_claims() if (this := made.this_run(name)) is not None}
    return {factor.name: factor for factor in prose.factors(made.catalog, made.sources, beside)}


def of_7b(folder: Path, *many: MadeUp) -> ClaimedFactor:
    return factors(made_up_material(folder, *many))["post-3-7b"]


@pytest.mark.parametrize(
    "name, says, computed",
    [
        ("post-1-176b", "1.2", 1.184),
        ("post-1-7b", "3", 2.875),
        ("post-3-176b", "1.42", 1.419),
        ("post-3-7b", "2.89", 2.887),
    ],
)
def test_the_words_are_what_the_published_cells_give(name: str, says: str, computed: float) -> None:
    factor = factors(material())[name]
    assert (factor.says, factor.rounds) == (says, True)
    assert factor.quotient.published == pytest.approx(computed, abs=5e-4)


def test_words_that_the_published_cells_do_not_give_are_found() -> None:
    catalog = tables()
    wrong = replace(catalog.ratios["post-3-7b"], says="2.88")
    (factor,) = prose.factors(replace(catalog, ratios={"wrong": wrong}), BOTH, {})
    assert not factor.rounds


def test_one_device_against_eight_is_set_like_for_like() -> None:
    found = factors(material())
    told = {
        name: [(each.over.devices, each.under.devices, round(each.published, 2)) for each in found[name].like_for_like]
        for name in ("post-1-7b", "post-3-7b")
    }
    one, eight = ("1 x a100-80gb", "1 x gaudi2"), ("8 x a100-80gb", "8 x gaudi2")
    assert told == {
        "post-1-7b": [(*one, 1.99), (*eight, 3.28)],
        "post-3-7b": [(*one, 2.74), (*eight, 3.29)],
    }
    assert found["post-3-7b"].unlike == [
        "protocol: gpu-2023 against gaudi-1.10",
        "devices: 1 against 8",
        "precision: float16 against bfloat16",
        "graphs: no against yes",
        "shapes: dynamic against static",
        "end of text: stop against ignore",
    ]


def test_equal_numbers_of_devices_are_like_for_like_already() -> None:
    factor = factors(material())["post-3-176b"]
    assert factor.like_for_like == []
    assert "precision: float16 against bfloat16" in factor.unlike
    assert not [words for words in factor.unlike if words.startswith("devices")]


def test_only_the_sources_asked_for_are_judged() -> None:
    assert list(factors(material(sources=["post-1"]))) == ["post-1-176b", "post-1-7b"]
    assert factors(material(sources=["ci-1.9.0"])) == {}


@pytest.mark.parametrize(
    "slower, faster, word",
    [(1.01, 1.0, "HOLDS"), (1.1, 1.0, "HIGHER"), (0.9, 1.0, "LOWER"), (1.045, 1.0, "INCONCLUSIVE")],
)
def test_measured_cells_judge_the_words(tmp_path: Path, slower: float, faster: float, word: str) -> None:
    many = MadeUp("a100-8-bloomz", ratio=slower, cv=0.01), MadeUp("gaudi2-8-bloomz", ratio=faster, cv=0.01)
    factor = factors(made_up_material(tmp_path, *many))["post-3-176b"]
    assert factor.judgement.word == word
    measured = factor.quotient.measured
    assert measured is not None and measured.low is not None and measured.high is not None
    assert measured.value == pytest.approx(4.402 / 3.103 * slower / faster)
    assert factor.judgement.reasons[0].startswith(
        f"the interval {measured.low:.3f} to {measured.high:.3f}, with the rounding of 1.42, "
    )
    assert (factor.quotient.over.launches, factor.quotient.under.launches) == (5, 5)


def test_the_rounding_of_the_words_widens_the_interval(tmp_path: Path) -> None:
    """Nothing varies: the factor lies at the margin's edge, and only what was rounded to 1.42 tells on which side."""
    edge = 1.42 * 1.05 / (4.402 / 3.103)
    exact = {"cv": 1e-9}
    words = {}
    for name, ratio in {"within": edge * 0.99, "across": edge * 0.999, "above": edge * 1.01}.items():
        many = MadeUp("a100-8-bloomz", ratio=ratio, **exact), MadeUp("gaudi2-8-bloomz", **exact)
        words[name] = factors(made_up_material(tmp_path / name, *many))["post-3-176b"].judgement.word
    assert words == {"within": "HOLDS", "across": "INCONCLUSIVE", "above": "HIGHER"}


def test_the_greater_margin_of_the_two_runs_counts(tmp_path: Path) -> None:
    factor = of_7b(tmp_path, MadeUp("a100-1-bloomz-7b1", ratio=1.08), MadeUp("gaudi2-8-bloomz-7b1"))
    assert (factor.judgement.margin, factor.judgement.word) == (0.15, "HOLDS")


def test_one_launch_is_provisional_with_what_is_assumed(tmp_path: Path) -> None:
    judgement = of_7b(tmp_path, MadeUp("a100-1-bloomz-7b1", launches=1), MadeUp("gaudi2-8-bloomz-7b1")).judgement
    assert judgement.word == "PROVISIONAL"
    assert judgement.reasons[0] == (
        "one launch of 1 x a100-80gb, bloomz-7b1; a variation of 0.5% between launches is assumed"
    )
    assert len(judgement.reasons) == 2


def test_like_for_like_is_measured_where_the_cells_are(tmp_path: Path) -> None:
    many = (
        MadeUp("a100-1-bloomz-7b1", ratio=1.1),
        MadeUp("gaudi2-8-bloomz-7b1"),
        MadeUp("gaudi2-1-bloomz-7b1", ratio=0.9),
    )
    one, eight = of_7b(tmp_path, *many).like_for_like
    assert one.measured is not None
    assert one.measured.value == pytest.approx(2.119 * 1.1 / (0.772 * 0.9))
    assert eight.measured is None
    assert eight.over.reason == "nothing was measured beside 8 x a100-80gb, bloomz-7b1 of post-3"


def test_a_cell_that_was_not_measured_is_named() -> None:
    judgement = factors(material())["post-3-176b"].judgement
    assert judgement.word == "NOT-JUDGED"
    assert judgement.reasons == [
        f"nothing was measured beside 8 x {name}, bloomz of post-3" for name in ("a100-80gb", "gaudi2")
    ]


def test_a_run_under_other_conditions_gives_no_factor(tmp_path: Path) -> None:
    many = MadeUp("a100-8-bloomz", precision="bfloat16"), MadeUp("gaudi2-8-bloomz")
    factor = factors(made_up_material(tmp_path, *many))["post-3-176b"]
    assert factor.quotient.measured is None
    assert factor.judgement.word == "NOT-JUDGED"
    (reason,) = factor.judgement.reasons
    assert reason == "what was measured beside 8 x a100-80gb, bloomz is NOT-COMPARABLE: precision differs"


def test_an_emulated_run_gives_no_factor(tmp_path: Path) -> None:
    many = MadeUp("a100-8-bloomz"), MadeUp("gaudi2-8-bloomz", emulated=True)
    factor = factors(made_up_material(tmp_path, *many))["post-3-176b"]
    assert (factor.quotient.measured, factor.judgement.word) == (None, "NOT-JUDGED")


def test_a_walk_through_gives_no_factor(tmp_path: Path) -> None:
    factor = factors(made_up_material(tmp_path, MadeUp("cpu-2", latency_s=0.6)))["post-3-176b"]
    assert factor.judgement.word == "NOT-JUDGED"
    assert factor.judgement.reasons == [
        "beside 8 x a100-80gb, bloomz stands only a walk-through on a CPU",
        "beside 8 x gaudi2, bloomz stands only a walk-through on a CPU",
    ]


@pytest.mark.parametrize("word", ["INVALID", "NO-RESULT", "NOT-COMPARABLE"])
def test_no_verdict_without_samples_gives_a_factor(word: str) -> None:
    rows = [row("post-3-a100-8-bloomz", word), row("post-3-gaudi2-8-bloomz", word)]  # type: ignore[arg-type]
    factor = factors(material(*rows))["post-3-176b"]
    assert factor.quotient.measured is None
    assert all(f"is {word}: a reason" in reason for reason in factor.judgement.reasons)


def test_a_number_per_token_is_a_side_as_well() -> None:
    catalog = tables()
    ratio = replace(catalog.ratios["post-3-176b"], faster="ci-1.11.0-gaudi2-8-bloomz", says="1.6")
    (factor,) = prose.factors(replace(catalog, ratios={"other": ratio}), BOTH, {})
    assert factor.quotient.published == pytest.approx(4.402 * 36.773 / 100)
    assert factor.quotient.under.published == "36.773 tokens/s"
    assert math.isclose(factor.quotient.published, 1.6187, rel_tol=1e-3) and factor.rounds
