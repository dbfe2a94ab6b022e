import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult, InputError
from runner.contract.request import Accelerator, Model, Weights
from runner.host.judging import ledger
from runner.host.readers import catalog
from runner.host.results import attempts
from runner.host.verbs import compare
from tests.support import samples
from tests.support.journals import journal
from tests.support.patience import HANG_S

CLAIM = "post-3-gaudi2-8-bloomz"


def gaudi2_result(**observed):
    """Return a request, and what was observed, that share every condition of the published 176B cell on Gaudi2."""
    tables = catalog.read()
    stack = replace(samples.request().stack, name="gaudi-1.10", device="hpu")
    request = samples.request(
        case="gaudi2-8-bloomz",
        accelerator=Accelerator("gaudi2", "hpu", 96 * 10**9, 2.45e12),
        devices=8,
        stack=stack,
        model=Model("bloomz", tables.models["bloomz"], "bigscience/bloomz", "7" * 40, {}),
        weights=Weights("hub", None, None),
        workload=samples.workload(precision="bfloat16"),
        protocol=tables.protocols["gaudi-1.10"],
        beside=[CLAIM],
    )
    body = samples.body(request)
    conditions = {"device": "hpu", "graphs": True, "shapes": "static", "devices": 8}
    launch = body["launches"][0]
    launch["conditions"].update({**conditions, **observed})
    # 10 s a call: no device of the published tables is so fast that its memory forbids it, whatever the condition
    launch["timed"].update(iterations_s=[10.0] * 5, span_s=50.0)
    launch["clock"].update(elapsed_s=50.0)
    launch["estimate"].update(latency_s=10.0)
    body["attempt"].update(duration_s=1000.0)
    return body, request


def grouped(request, *bodies):
    group = compare.Group(request)
    for attempt in map(attempts.of_result, bodies):
        group.add(attempt, attempts.to_text(attempt))
    return group


def only_row(body, request, *more):
    (row,) = compare.against_claims(catalog.read(), grouped(request, body, *more))
    return row


def of_launches(*latencies_s):
    """Return a like result with one launch for each latency."""
    body, request = gaudi2_result()
    first = body["launches"][0]
    body["launches"] = [
        {**first, "index": number, "estimate": {"estimator": "nominal", "latency_s": value}}
        for number, value in enumerate(latencies_s)
    ]
    return body, request


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
def test_like_is_judged_by_its_launches(latencies_s, word):
    row = only_row(*of_launches(*latencies_s))
    assert row.verdict.word == word
    assert row.differences == []


def test_launches_of_all_attempts_of_a_request_count():
    (body, request), (more, _) = of_launches(3.10, 3.11), of_launches(3.09, 3.12, 3.10)
    more["attempt"]["status"] = "interrupted"
    assert only_row(body, request, more).verdict.launches == 5


def test_a_launch_that_failed_is_no_sample_and_alone_is_invalid():
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


OBSERVED = {
    "emulated": {"emulated": True},
    "devices": {"devices": 4},
    "precision": {"precision": "float32"},
    "graphs": {"graphs": False},
    "shapes": {"shapes": "dynamic"},
    "end of text": {"end_of_text": "stop"},
    "KV cache": {"kv_cache": False},
}
ASKED = {
    "accelerator": lambda r: {"accelerator": replace(r.accelerator, name="gaudi3")},
    "model": lambda r: {"model": replace(r.model, name="bloom")},
    "weights": lambda r: {"weights": Weights("dummy", 1, 0.3)},
    "stack": lambda r: {"stack": replace(r.stack, name="gaudi-1.9")},
    "protocol": lambda r: {"protocol": replace(r.protocol, name="gaudi-1.9")},
    "protocol version": lambda r: {"protocol": replace(r.protocol, version="2")},
    "batch": lambda r: {"workload": replace(r.workload, batch_size=2)},
    "prompt": lambda r: {"workload": replace(r.workload, prompt="Other")},
    "input tokens": lambda r: {"workload": replace(r.workload, input_tokens=8)},
    "output tokens": lambda r: {"workload": replace(r.workload, output_tokens=99)},
}


def all_conditions():
    """Return the names of all conditions that the firewall compares, from the firewall itself."""
    body, request = gaudi2_result()
    tables = catalog.read()
    return {name for name, _, _ in compare.conditions(tables, tables.claims[CLAIM], grouped(request, body))}


def test_every_condition_has_a_change_that_must_trip_it():
    assert all_conditions() == {*OBSERVED, *ASKED}


@pytest.mark.parametrize("condition", sorted({*OBSERVED, *ASKED}))
def test_each_condition_alone_makes_the_two_unlike_and_is_named(condition):
    body, request = gaudi2_result(**OBSERVED.get(condition, {}))
    if condition in ASKED:
        request = replace(request, **ASKED[condition](request))
    row = only_row(body, request)
    assert row.verdict.word == "NOT-COMPARABLE"
    assert [difference.condition for difference in row.differences] == [condition]
    assert row.verdict.reasons == [f"{condition} differs"]
    assert (row.verdict.ratio is None) is (condition == "emulated")


def test_one_launch_that_differs_is_enough():
    body, request = of_launches(3.10, 3.11)
    odd = body["launches"][1]
    odd["conditions"] = {**odd["conditions"], "precision": "float16"}
    assert [difference.condition for difference in only_row(body, request).differences] == ["precision"]


def test_a_headline_is_corrected_for_the_number_of_cells():
    slow = only_row(*of_launches(3.50, 3.51, 3.49, 3.50, 3.52))
    doubtful = replace(slow, verdict=replace(slow.verdict, p_slower=0.04))
    assert compare.headline([replace(slow, verdict=replace(slow.verdict, p_slower=0.05))]) == []
    assert compare.headline([slow]) == [CLAIM]
    assert compare.headline([doubtful]) == [CLAIM]
    assert compare.headline([doubtful] * 8) == []
    assert compare.headline([only_row(*of_launches(3.10, 3.11, 3.12))]) == []


def test_the_cpu_is_always_a_walk_through():
    row = only_row(samples.body(), samples.request())
    assert row.walk_through
    assert row.verdict.word == "NOT-COMPARABLE"
    assert {"accelerator", "model", "weights", "stack"} <= {difference.condition for difference in row.differences}


def group(*latencies_s, torch="2.13.0", case="gaudi2-8-bloomz", attempt_id="20261122T100000Z-0123abcd", emulated=False):
    body, request = of_launches(*latencies_s)
    body["attempt"]["id"] = attempt_id
    body["launches"][0]["conditions"] = {**body["launches"][0]["conditions"], "emulated": emulated}
    stack = replace(request.stack, packages={**request.stack.packages, "torch": torch})
    return grouped(replace(request, stack=stack, case=case), body)


def test_run_against_run_pairs_cases_and_tells_what_moved():
    before, after = group(3.10, 3.11, 3.09, 3.12), group(3.50, 3.51, 3.49, torch="2.14.0")
    ((one, other),) = compare.pairs([before], [after])
    change = compare.between(one, other)
    assert change["flagged"]
    assert change["moved"] == {"torch": ["2.13.0", "2.14.0"]}
    assert change["launches"] == [4, 3]
    assert change["ratio"] == pytest.approx(3.5 / 3.105, rel=1e-3)


def test_another_engine_is_told_among_what_moved():
    before = group(3.1, 3.2)
    after = replace(before, request=replace(before.request, engine="compiled"))
    assert compare.between(before, after)["moved"] == {"engine": ["plain", "compiled"]}


def test_run_against_run_says_what_is_missing():
    assert compare.between(group(3.1), group(3.1, 3.2))["reason"] == "at least two launches are needed on each side"
    with pytest.raises(InputError, match="The two sides share no case"):
        compare.pairs([group(3.1)], [group(3.1, case="gaudi2-1-bloomz-7b1")])


@pytest.mark.parametrize(
    "fresh_before, fresh_after, confirmed, word",
    [
        ((3.10, 3.11, 3.12), (3.50, 3.51, 3.49), True, "CHANGED, confirmed on fresh launches"),
        ((3.10, 3.11, 3.12), (3.11, 3.10, 3.12), False, "not confirmed on fresh launches, so no change shown"),
        ((3.50, 3.51, 3.49), (3.10, 3.11, 3.12), False, "not confirmed on fresh launches"),
        ((3.10,), (3.50, 3.51, 3.49), False, "not confirmed on fresh launches"),
    ],
)
def test_a_flagged_change_needs_fresh_launches_that_show_it_too(fresh_before, fresh_after, confirmed, word, capsys):
    from runner.host.judging import terminal as tables

    before, after = group(3.10, 3.11, 3.09), group(3.50, 3.51, 3.49)
    assert compare.between(before, after)["confirmed"] is None
    change = compare.between(before, after, group(*fresh_before), group(*fresh_after))
    assert (change["flagged"], change["confirmed"]) == (True, confirmed)
    tables.show_changes([change])
    assert word in capsys.readouterr().out


def test_what_was_compared_cannot_confirm_itself():
    counted = [group(3.1, 3.2)]
    with pytest.raises(InputError, match="is part of the comparison already; it cannot confirm it"):
        compare.check_fresh(counted, counted)
    compare.check_fresh(counted, [group(3.1, 3.2, attempt_id="20261123T100000Z-0123abcd")])


def test_a_stand_in_has_no_ratio_and_no_time_is_printed(tmp_path):
    body, request = gaudi2_result(emulated=True)
    row = only_row(body, request)
    assert (row.verdict.word, row.verdict.reasons, row.verdict.launches) == ("NOT-COMPARABLE", ["emulated differs"], 1)
    assert (row.verdict.ratio, row.verdict.interval, row.verdict.attained_margin, row.limit) == (None, None, None, None)
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    out = run(tmp_path, columns="200").stdout
    assert "times are not told: something stood in for the device" in out
    assert "TTFT" not in out and "latency 0." not in out


def test_times_of_a_stand_in_are_not_set_against_each_other():
    before, after = group(3.10, 3.11, 3.09), group(3.50, 3.51, 3.49, emulated=True)
    change = compare.between(before, after)
    assert (change["flagged"], change["reason"]) == (None, "something stood in for the device: its times say nothing")


def run(place, *arguments, columns="80"):
    command = [sys.executable, "-m", "runner", "compare", *map(str, arguments), str(place)]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env={**os.environ, "COLUMNS": columns}, timeout=HANG_S
    )


@pytest.mark.parametrize("latency_s", [9.5, 12.5, 12345.5])
def test_a_row_of_a_slow_machine_is_one_line_for_programs(tmp_path, latency_s):
    """Ten seconds and more made a row wider than 80 columns, and its verdict two lines."""
    body = samples.body(samples.request(beside=["post-3-a100-1-bloomz-7b1"]))
    calls = len(body["launches"][0]["timed"]["iterations_s"])
    body["launches"][0]["timed"].update(iterations_s=[latency_s] * calls, span_s=latency_s * calls)
    body["launches"][0]["estimate"]["latency_s"] = latency_s
    body["launches"][0]["clock"]["elapsed_s"] = latency_s * calls
    body["attempt"]["duration_s"] = latency_s * calls + 100
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    for columns in ("80", "40"):
        (row,) = [line for line in run(tmp_path, columns=columns).stdout.splitlines() if line.startswith("1 x a100")]
        assert row.endswith("walk-through, not a reproduction") and f" {latency_s:.3f} " in row


def test_the_table_fits_80_columns_and_says_what_it_is(tmp_path):
    (tmp_path / "r.json").write_text(strictjson.pretty(samples.result()))
    done = run(tmp_path)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("1 x gaudi2")]
    assert row.split() == [
        "1",
        "x",
        "gaudi2,",
        "bloomz-7b1",
        "0.772",
        "0.250",
        "0.324",
        "walk-through,",
        "not",
        "a",
        "reproduction",
    ]
    assert "accelerator   cpu         gaudi2" in done.stdout


def test_a_refused_result_is_said_and_counts(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    done = run(tmp_path)
    assert done.returncode == DamagedResult.exit_code
    assert f"refused: {tmp_path}/bad.json is not usable JSON" in done.stderr
    assert json.loads(run(tmp_path, "--json").stdout)["rows"] == []


def test_hostile_text_in_a_result_never_reaches_the_terminal(tmp_path):
    body = samples.body()
    body["environment"]["cpu"]["model"] = "\x1b]0;owned\x07 [bold]cpu[/bold] \u202e"
    body["launches"][0]["tokens"]["text"] = ["\x1b[2J"]
    from runner.contract import result as contract

    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    out = run(tmp_path, columns="200").stdout
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]cpu[/bold]" in out


def test_a_claim_that_the_catalog_no_longer_has_is_passed_over():
    request = samples.request(beside=["post-0-gone"])
    assert compare.against_claims(catalog.read(), grouped(request, samples.body(request))) == []
    body, request = of_launches(3.10, 3.11)
    assert only_row(body, replace(request, beside=["post-0-gone", CLAIM])).claim == CLAIM


def test_a_row_says_what_stands_beside_what():
    body, request = of_launches(3.10, 3.11, 3.12)
    row = only_row(body, request)
    assert (row.claim, row.request, row.walk_through) == (CLAIM, request.id, False)
    assert (row.published, row.published_s) == ("8 x gaudi2, bloomz", "3.103")
    assert row.measured == "8 x gaudi2, bloomz"
    bloomz = request.model.architecture
    assert row.limit == ledger.limit(bloomz, "bfloat16", 8, 2.45e12, row.verdict.ratio * 3.103)
    slower = only_row(body, replace(request, devices=4, accelerator=replace(request.accelerator, name="gaudi3")))
    assert (slower.published, slower.measured) == ("8 x gaudi2, bloomz", "4 x gaudi3, bloomz")


def test_each_thing_found_instead_of_a_condition_is_told_once():
    body, request = of_launches(3.10, 3.11, 3.12, 3.13)
    for launch, (precision, emulated) in zip(
        body["launches"], [("float16", True), ("float32", False), ("float16", True), ("bfloat16", False)], strict=True
    ):
        launch["conditions"] = {**launch["conditions"], "precision": precision, "emulated": emulated}
    assert only_row(body, request).differences == [
        compare.Difference("emulated", "yes", "no"),
        compare.Difference("precision", "float16", "bfloat16"),
        compare.Difference("precision", "float32", "bfloat16"),
    ]


def write(path, *latencies_s, attempt="20261122T100000Z-0123abcd"):
    """Write a whole result of these launches, whose estimates follow from their raw durations."""
    body, request = of_launches(*latencies_s)
    body["request"] = replace(request, launches=len(latencies_s)).to_json()
    body["attempt"].update(id=attempt)
    for launch in body["launches"]:
        latency_s = launch["estimate"]["latency_s"]
        launch["timed"] = {**launch["timed"], "iterations_s": [latency_s] * 5, "span_s": latency_s * 5}
    path.write_text(strictjson.pretty(contract.seal(body)))


def test_a_change_is_confirmed_from_the_command_line(tmp_path):
    places = {name: tmp_path / f"{name}.json" for name in ("before", "after", "fresh_before", "fresh_after")}
    for number, (name, path) in enumerate(places.items()):
        seconds = (3.50, 3.51, 3.49) if "after" in name else (3.10, 3.11, 3.09)
        write(path, *seconds, attempt=f"20261122T10000{number}Z-0123abcd")

    def compared(*arguments):
        return run(places["after"], *arguments, columns="200")

    against = ("--against", places["before"])
    fresh = ("--confirm", places["fresh_after"], places["fresh_before"])
    assert "CHANGED, confirm it on fresh launches (--confirm)" in compared(*against).stdout
    assert "CHANGED, confirmed on fresh launches" in compared(*fresh, *against).stdout
    listed = json.loads(compared("--json", *fresh, *against).stdout)
    assert [change["confirmed"] for change in listed["changes"]] == [True]
    itself = compared("--confirm", places["after"], places["before"], *against)
    assert (itself.returncode, "cannot confirm it" in itself.stderr) == (3, True)
    alone = compared(*fresh)
    assert (alone.returncode, "give --against too" in alone.stderr) == (2, True)


def test_how_near_it_was_is_printed_even_where_conditions_differ(tmp_path):
    body, _ = gaudi2_result(precision="float16")
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)))
    out = run(tmp_path, columns="200").stdout
    assert f"{CLAIM}: NOT-COMPARABLE: precision differs." in out
    assert "attained margin" in out
    assert "precision     float16  bfloat16" in out


def test_a_decided_verdict_is_printed_with_its_reasons_and_how_near_it_was(tmp_path):
    write(tmp_path / "r.json", 3.10, 3.11, 3.09, 3.10, 3.12)
    out = run(tmp_path, columns="200").stdout
    assert "8 x gaudi2, bloomz  3.103  3.104  1.000  REPRODUCED" in out
    assert f"{CLAIM}: REPRODUCED: the interval " in out
    assert "lies within the margin of 5%" in out
    assert "attained margin" in out
    done = run(tmp_path, "--against", str(tmp_path), columns="200")
    assert "1 attempt(s) stand on both sides, " in done.stderr and "Name the results of each side alone" in done.stderr
    assert "no change shown" in done.stdout
    assert "moved: nothing" in done.stdout


def test_brackets_in_a_foreign_name_are_no_markup(capsys):
    from runner.host.judging import terminal as tables

    change = compare.between(group(3.1, 3.2), group(3.1, 3.2, torch="[/bold] [red]2[/red]"))
    tables.show_changes([change])
    assert "torch 2.13.0 -> [/bold] [red]2[/red]" in capsys.readouterr().out


def test_a_list_of_results_that_is_empty_is_not_the_default_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    result = samples.result()
    path = tmp_path / "results" / contract.file_name(result["request"]["id"], result["attempt"]["id"])
    path.parent.mkdir(parents=True)
    path.write_text(strictjson.pretty(result), encoding="utf-8")
    (tmp_path / "list.txt").write_text("")
    with pytest.raises(InputError, match="list.txt lists no result"):
        compare.main(["--from", "list.txt"])
    (tmp_path / "list.txt").write_text(f"{path}\n")
    assert compare.main(["--from", "list.txt", "--json"]) == 0


@pytest.mark.parametrize(
    "latencies_s, word",
    [((1.79,), "INVALID"), ((3.10, 3.11, 1.79), "INVALID"), ((1.80,), "PROVISIONAL"), ((1.80, 1.81), "FASTER")],
)
def test_a_launch_that_took_less_than_reading_the_weights_takes_is_invalid(latencies_s, word):
    """The weights of 176B in bfloat16 are 352 GB; eight times 2.45 TB/s read them 100 times in 1.798 s."""
    row = only_row(*of_launches(*latencies_s))
    assert row.verdict.word == word
    if word == "INVALID":
        assert row.verdict.reasons == [
            "a launch of 1.79 s took less than the 1.798 s in which the memory of gaudi2 can give the weights once for each token"
        ]
        assert (row.verdict.ratio, row.limit) == (None, None)


@pytest.mark.parametrize("batch_size, word", [(1, "INVALID"), (8, "INVALID")])
def test_a_batch_reads_the_weights_as_often_as_one_row(batch_size, word):
    body, request = of_launches(1.5)
    assert only_row(body, replace(request, workload=samples.workload(batch_size=batch_size))).verdict.word == word


def test_the_limit_is_that_of_the_tokens_that_were_asked_for():
    body, request = of_launches(1.0, 1.1)
    row = only_row(body, replace(request, workload=samples.workload(output_tokens=50, precision="bfloat16")))
    assert row.verdict.word == "NOT-COMPARABLE"
    assert row.limit.floor_s == pytest.approx(0.899, rel=1e-3)


def test_the_batch_of_a_claim_is_a_condition():
    tables = catalog.read()
    claim = replace(tables.claims[CLAIM], batch_size=8)
    body, request = gaudi2_result()
    row = compare.conditions_that_differ(tables, claim, grouped(request, body))
    assert [(one.condition, one.found, one.wanted) for one in row] == [("batch", "1", "8")]


def many(folder, count):
    folder.mkdir()
    for number in range(count):
        result = samples.result(attempt_id=f"20261122T{number:06d}Z-0123abcd")
        (folder / f"{number}.json").write_text(strictjson.pretty(result), encoding="utf-8")


def test_the_newest_are_shown_first_and_what_is_left_out_is_said_and_counts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare.indexes, "PLACE", tmp_path / "index")
    many(tmp_path / "results", 9)
    assert compare.main([str(tmp_path / "results")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("  attempt")] == [
        f"20261122T{number:06d}Z-0123abcd:" for number in (8, 7, 6)
    ]
    assert "  6 earlier attempt(s) of this request count too and are not shown; --all shows them" in out
    assert compare.main([str(tmp_path / "results"), "--all"]) == 0
    out = capsys.readouterr().out
    assert out.count("  attempt ") == 9
    assert "not shown" not in out
    assert compare.main([str(tmp_path / "results"), "--json"]) == 0
    assert {row["verdict"]["launches"] for row in json.loads(capsys.readouterr().out)["rows"]} == {9}


def test_requests_and_refusals_beyond_the_newest_are_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare.indexes, "PLACE", tmp_path / "index")
    for number in range(1, 24):
        asked = samples.request(margin=number / 100)
        result = samples.result(asked, attempt_id=f"20261122T{number:06d}Z-0123abcd")
        (tmp_path / f"{number}.json").write_text(strictjson.pretty(result), encoding="utf-8")
        (tmp_path / f"bad{number}.json").write_text("{")
    assert compare.main([str(tmp_path)]) == DamagedResult.exit_code
    out, err = capsys.readouterr()
    assert out.count("  attempt ") == 20
    assert "20261122T000023Z" in out.split("attempt ")[1]
    assert out.endswith("3 earlier request(s) with 3 attempt(s) are not shown; --all shows them.\n")
    assert err.count("refused: ") == 21
    assert err.endswith("refused: 3 more; --all says why of each\n")
    assert compare.main([str(tmp_path), "--all"]) == DamagedResult.exit_code
    out, err = capsys.readouterr()
    assert (out.count("  attempt "), err.count("refused: ")) == (23, 23)


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--against", "."]])
def test_a_folder_without_a_result_is_said(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="No result is in results. Run `make bench` first"):
        compare.main(arguments)


def test_refusals_are_told_before_what_they_led_to(tmp_path, capsys):
    write(tmp_path / "a.json", 3.1, 3.2)
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match="share no case"):
        compare.main([str(tmp_path / "a.json"), "--against", str(tmp_path / "b.json")])
    assert "b.json is not usable JSON" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["compare", "collect", "claims"])
def test_no_statistics_are_loaded_where_no_launch_is_judged(verb):
    program = f"import sys; sys.argv = ['']; from runner.__main__ import main; main(['{verb}', '--help']);"
    program += "sys.exit(sorted({'scipy', 'numpy', 'jsonschema', 'torch'} & set(sys.modules)).__repr__())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60)
    assert done.stderr == "[]\n"


HOSTILE = "\x1b[2J[bold]x[/bold] [link=https://x]y[/link] :boom: \u202e"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["launches"][0].update(checks=[failed_check(HOSTILE, "flag")]),
        lambda body: body["launches"][0].update(status="failed", error=HOSTILE),
        lambda body: body["launches"][0].update(status="failed", error="x", checks=[failed_check(HOSTILE, "refuse")]),
        lambda body: body["launches"][0]["conditions"].update(precision=HOSTILE),
        lambda body: body["environment"]["cpu"].update(model=HOSTILE),
    ],
)
def test_a_hostile_name_is_shown_and_never_obeyed(tmp_path, capsys, monkeypatch, spoil):
    monkeypatch.setenv("COLUMNS", "300")
    body, _ = gaudi2_result()
    spoil(body)
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(body)), encoding="utf-8")
    assert compare.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out
    assert "\\x1b[2J[bold]x[/bold] [link=https://x]y[/link] :boom: \\u202e" in out.replace("\n", "")


def failed_check(name, act):
    return {"name": name, "act": act, "passed": False, "wanted": 1, "found": 2, "reason": None}


def test_what_a_killed_run_left_is_said_and_no_result_yet(tmp_path, capsys):
    kept, path = journal(tmp_path)
    with pytest.raises(InputError, match="No result is in"):
        compare.main([str(tmp_path)])
    assert capsys.readouterr().err == ""  # the attempt runs
    kept.close(discard=False)
    with pytest.raises(InputError, match="No result is in"):
        compare.main([str(tmp_path)])
    told = capsys.readouterr().err
    assert told.startswith(
        f"{path} is missing here: a run that was killed left 1 launch(es) of it. The next run of `bench`"
    )
