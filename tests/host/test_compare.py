import json
import subprocess
import sys
from dataclasses import replace

import pytest

from runner.contract import strictjson
from runner.contract.errors import DamagedResult
from runner.contract.request import Accelerator, Model, Request, Weights
from runner.host import catalog, compare
from tests import samples

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
        model=Model("bloomz", tables.models["bloomz"], "bigscience/bloomz", "7" * 40),
        weights=Weights("hub", None, None),
        workload=samples.workload(precision="bfloat16"),
        protocol=tables.protocols["gaudi-1.10"],
        beside=[CLAIM],
    )
    body = samples.body(request)
    conditions = {"device": "hpu", "graphs": True, "shapes": "static", "devices": 8}
    body["launches"][0]["conditions"].update({**conditions, **observed})
    return body, request


def only_row(body, request):
    (row,) = compare.compare(catalog.read(), body, request)
    return row


def test_like_may_be_compared_with_like():
    row = only_row(*gaudi2_result())
    assert row.comparable
    assert row.differences == []
    assert (row.published_s, row.measured_s, row.ratio) == (3.103, 0.25, pytest.approx(0.25 / 3.103))


@pytest.mark.parametrize(
    "observed, condition",
    [
        ({"devices": 4}, "devices"),
        ({"precision": "float32"}, "precision"),
        ({"graphs": False}, "graphs"),
        ({"shapes": "dynamic"}, "shapes"),
        ({"end_of_text": "stop"}, "end of text"),
        ({"kv_cache": False}, "KV cache"),
    ],
)
def test_each_observed_condition_alone_makes_them_unlike(observed, condition):
    row = only_row(*gaudi2_result(**observed))
    assert not row.comparable
    assert [difference.condition for difference in row.differences] == [condition]


@pytest.mark.parametrize(
    "change, condition",
    [
        (lambda r: {"accelerator": replace(r.accelerator, name="gaudi3")}, "accelerator"),
        (lambda r: {"model": replace(r.model, name="bloom")}, "model"),
        (lambda r: {"weights": Weights("dummy", 1, 0.3)}, "weights"),
        (lambda r: {"stack": replace(r.stack, name="gaudi-1.9")}, "stack"),
        (lambda r: {"protocol": replace(r.protocol, name="gaudi-1.9")}, "protocol"),
        (lambda r: {"protocol": replace(r.protocol, version="2")}, "protocol version"),
        (lambda r: {"workload": replace(r.workload, batch_size=2)}, "batch"),
        (lambda r: {"workload": replace(r.workload, prompt="Other")}, "prompt"),
        (lambda r: {"workload": replace(r.workload, output_tokens=99)}, "output tokens"),
    ],
)
def test_each_asked_condition_alone_makes_them_unlike(change, condition):
    body, request = gaudi2_result()
    row = only_row(body, replace(request, **change(request)))
    assert [difference.condition for difference in row.differences] == [condition]


def test_an_attempt_that_did_not_end_is_not_compared():
    body, request = gaudi2_result()
    body["attempt"]["status"] = "interrupted"
    assert [difference.condition for difference in only_row(body, request).differences] == ["status"]
    body["launches"] = []
    row = only_row(body, request)
    assert (row.measured_s, row.ratio, row.comparable) == (None, None, False)


def test_the_mean_is_over_complete_launches_only():
    body, request = gaudi2_result()
    failed = {"index": 1, "status": "failed", "error": "x", "load_average_1min": 0.0}
    other = {**body["launches"][0], "index": 2, "estimate": {"estimator": "nominal", "latency_s": 0.35}}
    body["launches"] += [failed, other]
    assert only_row(body, request).measured_s == pytest.approx(0.30)


def test_the_cpu_is_always_a_walk_through():
    row = only_row(samples.body(), samples.request())
    assert row.walk_through
    assert not row.comparable
    assert {"accelerator", "model", "weights", "stack"} <= {difference.condition for difference in row.differences}


def run(folder, *arguments, columns="80"):
    import os

    command = [sys.executable, "-m", "runner", "compare", *arguments, str(folder)]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env={**os.environ, "COLUMNS": columns}, timeout=60
    )


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
    assert compare.compare(catalog.read(), samples.body(request), request) == []
    assert isinstance(request, Request)
