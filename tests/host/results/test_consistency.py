from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings

from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult
from runner.contract.records import JsonObject, Operators, Result
from runner.contract.request import Dataset, Request
from runner.host.judging import comparison
from runner.host.judging.groups import Group
from runner.host.readers import catalog
from runner.host.results import attempts, consistency, result_files
from tests.support import samples, spoiled

# A change of the body of a result, in place.
Change = Callable[[JsonObject], None]

TABLES = catalog.read()
DATASET = Dataset("file", "a.jsonl", None, None, None, "json", "1" * 64, "text", None)


def refusal(change: Change) -> str | None:
    """Return why a result is refused that was changed and sealed again, None where it is taken."""
    body = spoiled.small_body()
    change(body)
    raw = strictjson.pretty(contract.seal(body)).encode()
    try:
        result_files.of_bytes(raw, "r.json")
    except DamagedResult as problem:
        return str(problem)
    return None


def launch(**changes: object) -> Change:
    def change(body: JsonObject) -> None:
        for path, value in changes.items():
            *keys, last = path.split("__")
            holder: Any = body["launches"][0]
            for key in keys:
                holder = holder[key]
            holder[last] = value

    return change


def energy(told_j: float) -> Change:
    def change(body: JsonObject) -> None:
        for rank in body["launches"][0]["ranks"]:
            rank["watched"] = {**rank["watched"], "energy_j": told_j}

    return change


def counted(**changes: object) -> JsonObject:
    told = {"output_tokens": 2, "output_ids": [[0, 1]], "calls": {"aten::mm": 8, "gemm": 4}, "kernels": ["gemm"]}
    return {**told, **changes}


def test_a_whole_result_agrees_with_itself() -> None:
    assert refusal(lambda body: None) is None
    assert [refusal(energy(told_j)) for told_j in (0.0, 1e-6, 1e9)] == [None] * 3
    assert refusal(launch(operators=counted())) is None
    assert refusal(launch(operators=counted(kernels=[]))) is None
    assert refusal(launch(operators=None)) is None


def test_a_dataset_has_no_call_whose_operators_are_counted() -> None:
    body = spoiled.small_body()
    asked = samples.request(workload=samples.workload(name="dataset", prompt=None, dataset=DATASET), launches=2)
    body.update(request=asked.to_json(), outputs={"file": None, "rows": 2, "sha256": "1" * 64})
    for each in body["launches"]:
        for key in ("timed", "tokens", "instrumented", "untimed_s", "estimate"):
            each.pop(key)
        each["dataset"] = {"rows": 2, "rows_total": 2, "batches_s": [0.5], "tokens_sha256": "1" * 64}
    result, request = contract.seal(body), Request.from_json(body["request"], "a test's request")
    consistency.refuse_contradiction(cast(Result, result), request, "r.json")
    cast(Result, result)["launches"][1]["operators"] = cast(Operators, counted())
    with pytest.raises(DamagedResult, match="launch 1 counted the operators of a call, and completed a dataset"):
        consistency.refuse_contradiction(cast(Result, result), request, "r.json")


@pytest.mark.parametrize(
    "change, words",
    [
        (launch(timed__span_s=1250.0), "launch 0 took 1250 s for calls that took 1.25 s"),
        (launch(timed__span_s=1.25 * (1 + 1e-8)), "launch 0 took 1.25 s for calls that took 1.25 s"),
        (launch(timed__span_s=0, timed__iterations_s=[0] * 5), "launch 0 took 0 s for its 5 timed calls"),
        (launch(timed__span_s=5e-320, timed__iterations_s=[1e-320] * 5), "launch 0 took "),
        (launch(timed__iterations_s=[1.25]), "launch 0 timed 1 calls, and its protocol asks for 5"),
        (launch(timed__output_tokens=[[3]] * 4), "launch 0 has the tokens of 4 calls, the sha256 of 5, and timed 5"),
        (launch(tokens__outputs_sha256=[]), "launch 0 has the tokens of 5 calls, the sha256 of 0, and timed 5"),
        (launch(timed__output_tokens=[[3, 3]] * 5), "launch 0 has not the 1 row(s) of tokens"),
        (launch(timed__output_tokens=[[4]] * 5), "launch 0 produced more than the 3 tokens a row"),
        (launch(tokens__output_ids=[[1, 2]]), "launch 0 has not as many token ids as it says"),
        (launch(timed__output_tokens=[]), "launch 0 has the tokens of 0 calls"),
        (launch(instrumented__ttft_s=[]), "launch 0 tells of unlike numbers of instrumented calls, or of none"),
        (launch(instrumented__ttft_s=[0.26]), "launch 0 had its first token after its last"),
        (launch(instrumented__itl_s=[[0.1, 1.0]]), "launch 0 took longer for its tokens than for the call"),
        (
            launch(instrumented__tpot_s=[0.002]),
            "launch 0 tells a time per token that its instrumented calls do not give",
        ),
        (launch(instrumented__tpot_s=[None]), "launch 0 tells a time per token of calls without a second token"),
        (launch(tokens__output_ids=[[0, 1, 3]]), "launch 0 has other token ids than those whose sha256 it tells"),
        (launch(weights__kind="hub"), "launch 0 measured other weights than its request asks for"),
        (launch(weights__seed=30), "launch 0 measured other weights than its request asks for"),
        (
            lambda body: body["launches"][0]["checks"][0].update(passed=False),
            "launch 0 is complete, and failed the check device, which refuses a launch",
        ),
        (launch(operators=counted(output_ids=[[0, 2]])), "launch 0 counted operators in a call that did not produce"),
        (launch(operators=counted(output_ids=[])), "launch 0 counted operators in a call that did not produce"),
        (launch(operators=counted(output_tokens=4)), "launch 0 counted operators in a call that did not produce"),
        (
            launch(operators=counted(output_tokens=4, output_ids=[[0, 1, 2]])),
            "launch 0 counted operators in a call of 4 tokens a row, and tells fewer ids",
        ),
        (launch(operators=counted(output_tokens=0, output_ids=[[]])), "at launches/0/operators"),
        (launch(operators=counted(calls={"aten::mm": 0, "gemm": 1})), "at launches/0/operators"),
        (launch(operators=counted(kernels=["conv"])), "launch 0 names kernels twice, out of order, or kernels that it"),
        (launch(operators=counted(kernels=["gemm"] * 2)), "launch 0 names kernels twice, out of order, or kernels"),
        (launch(clock__elapsed_s=1.0), "launch 0 took 1.25 s for its timed calls, and 1 s for the window around them"),
        (launch(estimate__estimator="produced"), "the estimate of launch 0 is not what its raw durations give"),
        (launch(conditions__devices=2), "launch 0 ran on 2 device(s) and tells of 1 rank(s)"),
        (launch(index=1), "its launches are not numbered from 0 on"),
        (
            lambda body: body["launches"].append(copy.deepcopy(body["launches"][0])),
            "it holds 3 launches, and its request asks for 2",
        ),
        (
            lambda body: body["attempt"].update(duration_s=3.9),
            "the parts of its launches took 8.5 s, its whole attempt 3.9 s",
        ),
        (launch(load_s=20), "the parts of its launches took 28 s, its whole attempt 20 s"),
        (launch(untimed_s=[20, 0.5, 0.5]), "the parts of its launches took "),
        (
            launch(instrumented__ttft_s=[1e-320]),
            "launch 0 took 9.99989e-321 s for a token, which its clock cannot tell",
        ),
        (energy(1e300), "launch 0 took 1e+300 J on the device of rank 0"),
        (energy(5e-324), "launch 0 took 4.94066e-324 J on the device of rank 0"),
        (lambda body: body["attempt"].update(duration_s=1e9), "its attempt took 1e+09 s"),
        (lambda body: body["attempt"].update(duration_s=-1), "at attempt/duration_s"),
        (lambda body: body["attempt"].update(id="20261122T100000Z-0123abcd\n"), "at attempt/id"),
        (
            lambda body: body["attempt"].update(duration_s=10**400),
            "a number of 401 digits is beyond what this reader takes",
        ),
    ],
)
def test_a_sealed_result_whose_numbers_contradict_each_other_is_refused(change: Change, words: str) -> None:
    assert words in (refusal(change) or "it was taken")


@settings(deadline=None, derandomize=True, max_examples=100)
@given(spoiled.bodies())
def test_no_sealed_result_ends_the_comparison(body: JsonObject) -> None:
    """Whatever a result holds is that result's refusal, and what is taken can be judged."""
    raw = strictjson.pretty(contract.seal(body)).encode()
    try:
        result, request = result_files.of_bytes(raw, "r.json")
    except DamagedResult as problem:
        assert str(problem).startswith("r.json")
        return
    group = Group(request)
    attempt = attempts.of_result(result)
    group.add(attempt, attempts.to_text(attempt))
    assert group.shown(1) == [attempt]
    assert [row.verdict.launches for row in comparison.against_claims(TABLES, group)] == [len(group.latencies_s)]
