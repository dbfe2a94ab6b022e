"""What an attempt keeps while it runs, and what becomes of it when the attempt is gone."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Iterable

import pytest

from runner.contract import result as results
from runner.contract import strictjson, unfinished
from runner.contract.errors import DamagedResult, KitError, PublishFailed
from tests.support import samples
from tests.support.journals import ATTEMPT, journal


def only(remains: Iterable[unfinished.Left | KitError]) -> unfinished.Left:
    """Return what the only attempt left, whose journal can be read."""
    (left,) = remains
    assert isinstance(left, unfinished.Left)
    return left


def test_an_attempt_that_runs_is_left_alone(tmp_path: Path) -> None:
    kept, path = journal(tmp_path)
    assert list(unfinished.take_up(str(tmp_path))) == []
    kept.close()
    assert os.listdir(path.parent) == []


def test_what_an_attempt_left_becomes_an_interrupted_result_that_every_reader_takes(tmp_path: Path) -> None:
    kept, path = journal(tmp_path, launches=2, rows=b'{"row": 0}\n{"ro')
    kept.close(discard=False)
    seen = only(unfinished.left(str(tmp_path)))
    taken = only(unfinished.take_up(str(tmp_path)))
    assert (seen.content, taken.launches) == (taken.content, 2)
    assert path.read_bytes() == taken.content
    result = strictjson.read(str(path))
    results.check_seal(result, str(path))
    assert (result["attempt"]["status"], [launch["index"] for launch in result["launches"]]) == ("interrupted", [0, 1])
    assert path.with_suffix(".jsonl").read_bytes() == b'{"row": 0}\n'
    assert result["outputs"]["rows"] == 1
    assert sorted(os.listdir(path.parent)) == sorted([path.name, path.stem + ".jsonl"])
    assert list(unfinished.take_up(str(tmp_path))) == []


def test_an_attempt_that_measured_nothing_is_removed_without_a_word(tmp_path: Path) -> None:
    kept, path = journal(tmp_path, launches=0, rows=b"")
    kept.close(discard=False)
    assert list(unfinished.take_up(str(tmp_path))) == []
    assert os.listdir(path.parent) == []


def test_a_result_that_was_published_before_the_kill_stays_as_it_is(tmp_path: Path) -> None:
    kept, path = journal(tmp_path)
    kept.close(discard=False)
    path.write_text(strictjson.pretty(samples.result()))
    assert list(unfinished.take_up(str(tmp_path))) == []
    assert (strictjson.read(str(path)), os.listdir(path.parent)) == (samples.result(), [path.name])


def test_a_torn_result_under_the_name_is_said_and_loses_nothing(tmp_path: Path) -> None:
    kept, path = journal(tmp_path)
    kept.close(discard=False)
    path.write_text("{")
    (problem,) = unfinished.take_up(str(tmp_path))
    assert isinstance(problem, PublishFailed)
    path.unlink()
    taken = only(unfinished.take_up(str(tmp_path)))
    assert taken.launches == 1


@pytest.mark.parametrize("cut", [1, 500])
def test_a_line_that_was_cut_loses_itself_alone(tmp_path: Path, cut: int) -> None:
    kept, path = journal(tmp_path, launches=2)
    kept.close(discard=False)
    place = path.with_name(f".{ATTEMPT}.unfinished")
    os.truncate(place, place.stat().st_size - cut)
    seen = only(unfinished.left(str(tmp_path)))
    assert seen.launches == 1


def test_a_line_after_one_that_a_full_disk_cut_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _ = journal(tmp_path, launches=0)
    whole, kept._file = kept._file, type("Full", (), {"write": lambda self, line: whole.write(line[:50])})()
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        kept.add({"attempt": {}, "launch": {}})
    kept._file = whole
    kept.add({"attempt": samples.body()["attempt"], "launch": samples.body()["launches"][0]})
    kept.close(discard=False)
    seen = only(unfinished.left(str(tmp_path)))
    assert seen.launches == 1


def test_a_file_that_tells_nothing_is_said_with_its_name(tmp_path: Path) -> None:
    kept, path = journal(tmp_path)
    kept.close(discard=False)
    place = path.with_name(f".{ATTEMPT}.unfinished")
    place.write_bytes(b"\n".join(place.read_bytes().split(b"\n")[2:]))
    (problem,) = unfinished.left(str(tmp_path))
    assert isinstance(problem, DamagedResult)
    assert f"{place} lost its first line" in str(problem)
    place.unlink()
    os.mkfifo(place)
    (problem,) = unfinished.left(str(tmp_path))
    assert "it is a FIFO" in str(problem)


def test_where_there_are_no_locks_nothing_is_taken_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    kept, path = journal(tmp_path)
    (problem,) = unfinished.take_up(str(tmp_path))
    assert "or still runs: this file system has no locks" in str(problem)
    kept.close()
    assert os.listdir(path.parent) == []
