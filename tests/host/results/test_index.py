from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.contract.errors import DamagedResult
from runner.contract.request import Request
from runner.host.results import index as indexes
from runner.host.results import result_files
from runner.host.results.attempts import AttemptSummary
from runner.host.results.index import Index
from runner.host.results.result_files import WholeResult
from tests.support import samples

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as settled at once: those of a test are younger than a file system's clock can tell apart."""
    monkeypatch.setattr(indexes, "SETTLED_S", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for attempt in (FIRST, SECOND):
        (folder / f"{attempt}.json").write_text(strictjson.pretty(samples.result(attempt_id=attempt)), encoding="utf-8")
    (folder / "bad.json").write_text("{")
    return folder


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the name of each file is added that is read and parsed."""
    names, load = [], result_files.load

    def counted(raw: bytes, where: str) -> WholeResult:
        names.append(os.path.basename(where))
        return load(raw, where)

    monkeypatch.setattr(result_files, "load", counted)
    return names


def read(folder: str | Path, place: Path | None) -> list[str | tuple[str, AttemptSummary, str, Request]]:
    """Return all that a comparison gets to see of a folder."""
    with Index(place) as index:
        results = list(result_files.read_all([folder], index))
    return [
        str(result) if isinstance(result, DamagedResult) else (result.path, result.attempt, result.text, result.request)
        for result in results
    ]


def test_what_was_read_once_is_not_read_again(folder: Path, tmp_path: Path, parsed: list[str]) -> None:
    place = tmp_path / "index"
    first = read(folder, place)
    assert len(parsed) == 3
    assert read(folder, place) == first == read(folder, None)
    assert parsed[3:] == parsed[:3]  # by the last, which had no index


def test_a_refusal_is_remembered_and_names_the_file_as_it_is_named_now(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "index"
    assert f"{folder}/bad.json is not usable JSON" in str(read(folder, place))
    monkeypatch.chdir(tmp_path)
    refusals = str(read("results", place))
    assert "'results/bad.json is not usable JSON" in refusals


@pytest.mark.parametrize("how", ["written", "replaced", "renamed", "linked"])
def test_a_file_that_changed_is_read_again(folder: Path, tmp_path: Path, parsed: list[str], how: str) -> None:
    """Its size and time are what they were: whoever edits a result can set them back."""
    place, path = tmp_path / "index", folder / f"{FIRST}.json"
    read(folder, place)
    before, content = os.stat(path), path.read_text().replace('"duration_s": 20.0', '"duration_s": 21.0')
    del parsed[:]
    if how == "written":
        path.write_text(content)
    else:
        other = tmp_path / "other.json"
        other.write_text(content)
        if how == "replaced":
            os.replace(other, path)
        elif how == "renamed":
            path.unlink()
            other.rename(path)
        else:
            path.unlink()
            path.symlink_to(other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "does not match its own sha256" in str(read(folder, place))
    assert parsed == [f"{FIRST}.json"]


def test_a_file_that_changed_a_moment_ago_is_not_remembered(
    folder: Path, tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within one tick of the clock leave the same times."""
    monkeypatch.setattr(indexes, "SETTLED_S", 3600.0)
    for _ in range(2):
        read(folder, tmp_path / "index")
    assert len(parsed) == 6


def tampered(place: Path, statement: str) -> None:
    with sqlite3.connect(place) as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: place.unlink(),
        lambda place: place.write_bytes(b"no database at all"),
        lambda place: place.write_bytes(b""),
        lambda place: place.write_bytes(place.read_bytes()[:5000]),
        lambda place: place.write_bytes(place.read_bytes()[:4096] + os.urandom(8192)),
        lambda place: tampered(place, "update results set text = replace(text, '20.0', '10.0')"),
        lambda place: tampered(place, "update results set refusal = null"),
        lambda place: tampered(place, "update requests set content = x'7b7d'"),
        lambda place: tampered(place, "delete from requests"),
        lambda place: tampered(place, "drop table results"),
        lambda place: tampered(place, "update kit set version = 'another'"),
    ],
    ids=range(11),
)
def test_an_index_that_is_damaged_gone_or_another_version_s_says_nothing_wrong_and_is_made_again(
    folder: Path, tmp_path: Path, parsed: list[str], spoil: Callable[[Path], object]
) -> None:
    place = tmp_path / "index"
    first = read(folder, place)
    spoil(place)
    assert read(folder, place) == first
    assert read(folder, place) == first
    del parsed[:]
    assert read(folder, place) == first
    assert parsed == []


@pytest.mark.parametrize("kind", ["in no folder", "a folder", "a FIFO", "locked", "full"])
def test_where_no_index_can_be_written_all_is_read_as_without(
    folder: Path, tmp_path: Path, parsed: list[str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "index"
    if kind == "in no folder":
        (tmp_path / "file").write_text("")
        place = tmp_path / "file" / "index"
    elif kind == "a folder":
        place.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(place)
    elif kind == "locked":
        read(tmp_path / "results", place)
        other = sqlite3.connect(place)
        other.execute("begin exclusive")
    else:
        monkeypatch.setattr(indexes, "_TABLES", indexes._TABLES + "pragma max_page_count = 1;")
    expected = read(folder, None)
    assert read(folder, place) == expected
    if kind == "locked":
        other.close()


def test_an_index_of_too_many_entries_begins_anew(
    folder: Path, tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "index"
    read(folder, place)
    monkeypatch.setattr(indexes, "MAX_ENTRIES", 2)
    read(folder, place)
    assert len(parsed) == 6


def test_a_path_that_is_no_text_is_remembered_too(tmp_path: Path, parsed: list[str]) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(folder)
    with open(os.path.join(folder, "bad.json"), "w") as file:
        file.write("{")
    first = read(folder, tmp_path / "index")
    assert read(folder, tmp_path / "index") == first
    assert len(parsed) == 1
