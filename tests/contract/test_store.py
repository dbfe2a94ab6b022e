"""The writer of results under faults: killed at every system call, every call failing, many writers of one name."""

from __future__ import annotations

import errno
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest

from runner.contract import publish
from runner.contract.errors import PublishFailed
from tests.support import faults

CONTENT = b'{"kind": "result"}\n' * 5000
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ESTALE]
CANNOT = [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL]

needs_ptrace = pytest.mark.skipif(not faults.SUPPORTED, reason="stops system calls by ptrace on x86-64 Linux only")


def writer(path: Path) -> Callable[[], int]:
    def write() -> int:
        try:
            publish.publish(str(path), CONTENT)
        except PublishFailed:
            return PublishFailed.exit_code
        return 0

    return write


def in_new_folder(folder: Path) -> Path:
    return folder / "new" / "deep" / "r.json"


def in_old_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder / "r.json"


def beside_others(folder: Path) -> Path:
    folder.mkdir()
    (folder / ".r.json.0.tmp").write_bytes(b"left by another writer")
    (folder / "other.json").write_bytes(b"whole")
    return folder / "r.json"


PLACES = [in_new_folder, in_old_folder, beside_others]


def unbroken(path: Path) -> bool:
    """Return whether a reader sees all of the file or no file at all."""
    return not path.exists() or path.read_bytes() == CONTENT


@pytest.fixture(params=["links", "no links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with links, and one without; forked writers inherit it."""
    if request.param == "no links":

        def link(source: str, target: str) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", link)


def fresh(folder: Path, name: str) -> Path:
    folder = folder / str(name)
    folder.mkdir()
    return folder / "results"


@needs_ptrace
@pytest.mark.slow
def test_a_writer_killed_at_any_system_call_leaves_no_torn_file(tmp_path: Path, file_system: None) -> None:
    killed = published = 0
    for place in PLACES:
        stops = 2 * faults.calls(writer(place(fresh(tmp_path, place.__name__))))
        for stop in range(1, stops + 1):
            path = place(fresh(tmp_path, f"{place.__name__}-{stop}"))
            status = faults.run_killed(writer(path), stop)
            assert unbroken(path), (place.__name__, stop)
            if status == 0:  # the allocator made a call less than when calls were counted: the writer came to its end
                assert path.exists()
                continue
            assert status == -signal.SIGKILL
            killed += 1
            published += path.exists()
    assert killed >= 100
    assert 0 < published < killed


@needs_ptrace
@pytest.mark.parametrize("code", ERRORS + CANNOT, ids=[errno.errorcode[code] for code in ERRORS + CANNOT])
@pytest.mark.slow
def test_no_failing_system_call_loses_a_result_silently(tmp_path: Path, code: int) -> None:
    """Whatever call fails: a writer that says it is done has published all, and one that failed has left no torn file."""
    refused = tried = 0
    for place in PLACES:
        for call in range(1, faults.calls(writer(place(fresh(tmp_path, place.__name__)))) + 1):
            path = place(fresh(tmp_path, f"{place.__name__}-{call}"))
            status = faults.run_failing(writer(path), call, code)
            assert unbroken(path), (place.__name__, call)
            assert status in (0, 1, PublishFailed.exit_code), (place.__name__, call)
            assert status != 0 or path.exists(), (place.__name__, call)
            tried += 1
            refused += status == PublishFailed.exit_code
    assert tried >= 50
    assert refused >= (20 if code in ERRORS else 5)  # what a file system cannot do at all is done without


@needs_ptrace
def test_the_fault_is_really_there(tmp_path: Path) -> None:
    """A writer that opens and dumps is torn by the same sweep: the sweep can fail."""

    def plain(path: Path) -> Callable[[], int]:
        def write() -> int:
            with open(path, "wb", buffering=0) as file:
                file.write(CONTENT[:1000])
                file.write(CONTENT[1000:])
            return 0

        return write

    torn = 0
    for stop in range(1, 2 * faults.calls(plain(tmp_path / "whole.json")) + 1):
        path = tmp_path / f"{stop}.json"
        faults.run_killed(plain(path), stop)
        torn += not unbroken(path)
    assert torn > 0


def test_of_many_writers_of_one_name_one_wins_and_all_others_know(tmp_path: Path, file_system: None) -> None:
    for round_ in range(50):
        path = tmp_path / f"{round_}.json"

        def write(number: int, path: Path = path) -> int | None:
            try:
                publish.publish(str(path), b"%d" % number)
            except PublishFailed:
                return None
            return number

        with ThreadPoolExecutor(16) as pool:
            winners = [number for number in pool.map(write, range(16)) if number is not None]
        assert len(winners) == 1
        assert path.read_bytes() == b"%d" % winners[0]
    assert len(os.listdir(tmp_path)) == 50
