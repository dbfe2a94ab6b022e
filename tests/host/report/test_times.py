from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from runner.host.judging import comparison
from runner.host.judging.measured import Measured, Sample
from runner.host.report.material import Material
from runner.host.report.sections import times
from runner.host.report.sections.times import Times
from tests.examples import made_up
from tests.support import drawings, groups, materials, samples
from tests.support.markup import parsed


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return materials.of_files(made_up.write_eight_cells(tmp_path_factory.mktemp("eight")), example="made up")


def launched(*ttfts_s: float, tpot_s: float | None = 0.03, emulated: bool = False) -> Measured:
    group = groups.group(*[3.1] * len(ttfts_s), emulated=emulated)
    made = [
        Sample("20261122T100000Z-0123abcd", number, 3.1, ttft_s, tpot_s, None, ())
        for number, ttft_s in enumerate(ttfts_s)
    ]
    return Measured(group, made, [], comparison.against_claims(materials.tables(), group))


def content(*measured: Measured, **changes: object) -> Times:
    made = times.content(materials.of_measured(list(measured), **changes))
    assert made is not None
    return made


def test_without_results_there_is_nothing_to_say() -> None:
    assert times.content(materials.of_measured([])) is None


def test_all_requests_share_a_figure_of_each_launch_time_and_have_one_of_their_gaps(eight: Material) -> None:
    made = times.content(eight)
    assert made is not None
    figures = times.figures(made)
    assert len(made.requests) == 8
    assert [figure.name for figure in figures] == [
        "ttft",
        "tpot",
        *(f"itl-{request.request}" for request in made.requests),
    ]
    assert [problem for figure in figures for problem in drawings.problems(figure)] == []


def test_requests_of_one_name_are_told_apart_and_the_gaps_of_the_earlier_ones_are_folded(tmp_path: Path) -> None:
    material = materials.of_files(made_up.write_history(tmp_path))
    made = times.content(material)
    assert made is not None
    assert [request.newest for request in made.requests] == [True, False, False, False]
    texts = {box.text for box in drawings.boxes(drawings.read(times.figures(made)[0]))}
    assert {f"8 x gaudi2, bloomz, gaudi-1.10 ({each.request[-12:-6]})" for each in made.requests} <= texts
    page = parsed(materials.section(times, material))
    folded = page.all("details")[0]
    assert "Time between tokens of 3 earlier requests" in folded.text()
    assert (len(folded.all("svg")), len(page.all("svg"))) == (3, 6)


def test_the_gaps_are_all_those_of_the_newest_results(eight: Material) -> None:
    made = times.content(eight)
    assert made is not None
    for request in made.requests:
        files = eight.whole[request.request]
        calls = [
            call
            for file in files
            for launch in file.result["launches"]
            if launch["status"] == "complete"
            for call in launch["instrumented"]["itl_s"]
        ]
        gaps = [gap for call in calls for gap in call]
        assert request.itl is not None
        assert (request.itl_calls, request.itl.count) == (len(calls), len(gaps))
        assert (request.itl.least_s, request.itl.greatest_s) == (min(gaps), max(gaps))
        assert sum(bin.count for bin in request.itl.bins_s) == len(gaps)


def test_dots_stand_at_the_medians_of_the_launches() -> None:
    ttfts_s = [0.101, 0.0998, 0.1004, 0.1032]
    first, second = times.figures(content(launched(*ttfts_s)))
    root = drawings.read(first)
    shown = [drawings.value_at(root, *drawings.numbers(dot, "cx")) for dot in drawings.of_class(root, "launch")]
    assert shown == pytest.approx([1000 * ttft_s for ttft_s in ttfts_s], abs=0.02)
    assert (first.name, second.name) == ("ttft", "tpot")


def test_no_percentile_is_told_of_too_few_launches() -> None:
    few, enough = content(launched(*[0.1] * 28)), content(launched(*[0.1] * 29))
    assert list(few.requests[0].ttft.percentiles) == ["median"]
    assert list(enough.requests[0].ttft.percentiles) == ["median", "p90"]


def test_a_single_token_has_no_time_per_later_token() -> None:
    made = content(launched(0.1, tpot_s=None))
    assert (made.requests[0].tpot, made.requests[0].itl) == (None, None)
    assert [figure.name.partition("-")[0] for figure in times.figures(made)] == ["ttft"]


def test_long_times_have_plain_digits() -> None:
    html = materials.section(times, materials.of_measured([launched(12.3, 45.6, tpot_s=None)]))
    (row,) = parsed(html).all("tbody")[0].all("tr")
    told = [cell.text() for cell in row.all("td")]
    assert told == ["TTFT", "2", "28950", "none", "none", "none", "12300", "45600"]


def test_an_outlier_is_kept() -> None:
    made = content(launched(*[0.1] * 200, 9.0))
    spread = made.requests[0].ttft
    assert (spread.greatest_s, sum(bin.count for bin in spread.bins_s)) == (9.0, 201)
    drawn = drawings.of_class(drawings.read(times.figures(made)[0]), "launch")
    assert len(drawn) == 2


def test_times_that_say_nothing_are_never_told() -> None:
    made = content(*[launched(0.1, emulated=True)] * 3)
    assert (made.requests, made.untold) == ([], ["8 x gaudi2, bloomz: something stood in for the device"])
    made = content(dataclasses.replace(launched(0.1), group=groups.group(0.1)))
    assert made.requests == []
    assert made.untold[0].startswith("8 x gaudi2, bloomz: a launch of 0.1 s took less than")


def test_a_walk_through_says_so_in_every_drawing() -> None:
    made = times.content(materials.of_files([materials.WALK_THROUGH]))
    figures = times.figures(made)
    assert len(figures) == 3
    for figure in figures:
        notes = [element.text for element in drawings.of_class(drawings.read(figure), "note")]
        assert notes == ["walk-through on a CPU: reproduces no published cell"]


def test_many_requests_are_left_out_and_counted() -> None:
    made = content(*[launched(0.1)] * (times.MOST_REQUESTS + 3))
    assert (len(made.requests), made.left_out) == (times.MOST_REQUESTS, 3)


def dataset_pass(batches_s: list[float]) -> Measured:
    workload = dataclasses.replace(
        samples.workload(name="dataset", input_tokens=16, output_tokens=50, prompt=None, dataset="a-dataset"),
    )
    request = groups.group(3.1).request
    request = dataclasses.replace(request, workload=workload, beside=[])
    body, _ = groups.of_launches(3.1)
    launch = {
        key: value
        for key, value in body["launches"][0].items()
        if key not in ("timed", "estimate", "instrumented", "tokens")
    }
    launch["dataset"] = {"rows": 48, "rows_total": 50, "batches_s": batches_s, "tokens_sha256": "0" * 64}
    return Measured(groups.grouped(request, {**body, "launches": [launch]}))


def test_a_pass_over_a_dataset_has_rows_seconds_and_their_rate() -> None:
    measured = dataset_pass([1.5, 2.5])
    made = content(measured)
    (told,) = made.passes
    assert (told.rows, told.rows_total, told.seconds, told.rows_per_s) == (48, 50, 4.0, 12.0)
    html = materials.section(times, materials.of_measured([measured]))
    assert "48 of 50" in html and "12.00" in html


def test_many_passes_are_left_out_and_counted() -> None:
    many = [dataset_pass([1.5, 2.5])] * (times.MOST_PASSES + 3)
    made = content(*many)
    assert (len(made.passes), made.passes_left_out) == (times.MOST_PASSES, 3)
    assert "3 older passes not shown here." in materials.section(times, materials.of_measured(many))


def test_the_record_is_json(eight: Material) -> None:
    made = times.content(eight)
    assert made is not None
    assert json.loads(json.dumps(dataclasses.asdict(made)))["requests"][0]["note"] == "made up"


def test_files_of_the_gaps_are_named(tmp_path: Path) -> None:
    made = times.content(materials.of_files([materials.WALK_THROUGH]))
    assert made is not None
    assert made.requests[0].itl_files == [str(materials.WALK_THROUGH)]
