"""From what a run's client saw of images, through the file beside a result, to the verdict on attempts of different images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.contract import frame, strictjson
from runner.contract import result as contract
from runner.contract.errors import DamagedResult, InputError
from runner.contract.records import JsonObject
from runner.host.judging import comparison, run_changes
from runner.host.readers import catalog
from runner.host.results import result_files, run_images
from runner.host.results.index import Index
from runner.host.results.run_images import RunImage
from runner.host.verbs import collect
from tests.support.groups import gaudi2_result

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"
TAG = "vault.habana.ai/gaudi-docker/1.10.0/installer:1.10.0-494"
ONE, OTHER = f"sha256:{'1a' * 32}", f"sha256:{'2b' * 32}"


def evidence(folder: Path, digest: str = ONE, **changes: object) -> Path:
    """Write the evidence of a run whose base came by tag, as the client writes it, and return its folder."""
    folder.mkdir(parents=True)
    image = {
        "pod": "p",
        "container": "bench",
        "asked": digest[7:],
        "tag": TAG,
        "reported": f"vault.habana.ai/x@{digest}",
    }
    pods = [{"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": "node-7"}}]
    content = {"images": [{**image, "foreign": False}], "pods": pods, **changes}
    (folder / run_images.EVIDENCE).write_text(json.dumps(content))
    return folder


def by_tag(attempt: str, latency_s: float = 10.0) -> JsonObject:
    """Return a sealed result of a run whose image was named by tag."""
    body, request = gaudi2_result()
    body["attempt"]["id"] = attempt
    body["environment"]["image"] = TAG
    body["launches"][0]["timed"].update(iterations_s=[latency_s] * 5, span_s=5 * latency_s)
    body["launches"][0]["estimate"].update(latency_s=latency_s)
    body["launches"][0]["clock"].update(elapsed_s=5 * latency_s)
    body["request"] = request.to_json()
    return contract.seal(body)


def framed(attempt: str, latency_s: float = 10.0) -> str:
    """Return what the log of such a run holds."""
    return "\n".join(frame.write(attempt, strictjson.pretty(by_tag(attempt, latency_s)).encode())) + "\n"


def collected(tmp_path: Path, attempt: str, digest: str | None, name: str, latency_s: float = 10.0) -> Path:
    """Collect a result from the log of a run, and return the folder of results."""
    run = evidence(tmp_path / "runs" / name, digest) if digest else tmp_path / "runs" / name
    run.mkdir(parents=True, exist_ok=True)
    log = run / "u.bench.log"
    log.write_text(framed(attempt, latency_s))
    results = tmp_path / "results"
    assert collect.main([str(log), "--results", str(results)]) == 0
    return results


def group_of(results: Path) -> Any:
    from runner.host.judging import groups

    refused: list[DamagedResult] = []
    (group,) = groups.of_results(result_files.read_whole([results], Index(None), refused))
    assert refused == []
    return group


def test_what_the_kubelet_reported_goes_beside_the_result_and_changes_nothing_of_it(tmp_path: Path) -> None:
    results = collected(tmp_path, FIRST, ONE, "a")
    (path,) = results.rglob("*.json")
    assert path.read_bytes() == strictjson.pretty(by_tag(FIRST)).encode()
    assert run_images.read(path) == (RunImage("bench", "p", "node-7", TAG, f"vault.habana.ai/x@{ONE}"),)
    # evidence that tells less, once the pods are gone, takes nothing away
    (tmp_path / "runs" / "a" / run_images.EVIDENCE).write_text(json.dumps({"images": [], "pods": []}))
    assert collect.main([str(tmp_path / "runs" / "a" / "u.bench.log"), "--results", str(results)]) == 0
    assert len(run_images.read(path)) == 1


def test_attempts_of_one_image_are_judged_together(tmp_path: Path) -> None:
    for number, attempt in enumerate((FIRST, SECOND)):
        results = collected(tmp_path, attempt, ONE, str(number))
    (row,) = comparison.against_claims(catalog.read(), group_of(results))
    assert (row.verdict.word, row.verdict.launches) == ("SLOWER", 2)


def test_attempts_of_different_images_are_not_of_one_software(tmp_path: Path) -> None:
    collected(tmp_path, FIRST, ONE, "a")
    results = collected(tmp_path, SECOND, OTHER, "b", latency_s=11.0)
    group = group_of(results)
    (row,) = comparison.against_claims(catalog.read(), group)
    assert row.verdict.word == "INVALID"
    assert row.verdict.reasons == [f"{TAG} was another image from one attempt to the other: {ONE} and {OTHER}"]
    change = run_changes.between(run_changes.Pair(group, group))
    assert (change.word, change.times.word, change.moved) == ("INCONCLUSIVE", "INCONCLUSIVE", {})
    assert change.reasons[0].startswith(f"one side is not of one software: {TAG} was another image")


def test_a_tag_that_moved_between_two_sides_is_named(tmp_path: Path) -> None:
    before = group_of(collected(tmp_path / "before", FIRST, ONE, "a"))
    after = group_of(collected(tmp_path / "after", SECOND, OTHER, "b"))
    assert run_changes.between(run_changes.Pair(before, after)).moved == {TAG: [ONE, OTHER]}


def test_a_digest_that_nobody_noted_is_said_to_be_unknown(tmp_path: Path) -> None:
    group = group_of(collected(tmp_path, FIRST, None, "a"))
    (row,) = comparison.against_claims(catalog.read(), group)
    assert row.verdict.word == "PROVISIONAL"
    assert row.verdict.reasons[-1] == f"digest unknown: nobody noted which image {TAG} was"


def test_a_digest_that_was_noted_of_another_image_is_not_that_of_the_base(tmp_path: Path) -> None:
    results = collected(tmp_path, FIRST, None, "a")
    (path,) = results.rglob(f"*{FIRST}*.json")
    run_images.write(path, [RunImage("interpreter", "p", None, "docker.io/library/python:3.8", f"docker.io/x@{ONE}")])
    assert group_of(results).unknown_images == {TAG}


@pytest.mark.parametrize("image", [None, f"registry.local/team/gaudi@{ONE}"], ids=["outside a container", "by digest"])
def test_where_no_tag_was_asked_for_nothing_is_unknown(tmp_path: Path, image: str | None) -> None:
    result = by_tag(FIRST)
    result["environment"]["image"] = image
    result.pop("sha256")
    (tmp_path / "r.json").write_text(strictjson.pretty(contract.seal(result)))
    group = group_of(tmp_path)
    assert (group.unknown_images, group.digests) == (set(), {})


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"pods": [], "images": [1]}', '{"pods": [7], "images": []}', '{"images": []}', '{"pods": []}'],
)
def test_evidence_that_cannot_be_read_keeps_no_result_from_being_collected(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = evidence(tmp_path / "run")
    (run / run_images.EVIDENCE).write_text(content)
    (run / "u.bench.log").write_text(framed(FIRST))
    assert collect.main([str(run / "u.bench.log"), "--results", str(tmp_path / "results")]) == 0
    assert run_images.EVIDENCE in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.images.jsonl"))
    with pytest.raises(InputError):
        run_images.of_log(run / "u.bench.log")


@pytest.mark.parametrize("content", ["{}\n", "no JSON\n", '{"container": "bench"}\n'])
def test_a_damaged_file_of_images_refuses_its_result(tmp_path: Path, content: str) -> None:
    results = collected(tmp_path, FIRST, ONE, "a")
    (path,) = results.rglob("*.json")
    run_images.beside(path).write_text(content)
    (refusal,) = result_files.read_all([path], Index(None))
    assert isinstance(refusal, DamagedResult)
    assert "images.jsonl" in str(refusal)


def test_an_image_that_came_from_no_registry_has_no_digest() -> None:
    image = RunImage("bench", "p", None, TAG, f"docker.io/library/import-2026@{ONE}")
    assert image.digest == ONE
    assert replace(image, reported=f"sha256:{'1a' * 32}").digest is None
