from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.contract import progress
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.host.readers import strictyaml
from runner.host.report import reading
from runner.host.report.reading import Reader
from runner.host.results.index import Index
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support.materials import tables


@pytest.fixture
def refused() -> list[DamagedResult]:
    return []


@pytest.fixture
def reader(refused: list[DamagedResult]) -> Iterator[Reader]:
    with Index(None) as index:
        yield Reader(tables(), index, progress.SILENT, refused)


def test_the_newest_request_is_the_first(reader: Reader, tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1"), MadeUp("cpu-2", attempts=2)])
    found = reader.results([str(tmp_path)])
    newest = [max(measured.group.attempts) for measured in found]
    assert newest == sorted(newest, reverse=True) and len(found) == 2


def test_a_copy_of_own_results_is_no_other_laboratory(
    reader: Reader, refused: list[DamagedResult], tmp_path: Path
) -> None:
    own, others = tmp_path / "own", tmp_path / "others"
    made_up.write(own, [MadeUp("cpu-1")])
    shutil.copytree(own, others)
    reader.results([str(own)])
    with pytest.raises(InputError, match=r"The laboratory Zürich has no result in .*others; its results were refused"):
        reader.laboratory("Zürich", str(others))
    (problem,) = refused
    assert str(problem).startswith(str(others)) and str(problem).endswith("It is counted once.")


def test_an_attempt_counts_once_in_two_laboratories(
    reader: Reader, refused: list[DamagedResult], tmp_path: Path
) -> None:
    for name, cases in (("a", [MadeUp("cpu-1")]), ("b", [MadeUp("cpu-1"), MadeUp("cpu-2")])):
        made_up.write(tmp_path / name, cases)
    counted = [len(measured.files) for name in "ab" for measured in reader.laboratory(name, str(tmp_path / name))]
    assert counted == [1, 1] and len(refused) == 1


def test_a_laboratory_without_results_is_named(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The laboratory x has no result"):
        reader.laboratory("x", str(tmp_path))


def test_the_newest_results_are_read_whole_each_request_before_the_second_of_any(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1", attempts=5), MadeUp("cpu-2", attempts=1), MadeUp("a100-8-bloomz")])
    found = reader.results([str(tmp_path)])
    whole = reader.whole(found)
    assert sorted(len(files) for files in whole.values()) == [1, 1, 3]
    for measured in found:
        newest = [file.path for file in reversed(measured.files)][: reading.WHOLE_OF_A_REQUEST]
        read = whole[measured.group.request.id]
        assert [file.path for file in read] == newest
        assert read[0].file_sha256 == hashlib.sha256(Path(newest[0]).read_bytes()).hexdigest()
    monkeypatch.setattr(reading, "MOST_WHOLE", 4)
    assert sorted(len(files) for files in reader.whole(found).values()) == [1, 1, 2]


def test_a_file_that_changed_meanwhile_is_refused(reader: Reader, refused: list[DamagedResult], tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1")])
    found = reader.results([str(tmp_path)])
    Path(found[0].files[0].path).write_text("{}")
    assert reader.whole(found) == {}
    assert [str(problem).split(" ", 1)[0] for problem in refused] == [found[0].files[0].path]


def test_publications_are_those_named_else_the_revisions_that_were_found() -> None:
    assert reading.sources(tables(), []) == ["post-1", "post-3"]
    assert reading.sources(tables(), ["post-3", "bloom-2022", "post-3"]) == ["post-3", "bloom-2022"]
    with pytest.raises(UsageError, match=r"no publication 'post-4'\. Known are post-1, .*post-3"):
        reading.sources(tables(), ["post-4"])


def test_the_usual_publications_were_found_and_are_in_the_order_of_time() -> None:
    rows = [tables().claim_sources[name] for name in reading.SOURCES]
    assert all(row.found for row in rows)
    dates = [row.date or "" for row in rows]
    assert dates == sorted(dates) and all(dates)


def test_the_day_is_that_of_the_variable_where_it_is_set() -> None:
    assert reading.made_utc({}, 1_700_000_000.0) == "2023-11-14"
    assert reading.made_utc({"SOURCE_DATE_EPOCH": "86400"}, 1_700_000_000.0) == "1970-01-02"
    assert reading.made_utc({"SOURCE_DATE_EPOCH": ""}, 0.0) == "1970-01-01"


@pytest.mark.parametrize("told", ["yesterday", "1.5", "9" * 30, "nan", "1e9"])
def test_a_variable_that_holds_no_time_is_refused(told: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        reading.made_utc({"SOURCE_DATE_EPOCH": told}, 0.0)


def test_a_repository_is_told_only_where_the_citation_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = strictyaml.read(reading.paths.ROOT / "CITATION.cff")
    assert isinstance(told, dict)
    assert reading.kit(tables()).repository == told.get("repository-code")
    monkeypatch.setattr(reading.paths, "ROOT", tmp_path)
    assert reading.kit(tables()).repository is None
    (tmp_path / "CITATION.cff").write_text('cff-version: 1.2.0\nrepository-code: "https://forge.example/kit"\n')
    assert reading.kit(tables()).repository == "https://forge.example/kit"
