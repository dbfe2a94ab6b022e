from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult, InputError
from runner.contract.records import JsonObject, Result
from runner.host.results import attempts, result_files
from runner.host.results import index as indexes
from runner.host.results.attempts import AttemptSummary
from runner.host.results.index import Index
from runner.host.results.result_files import ReadResult
from runner.host.workers import Workers
from tests.support import samples

DATA = Path(__file__).parents[2] / "data"


def write(folder: Path, value: object, name: str = "r.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(strictjson.pretty(value), encoding="utf-8")
    return path


def test_a_whole_result_is_read(tmp_path: Path) -> None:
    result, request = result_files.read_one(write(tmp_path, samples.result()))
    assert request == samples.request()
    assert result["launches"][0]["timed"]["span_s"] == 1.25


@pytest.mark.parametrize("path", sorted(DATA.glob("result-*.json")), ids=lambda path: path.name)
def test_results_of_every_schema_version_stay_readable(path: Path) -> None:
    result, _ = result_files.read_one(path)
    assert result["attempt"]["status"] == "complete"


def test_there_is_a_kept_result_of_every_schema_version() -> None:
    kept = {json.loads(path.read_text())["schema"] for path in DATA.glob("result-*.json")}
    assert kept == set(range(1, contract.SCHEMA + 1))


def everything(places: Iterable[Path], index: Index | None = None) -> tuple[list[ReadResult], list[DamagedResult]]:
    """Return what was read of ``places``, and the refusals."""
    results = list(result_files.read_all(places, index or Index(None)))
    refused = [result for result in results if isinstance(result, DamagedResult)]
    return [result for result in results if not isinstance(result, DamagedResult)], refused


def _changed(change: Callable[[JsonObject], object]) -> JsonObject:
    body = samples.body()
    change(body)
    return contract.seal(body)


@pytest.mark.parametrize(
    "change, problem",
    [
        (lambda body: body.update(extra=1), "does not follow the result schema at its top"),
        (lambda body: body["attempt"].update(status="great"), "at attempt/status"),
        (lambda body: body["launches"][0].pop("timed"), "at launches/0"),
        (lambda body: body["launches"][0]["timed"].update(span_s=-1), "at launches/0/timed/span_s"),
        (lambda body: body["launches"][0].update(load_s="1"), "at launches/0/load_s"),
        (lambda body: body["environment"].pop("packages"), "at environment"),
        (
            lambda body: body["launches"][0]["estimate"].update(latency_s=0.2),
            "the estimate of launch 0 is not what its raw durations give",
        ),
        (
            lambda body: body["launches"][0]["estimate"].update(latency_s=0.25 * (1 + 2e-9)),
            "the estimate of launch 0 is not what its raw durations give",
        ),
        (lambda body: body["request"].update(launches=9), "the id is"),
        (lambda body: body.update(schema=1, launches=7), " does not follow result schema 1"),
    ],
)
def test_a_sealed_result_that_breaks_the_schema_or_itself_is_refused(
    tmp_path: Path, change: Callable[[JsonObject], object], problem: str
) -> None:
    with pytest.raises(DamagedResult) as caught:
        result_files.read_one(write(tmp_path, _changed(change)))
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "r.json"))


def test_a_long_value_is_not_told_whole(tmp_path: Path) -> None:
    path = write(tmp_path, _changed(lambda body: body["attempt"].update(status="x" * 1000)))
    with pytest.raises(DamagedResult) as caught:
        result_files.read_one(path)
    assert str(caught.value) == (
        f"{path} does not follow the result schema at attempt/status: '{'x' * 199}. Measure again."
    )


def test_every_truncation_and_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    whole = strictjson.pretty(samples.result()).encode()
    path = tmp_path / "r.json"
    for place in range(0, len(whole) - 1, 97):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            try:
                result, _ = result_files.read_one(path)
            except DamagedResult:
                continue
            assert result == samples.result()  # white space between values may change, nothing else


def test_the_rest_is_read_when_some_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path, samples.result(), "a.json")
    write(tmp_path, samples.result(), "b.json")
    write(tmp_path, {"kind": "result", "schema": 7}, "c.json")
    (tmp_path / "d.json").write_text("{")
    write(tmp_path, samples.result(attempt_id="20261122T110000Z-0123abce"), "e.json")
    (tmp_path / ".hidden.json").write_text("{")
    read, refused = everything([tmp_path])
    assert [result.attempt.id for result in read] == ["20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"]
    assert [result.request for result in read] == [samples.request()] * 2
    refusals = " ".join(map(str, refused))
    assert len(refused) == 3
    assert f"b.json repeats the attempt of {good}" in refusals
    assert f"{tmp_path / 'c.json'} has result schema 7; this version reads up to 2" in refusals
    assert "d.json is not usable JSON" in refusals


def test_files_are_taken_as_they_are_and_folders_searched(tmp_path: Path) -> None:
    inside = [write(tmp_path / "one", {}, "b.json"), write(tmp_path / "one" / "deep", {}, "a.json")]
    write(tmp_path / "one", {}, ".hidden.json")
    named = write(tmp_path, {}, ".named.txt")
    assert list(result_files.find([named, tmp_path / "one"])) == [str(path) for path in (named, *inside)]


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist. Run `make bench` first"):
        everything([tmp_path / "none"])


def test_the_published_schema_is_valid_and_closed() -> None:
    import jsonschema

    from runner.host import paths

    schema = json.loads(paths.RESULT_SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)

    def objects(node: Any) -> Iterator[JsonObject]:
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield node
            for inner in node.values():
                yield from objects(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from objects(inner)

    assert all("additionalProperties" in node for node in objects(schema))


def test_bytes_are_read_as_a_file_is_and_named_as_they_are() -> None:
    raw = strictjson.pretty(samples.result()).encode()
    result, request = result_files.of_bytes(raw, "pod.log: attempt 1")
    assert (result, request) == (samples.result(), samples.request())
    for damaged, refusals in (
        (raw[:-9], "pod.log: attempt 1 is not usable JSON"),
        (raw.replace(b'"duration_s": 20.0', b'"duration_s": 21.0'), "pod.log: attempt 1 does not match its own sha256"),
    ):
        with pytest.raises(DamagedResult, match=refusals):
            result_files.of_bytes(damaged, "pod.log: attempt 1")


def test_a_folder_that_may_not_be_searched_is_said_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "closed", samples.result(), "a.json")
    good = write(tmp_path / "open", samples.result())
    scandir = os.scandir

    def closed(path: str) -> Any:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    read, (refused,) = everything([tmp_path])
    assert [result.path for result in read] == [str(good)]
    assert str(refused).startswith(f"{tmp_path}/closed cannot be searched: Permission denied")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    (tmp_path / "b.json").symlink_to("/dev/zero")
    (tmp_path / "c.json").symlink_to("gone")
    write(tmp_path / "d.json", samples.result())  # a folder of this name
    read, refused = everything([tmp_path, tmp_path / "a.json"])
    assert len(read) == 1
    refusals = [str(problem).partition(" cannot be read: ")[2] for problem in refused]
    assert [words.partition(",")[0].partition(";")[0] for words in refusals] == [
        "it is a FIFO (a named pipe)",
        "it is a character device",
        "No such file or directory",
        "it is a FIFO (a named pipe)",
    ]


def test_a_link_in_a_circle_hides_no_other_result(tmp_path: Path) -> None:
    write(tmp_path, samples.result())
    (tmp_path / "circle.json").symlink_to("circle.json")
    (tmp_path / "circle").symlink_to("circle", target_is_directory=True)
    read, refused = everything([tmp_path])
    assert len(read) == 1
    assert [str(problem).partition(" cannot be read")[0] for problem in refused] == [f"{tmp_path}/circle.json"]


def test_linked_folders_are_searched_once_and_one_file_of_two_names_is_one_result(tmp_path: Path) -> None:
    path = write(tmp_path / "one", samples.result())
    (tmp_path / "one" / "loop").symlink_to(tmp_path, target_is_directory=True)
    outside = write(
        tmp_path.parent / f"{tmp_path.name}-outside", samples.result(attempt_id="20261122T110000Z-0123abce")
    )
    (tmp_path / "outside").symlink_to(outside.parent, target_is_directory=True)
    (tmp_path / "same.json").symlink_to(path)
    read, refused = everything([tmp_path, path, path])
    assert refused == []
    assert sorted(result.attempt.id for result in read) == ["20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"]


def test_whatever_a_result_raises_is_that_result_s_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = write(tmp_path, samples.result(attempt_id="20261122T110000Z-0123abce"), "b.json")
    write(tmp_path, samples.result(), "a.json")
    of_result = attempts.of_result

    def fails(result: Result, schema: int) -> AttemptSummary:
        if result["attempt"]["id"] == "20261122T100000Z-0123abcd":
            raise OverflowError("int too large")
        return of_result(result, schema)

    monkeypatch.setattr(attempts, "of_result", fails)
    read, (refused,) = everything([tmp_path])
    assert [result.path for result in read] == [str(good)]
    assert str(refused) == f"{tmp_path}/a.json cannot be understood: OverflowError: int too large. Measure again."


def test_several_processes_read_what_one_reads_and_remember_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    for number in range(60):
        body = samples.body(attempt_id=f"20261122T100000Z-{number:08x}")
        write(folder, contract.seal(body), f"{number:03d}.json")
    (folder / "torn.json").write_text("{")
    (folder / "001-again.json").write_bytes((folder / "001.json").read_bytes())
    alone = [_told(result) for result in result_files.read_all([folder], Index(None))]
    assert len(alone) == 62
    monkeypatch.setattr(indexes, "SETTLED_S", 0.0)
    monkeypatch.setattr(result_files, "_TOGETHER", 40)
    with Workers(2) as workers, Index(tmp_path / "index") as index:
        assert [_told(result) for result in result_files.read_all([folder], index, workers.map)] == alone

    def unread(path: str) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(result_files, "_read", unread)
    with Index(tmp_path / "index") as index:
        assert [_told(result) for result in result_files.read_all([folder], index)] == alone


def _told(result: ReadResult | DamagedResult) -> tuple[str, str]:
    if isinstance(result, DamagedResult):
        return "refused", str(result)
    return result.path, result.text
