from __future__ import annotations

import functools
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

import pytest
from scipy import stats

from runner.contract.records import JsonObject
from runner.contract.request import Accelerator, Weights
from runner.host.judging import comparison, random_effects, replications
from runner.host.judging.groups import Group
from runner.host.judging.measured import Measured
from runner.host.judging.replications import AlikeGroup, Measurement, Replications
from runner.host.readers import catalog
from runner.host.readers.catalog import Catalog, Claim, ClaimSource
from tests.support.groups import CLAIM, gaudi2_result, group

_tables = functools.cache(catalog.read)
CELL = "8 x gaudi2, bloomz"
FIVE, OTHERS = (3.10, 3.11, 3.09, 3.10, 3.12), (3.20, 3.22, 3.19, 3.21, 3.20)


def measured(of: Group) -> Measured:
    return Measured(of)


def only(*names: str, **changes: Claim) -> Catalog:
    """Return the catalog with only some of its claims, and with others in their place."""
    tables = _tables()
    claims = {name: claim for name, claim in tables.claims.items() if name in names}
    return replace(tables, claims={**claims, **changes})


def found(
    ours: Iterable[Group] = (),
    laboratories: Mapping[str, Iterable[Group]] | None = None,
    tables: Catalog | None = None,
    cell: str = CELL,
) -> Replications:
    """Return the measurements of one cell, for results of groups."""
    of_others = {name: list(map(measured, groups)) for name, groups in (laboratories or {}).items()}
    cells = replications.of_cells(tables or only(CLAIM), map(measured, ours), of_others)
    (of_cell,) = [each for each in cells if each.words == cell]
    return of_cell


def none_found(ours: Iterable[Group], tables: Catalog | None = None) -> bool:
    return replications.of_cells(tables or only(CLAIM), map(measured, ours), {}) == []


def told(alike: AlikeGroup) -> list[tuple[str, str, int]]:
    return [(each.laboratory, each.origin, each.launches) for each in alike.measurements]


def test_publication_these_runs_and_laboratories_are_merged_where_all_conditions_are_equal() -> None:
    of_cell = found([group(*FIVE)], {"b": [group(*OTHERS)], "a": [group(3.3)]})
    (alike,) = of_cell.groups
    assert told(alike) == [
        ("post-3", "published", 1),
        ("these runs", "these runs", 5),
        ("a", "another laboratory", 1),
        ("b", "another laboratory", 5),
    ]
    assert (of_cell.measurements, alike.differs, alike.alone) == (4, {}, None)
    logs = [
        math.log(3.103),
        statistics.fmean(map(math.log, FIVE)),
        math.log(3.3),
        statistics.fmean(map(math.log, OTHERS)),
    ]
    shown = [statistics.stdev(map(math.log, values)) / math.sqrt(5) for values in (FIVE, OTHERS)]
    expected = random_effects.pooled(logs, [0.01, shown[0], 0.01, shown[1]])
    together = alike.together
    assert together is not None
    assert (together.measurements, together.latency_s) == (4, pytest.approx(math.exp(expected.mean)))
    assert together.interval_s == pytest.approx([math.exp(end) for end in expected.interval])
    assert expected.prediction is not None
    assert together.prediction_s == pytest.approx([math.exp(end) for end in expected.prediction])
    numbers = (together.tau, together.i_squared, together.q, together.p)
    assert numbers == pytest.approx((expected.tau, expected.i_squared, expected.q, expected.p))
    assert [each.weight for each in alike.measurements] == pytest.approx(list(expected.weights))


def test_a_measurement_has_the_interval_that_its_launches_show_or_that_is_assumed() -> None:
    published, ours, one = found([group(*FIVE)], {"a": [group(3.3)]}).groups[0].measurements
    logs = list(map(math.log, FIVE))
    low, high = stats.t.interval(0.90, 4, statistics.fmean(logs), stats.sem(logs))
    assert ours.interval_s == pytest.approx((math.exp(low), math.exp(high)))
    assert (ours.assumed_cv, one.assumed_cv, published.assumed_cv) == (None, 0.01, 0.01)
    for assumed, latency_s in ((published, 3.103), (one, 3.3)):
        reach = stats.norm.ppf(0.95) * 0.01
        expected = latency_s * math.exp(-reach), latency_s * math.exp(reach)
        assert assumed.interval_s == pytest.approx(expected)


def other_precision(body: JsonObject) -> None:
    for launch in body["launches"]:
        launch["conditions"] = {**launch["conditions"], "precision": "float16"}


def by_stack(of_cell: Replications) -> dict[str, AlikeGroup]:
    return {alike.differs["stack"]: alike for alike in of_cell.groups}


@pytest.mark.parametrize(
    "name, value, changes",
    [
        ("weights", "dummy", {"weights": Weights("dummy", 29, 0.3)}),
        ("precision", "float16", {"spoil": other_precision}),
        ("stack", "gaudi-1.11", {"stack": replace(gaudi2_result()[1].stack, name="gaudi-1.11")}),
        ("protocol version", "9", {"protocol": replace(gaudi2_result()[1].protocol, version="9")}),
        ("output tokens", "50", {"workload": replace(gaudi2_result()[1].workload, output_tokens=50)}),
        ("prompt", "hello", {"workload": replace(gaudi2_result()[1].workload, prompt="hello")}),
    ],
)
def test_other_conditions_are_a_group_of_their_own_that_says_what_differs(
    name: str, value: str, changes: dict[str, object]
) -> None:
    one = group(*FIVE, **{key: change for key, change in changes.items() if key != "stack"})  # type: ignore[arg-type]
    if "stack" in changes:
        one.request = replace(one.request, stack=changes["stack"])  # type: ignore[arg-type]
    of_cell = found([group(*FIVE), one])
    same, other = of_cell.groups
    assert told(same) == [("post-3", "published", 1), ("these runs", "these runs", 5)]
    assert told(other) == [("these runs", "these runs", 5)]
    assert other.differs[name] == value != same.differs[name]
    assert same.together is not None and same.together.measurements == 2
    assert (other.together, other.alone) == (None, None), "one measurement is not merged with any"


def test_every_condition_that_gates_a_verdict_keeps_measurements_apart() -> None:
    tables = _tables()
    names = {each.name for each in comparison.conditions(tables, tables.claims[CLAIM], group(*FIVE))}
    assert names == set(comparison.claimed(tables, tables.claims[CLAIM]))
    assert {"weights", "stack", "protocol", "precision", "graphs", "KV cache", "emulated"} < names


def test_the_newest_set_of_pins_is_the_measurement_of_a_laboratory() -> None:
    old = group(*FIVE, attempt_id="20261101T100000Z-0123abcd")
    new = group(3.3, 3.4, torch="2.14.0", attempt_id="20261102T100000Z-0123abcd")
    for groups in ([old, new], [new, old]):
        ours = found(groups).groups[0].measurements[1]
        assert (ours.launches, ours.names, ours.older) == (2, [new.request.id], 1)
        assert ours.latency_s == pytest.approx(math.sqrt(3.3 * 3.4))


def claim(source: str, value: str, **changes: object) -> Claim:
    return replace(_tables().claims[CLAIM], **{"source": source, "value": value, **changes})  # type: ignore[arg-type]


def test_a_number_that_is_printed_again_is_the_same_measurement() -> None:
    again = only(one=claim("post-1", "3.103"), two=claim("post-3", "3.103"))
    (alike,) = found([group(*FIVE)], tables=again).groups
    assert told(alike)[0] == ("post-1, post-3", "published", 1)
    assert alike.measurements[0].names == ["one", "two"]
    # under another stack too: the baseline was kept, and not measured there
    kept = only(
        one=claim("ci-1.9.0", "33.0", unit="tokens/s"), two=claim("ci-1.10.0", "33.0", unit="tokens/s", stack="x")
    )
    assert none_found([], kept)
    assert [each.laboratory for each in found([group(*FIVE)], tables=kept).groups[0].measurements] == [
        "ci-1.9.0, ci-1.10.0",
        "these runs",
    ]


def test_a_later_number_of_a_publisher_replaces_an_earlier_one_under_the_same_conditions() -> None:
    twice = only(one=claim("ci-1.9.0", "3.00"), two=claim("ci-1.10.0", "3.20"), three=claim("post-3", "3.10"))
    (alike,) = found(tables=twice).groups
    ci, post = alike.measurements
    assert (ci.laboratory, ci.latency_s, ci.error, ci.older) == ("ci-1.10.0", pytest.approx(3.2), 0.01, 1)
    assert (post.laboratory, post.older) == ("post-3", 0)


def test_what_is_not_known_to_be_alike_is_not_merged() -> None:
    unknown = only(one=claim("post-1", "3.1", stack="unknown"), two=claim("ci-1", "3.2", stack="unknown"))
    (alike,) = found(tables=unknown).groups
    assert (len(alike.measurements), alike.together) == (2, None)
    assert alike.alone == "not merged: nobody knows that they share stack"


def mixed(body: JsonObject) -> None:
    other_precision(body)
    body["launches"][0]["conditions"] = {**body["launches"][0]["conditions"], "precision": "bfloat16"}


def test_launches_under_unlike_conditions_are_merged_with_nothing() -> None:
    of_cell = found([group(*FIVE, spoil=mixed)], {"a": [group(*FIVE, spoil=mixed)]})
    (alike,) = [each for each in of_cell.groups if len(each.measurements) == 2]
    assert alike.differs["precision"] == "bfloat16 and float16"
    assert (alike.together, alike.alone) == (None, "not merged: nobody knows that they share precision")


def test_a_number_without_an_engine_is_of_the_only_engine_of_its_conditions() -> None:
    plain, compiled = group(*FIVE, engine="plain"), group(*FIVE, engine="compiled")
    assert len(found([plain]).groups) == 1
    three = found([plain], {"a": [compiled]})
    assert [(each.differs["engine"], len(each.measurements)) for each in three.groups] == [
        ("unknown", 1),
        ("plain", 1),
        ("compiled", 1),
    ], "of two engines nobody knows which one was published"


def test_equal_launches_have_no_error_and_all_the_weight() -> None:
    (alike,) = found([group(3.103, 3.103, 3.103)]).groups
    assert alike.together is not None
    assert alike.together.latency_s == pytest.approx(3.103)
    assert alike.together.interval_s == pytest.approx((3.103, 3.103))
    assert [each.weight for each in alike.measurements] == [0.0, 1.0]


def test_laboratories_of_equal_launches_that_disagree_are_merged_and_have_no_number_for_q() -> None:
    (alike,) = found([group(3.1, 3.1)], {"a": [group(3.2, 3.2)]}).groups
    assert alike.together is not None
    assert (alike.together.q, alike.together.p, alike.together.i_squared) == (None, 0.0, 1.0)
    assert json.dumps(asdict(alike), allow_nan=False)


@pytest.mark.parametrize(
    "left_out, why",
    [
        (
            group(*FIVE, accelerator=Accelerator("cpu", "cpu", None, None)),
            "a walk-through on a CPU measures no published cell",
        ),
        (group(*FIVE, emulated=True), "something stood in for the device"),
        (group(0.1, 0.1), "a launch of 0.1 s took less than"),
    ],
)
def test_what_measures_no_cell_is_in_no_forest(left_out: Group, why: str) -> None:
    assert none_found([left_out], only(CLAIM))
    assert (replications.why_not(measured(left_out)) or "").startswith(why)
    assert replications.why_not(measured(group(*FIVE))) is None


def test_a_lone_launch_of_a_cell_that_nobody_published_has_no_interval() -> None:
    others = Accelerator("h200", "cuda", 141 * 10**9, 4.8e12)
    of_cell = found([group(3.1, accelerator=others)], {"a": [group(3.2, accelerator=others)]}, cell="8 x h200, bloomz")
    (alike,) = of_cell.groups
    assert [(each.interval_s, each.error) for each in alike.measurements] == [(None, None)] * 2
    assert alike.alone == "not merged: nothing is known of how launches vary"


def test_a_published_number_varies_as_is_assumed_for_itself_and_a_launch_as_for_the_least_sure_number_of_its_cell() -> (
    None
):
    tables = only(one=claim("post-3", "3.1", prior_cv=0.01), two=claim("ci-1", "3.2", prior_cv=0.1))
    (alike,) = found([group(3.3)], tables=tables).groups
    assert [each.assumed_cv for each in alike.measurements] == [0.01, 0.1, 0.1]


def test_a_batch_is_counted_by_the_seconds_of_a_call() -> None:
    batch = only(one=claim("post-1", "0.5", batch_size=8), two=claim("ci-1", "0.6", batch_size=8))
    of_cell = found(tables=batch, cell="8 x gaudi2, bloomz, batch of 8")
    assert [each.latency_s for each in of_cell.groups[0].measurements] == pytest.approx([4.0, 4.8])


def test_the_public_numbers_alone_make_forests_that_merge_nothing_of_unlike_stacks() -> None:
    cells = replications.of_cells(_tables(), [], {})
    by_words = {cell.words: cell for cell in cells}
    stacks = [alike.differs["stack"] for alike in by_words[CELL].groups]
    assert stacks == ["gaudi-1.8", "gaudi-1.10", "gaudi-1.13", "gaudi-1.14", "gaudi-1.15"]
    assert all(alike.together is None for cell in cells for alike in cell.groups)
    assert "8 x a100-80gb, bloomz" not in by_words, "one number that two revisions print is one measurement"


def test_a_measurement_with_any_number_of_laboratories_is_in_the_order_of_their_names() -> None:
    names = [f"laboratory {number:02}" for number in range(12)]
    (alike,) = found([], {name: [group(*FIVE)] for name in reversed(names)}).groups
    assert [each.laboratory for each in alike.measurements] == ["post-3", *names]
    assert isinstance(alike.measurements[0], Measurement)


def test_sources_of_one_publisher_share_the_name_before_the_hyphen() -> None:
    assert {replications.publisher(each) for each in _tables().claims.values()} >= {"post", "ci", "bloom"}
    assert all(isinstance(source, ClaimSource) for source in _tables().claim_sources.values())
